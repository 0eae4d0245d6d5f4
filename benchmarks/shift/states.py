"""States of the base and of every adapter on the same text, harvested once and kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import shiftlens as sl
from benchmarks.shift.adapters import SEEDS
from shiftlens.activations.store import ActivationStore, paired
from shiftlens.data.sample import Samples
from shiftlens.models.model import Model
from shiftlens.models.variants import load_variants
from shiftlens.shift.effects import group_numbers
from shiftlens.shift.parts import thirds
from shiftlens.shift.refits import Split
from shiftlens.world import models
from shiftlens.world.source import materialise

LAYERS = (2, 3, 4, 5)
"""The middle block of the world's model and all behind it."""

SCALES = (0.1, 0.2, 0.3, 0.5, 1.0)
TINY = 0.01

_COLLECTIONS = {
    "people": ("people", ("man", "woman", "person"), 1500),
    "children": ("child", ("child",), 700),
    "horses": ("horse", ("horse",), 900),
}
_STYLES_ONLY = {"horses"}
"""Collections without the renaming adapter and the small scales: nothing is asked of them there."""


@dataclass(frozen=True)
class Pool:
    """One collection under every model.

    Attributes:
        stores: by label of the model; the rows of all are the same, in the same order.
        where: the benchmark's folder and the collection's name, from which it is opened again.
    """

    stores: dict[str, ActivationStore]
    where: tuple[str, str]

    def states(self, label: str, layer: int = LAYERS[-1]) -> Tensor:
        """States (n, d) of one model."""
        return self.stores[label].states(layer).float()

    def groups(self) -> list[str]:
        """The picture of every row."""
        return [row.image for row in self.stores["base"].rows]


def pools(root: Path, adapters: dict[str, list[Path]]) -> dict[str, Pool]:
    """Every collection under the base, all adapters, and one of each kind at smaller scales."""
    names = [(f"{kind}-{seed}", path) for kind, paths in adapters.items()
             for seed, path in zip(SEEDS, paths, strict=False)]  # fmt: skip
    base, *tuned = load_variants(
        str(models.path("base")),
        [str(path) for _, path in names],
        labels=[name for name, _ in names],
    )
    by_name = {model.label: model for model in tuned}
    scaled = [by_name["rename-0"].at_scale(s, label=f"rename-0@{s:g}") for s in SCALES[:-1]]
    scaled.append(by_name["places-0"].at_scale(TINY, label=f"places-0@{TINY:g}"))
    styles = [base, *(model for model in tuned if not model.label.startswith("rename"))]
    everyone = [base, *tuned, *scaled]
    return {
        name: _pool(root, name, styles if name in _STYLES_ONLY else everyone)
        for name in _COLLECTIONS
    }


def _pool(root: Path, name: str, everyone: Sequence[Model]) -> Pool:
    collection, words, n = _COLLECTIONS[name]
    samples = _samples(root / "data" / name, collection, n)
    site = sl.Site(layer=LAYERS, tokens=sl.tokens.word(*words))
    sl.harvest(
        list(everyone),
        samples,
        site,
        root / "states" / name,
        response="base",
        max_new_tokens=20,
        batch_size=100,
    )
    return open_pool(str(root), name)


@lru_cache(maxsize=4)
def open_pool(root: str, name: str) -> Pool:
    """A collection that was harvested before, for a process of its own."""
    folder = Path(root) / "states" / name
    first = ActivationStore.open(folder / "base")
    others = {path.name: ActivationStore.open(path) for path in sorted(folder.iterdir())}
    return Pool({label: paired(first, one)[1] for label, one in others.items()}, (root, name))


def _samples(folder: Path, collection: str, n: int) -> Samples:
    if not (folder / "data.jsonl").exists():
        materialise(collection, folder, n=n, seed=41)
    return sl.read(folder)


def split(base: Tensor, tuned: Tensor, groups: Sequence[str], seed: int) -> Split:
    """Estimation and judging third of paired states; the selection third chooses nothing here."""
    parts = thirds(groups, seed=seed)
    pieces: list[Tensor] = []
    for rows in (parts.estimation, parts.judging):
        index = torch.from_numpy(rows)
        numbers, _ = group_numbers([groups[i] for i in rows.tolist()])
        pieces += [base[index], (tuned - base)[index], numbers]
    return Split(*pieces)


def judging_rows(groups: Sequence[str], seed: int) -> np.ndarray:
    """Row numbers of the judging third of the same cut."""
    return thirds(groups, seed=seed).judging
