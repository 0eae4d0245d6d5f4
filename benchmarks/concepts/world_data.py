"""States behind a person's words in every block of the world's model, harvested once and kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from shiftlens.activations import tokens
from shiftlens.activations.harvesting import harvest
from shiftlens.activations.site import Site
from shiftlens.activations.store import ActivationStore
from shiftlens.data.reading import read
from shiftlens.data.sample import Samples
from shiftlens.models.loading import load_model
from shiftlens.models.model import Model
from shiftlens.world import models
from shiftlens.world.source import materialise

FACTORS = ("subject", "color", "place", "action", "mood", "extra")
WORDS = ("man", "woman", "person")
NEW, BATCH = 20, 100


@dataclass(frozen=True, eq=False)
class Rows:
    """Some rows of a store.

    Attributes:
        store: all of them.
        numbers: (n,) which ones.
    """

    store: ActivationStore
    numbers: np.ndarray

    def states(self, layer: int) -> Tensor:
        """States (n, d) of one block, float32."""
        return self.store.states(layer)[torch.from_numpy(self.numbers)].float()

    def factor(self, name: str) -> np.ndarray:
        """The factor's value for every row, as text."""
        return np.asarray([str(self.store.rows[at].labels[name]) for at in self.numbers.tolist()])

    @cached_property
    def pictures(self) -> list[str]:
        """The picture of every row."""
        return [self.store.rows[at].image for at in self.numbers.tolist()]

    def view(self) -> ActivationStore:
        """A view of the store."""
        return self.store.at_rows(self.numbers.tolist())


@dataclass(frozen=True, eq=False)
class World:
    """The model and two draws of people that share no picture.

    Attributes:
        root: the benchmark's folder.
        model: the world's base.
        selection: rows on which everything is chosen.
        pool: rows that are learned from and judged.
    """

    root: Path
    model: Model
    selection: Rows
    pool: Rows

    @staticmethod
    def open(root: Path, n_selection: int, n_pool: int) -> "World":
        """Draw pictures, ask the model, keep the states of every block."""
        model = load_model(models.path("base"))
        parts = [
            states_of(model, root, "people", n, seed)
            for n, seed in ((n_selection, 72), (n_pool, 71))
        ]
        return World(root, model, *(Rows(one, np.arange(len(one))) for one in parts))

    @property
    def layers(self) -> range:
        """Every block of the model."""
        return range(self.model.address.n_layers)

    def halves(self, rows: Rows, seed: int, most: int) -> tuple[Rows, Rows]:
        """Two parts of the rows that share no picture, at most ``most`` rows each.

        Another seed draws others.
        """
        names = sorted(set(rows.pictures))
        order = np.random.default_rng(seed).permutation(len(names))
        first = {names[at] for at in order[: len(names) // 2].tolist()}
        inside = np.asarray([name in first for name in rows.pictures])
        # In the order of the draw, so that a cap takes random rows.
        shuffled = np.random.default_rng(seed + 1).permutation(len(inside))
        one, other = (shuffled[inside[shuffled] == side][:most] for side in (True, False))
        return (
            Rows(rows.store, rows.numbers[np.sort(one)]),
            Rows(rows.store, rows.numbers[np.sort(other)]),
        )


def samples_of(root: Path, collection: str, n: int, seed: int) -> Samples:
    """A collection, drawn once."""
    folder = root / "data" / f"{collection}-{n}-{seed}"
    if not (folder / "data.jsonl").exists():
        materialise(collection, folder, n=n, seed=seed)
    return read(folder)


def states_of(
    model: Model,
    root: Path,
    collection: str,
    n: int,
    seed: int,
    words: Sequence[str] = WORDS,
) -> ActivationStore:
    """States of every block at the word, on the model's own responses."""
    layers = tuple(range(model.address.n_layers))
    site = Site(layers, tokens.word(*words))
    samples = samples_of(root, collection, n, seed)
    out = root / "states" / f"{collection}-{n}-{seed}"
    return harvest(model, samples, site, out, max_new_tokens=NEW, batch_size=BATCH)
