"""Rows for the learners that factor: planted sums of parts, falling spectra, rows in pieces."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

GOLDEN = Path(__file__).parents[3] / "golden" / "factors.json"


def golden() -> dict[str, Any]:
    """Cases of ``tests/golden/make_factors.py`` by name."""
    return json.loads(GOLDEN.read_text(encoding="utf-8"))


def planted(
    n: int = 300, d: int = 24, k: int = 5, *, noise: float = 0.02, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Rows (n, d) that hold one or two of k unit parts each, and the parts (k, d)."""
    random = torch.Generator().manual_seed(seed)
    parts = normalize(torch.randn(k, d, generator=random), dim=1)
    chosen = torch.rand(n, k, generator=random).topk(2, dim=1).indices
    codes = torch.zeros(n, k).scatter_(1, chosen, torch.rand(n, 2, generator=random) + 0.2)
    return codes @ parts + noise * torch.randn(n, d, generator=random), parts


def falling(n: int, d: int, *, mean: float = 0.0, seed: int = 0) -> Tensor:
    """Rows (n, d) whose i-th standard deviation is 1 / i, turned, around a common mean."""
    random = torch.Generator().manual_seed(seed)
    turn = torch.linalg.qr(torch.randn(d, d, generator=random)).Q
    return torch.randn(n, d, generator=random) / torch.arange(1, d + 1) @ turn + mean


class PiecewiseRows:
    """Rows that come in pieces of odd sizes and in another order than their numbers."""

    def __init__(self, acts: Tensor, size: int) -> None:
        self._acts, self._size = acts, size

    def __len__(self) -> int:
        return len(self._acts)

    @property
    def d(self) -> int:
        """Width of a row."""
        return self._acts.shape[1]

    def chunks(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Every second row first."""
        numbers = torch.cat((torch.arange(0, len(self), 2), torch.arange(1, len(self), 2)))
        for part in numbers.split(self._size):
            yield part, self._acts[part]

    def take(self, numbers: np.ndarray) -> Tensor:
        """Some rows."""
        return self._acts[torch.from_numpy(np.asarray(numbers))]


def matched(found: Tensor, truth: Tensor) -> float:
    """Least cosine between true parts and the found vectors nearest to them."""
    cosines = normalize(truth, dim=1) @ normalize(found, dim=1).T
    return float(cosines.max(dim=1).values.min())
