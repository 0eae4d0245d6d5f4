"""How long a comparison takes: 20 concepts, 5,000 rows, d = 160, 200 refits behind intervals."""

import tempfile
import time
from pathlib import Path

import torch
from tests.builders import build_store
from torch import Tensor

from benchmarks.figures import Figure, main
from shiftlens.concepts.learners.kmeans import KMeans
from shiftlens.models.loading import load_model
from shiftlens.shift.comparing import compare
from shiftlens.world import models

_ROWS, _K, _DRAWS, _GOAL = 5_000, 20, 200, "<= 60"


def measure() -> list[Figure]:
    """Seconds of ``compare`` on overlapping groups and on states without any."""
    readout = load_model(str(models.path("base"))).readout
    width = next(readout.head.parameters()).shape[1]
    found: list[Figure] = []
    for name, apart in (("overlapping groups", 1.0), ("no groups", 0.0)):
        base, tuned = _states(width, apart)
        with tempfile.TemporaryDirectory() as folder:
            stores = [
                build_store(Path(folder) / label, states)
                for label, states in (("base", base), ("tuned", tuned))
            ]
            start = time.perf_counter()
            compare(*stores, KMeans(k=_K), readouts=(readout, readout), draws=_DRAWS)
            seconds = time.perf_counter() - start
        found.append(
            Figure(
                f"compare, {name}",
                *(seconds, None, None, "s", _GOAL),
                f"wall time, {torch.get_num_threads()} threads; {_K} concepts, {_ROWS} rows, "
                f"d = {width}, {_DRAWS} refits, words by the world's head",
            )
        )
    return found


def _states(d: int, apart: float) -> tuple[Tensor, Tensor]:
    """Paired states (n, d) of groups that lie ``apart`` times the noise from their mean."""
    random = torch.Generator().manual_seed(0)
    centres = apart * torch.randn(_K, d, generator=random)
    labels = torch.randint(0, _K, (_ROWS,), generator=random)
    base = centres[labels] + torch.randn(_ROWS, d, generator=random)
    own = torch.nn.functional.normalize(torch.randn(_K, d, generator=random), dim=1) * 3
    return base, base + own[labels] + 0.5 * torch.randn(_ROWS, d, generator=random)


if __name__ == "__main__":
    main(measure, __doc__ or "")
