"""``Evidence``: what is known of one picture's tokens, and what a rule makes of it."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor

from shiftlens.models.geometry.layout import Box
from shiftlens.models.geometry.probing import Pixels
from shiftlens.models.model import Model

# Learned vectors that ask the vision tower's states for what they want, under any family's name.
_QUERIES = re.compile(r"quer(y|ies)|latent|resampl", re.IGNORECASE)
_MAPS = re.compile(r"Linear|Norm|Conv")
_OTHER_SENSES = re.compile(r"audio|speech|sound|protein", re.IGNORECASE)


@dataclass(frozen=True)
class Piece:
    """A part of a picture whose tokens cover it row by row: all of it, or a tile.

    Attributes:
        rows, cols: of patches.
        order: numbers of its tokens among the picture's own, row by row.
        box: the pixels that it covers; ``None`` where they are not known.
        place: row and column of the tile, where the prompt names them.
        overview: whether the prompt says that it is the whole picture made small.
    """

    rows: int
    cols: int
    order: tuple[int, ...]
    box: Box | None = None
    place: tuple[int, int] | None = None
    overview: bool = False


Found = list[Piece] | str | None
"""What a rule says: the pieces; why there can be none; or that it does not apply."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is known of one picture.

    Attributes:
        model: who sees it.
        span: tokens of the prompt up to its last picture token, from some before its first.
        token: the picture token.
        facts: whole numbers that the processor tells about it, by name; without an axis for the
            batch.
        pixels: its tensors of pictures.
    """

    model: Model
    span: tuple[int, ...]
    token: int
    facts: Mapping[str, Tensor]
    pixels: Mapping[str, Pixels]

    @cached_property
    def n(self) -> int:
        """How many picture tokens it has."""
        return self.span.count(self.token)

    @cached_property
    def runs(self) -> list[int]:
        """Lengths of its uninterrupted runs of picture tokens."""
        return [len(run) for run, _ in self._parts]

    @cached_property
    def between(self) -> list[tuple[int, ...]]:
        """The other tokens before each run."""
        return [before for _, before in self._parts]

    @cached_property
    def _parts(self) -> list[tuple[list[int], tuple[int, ...]]]:
        parts: list[tuple[list[int], tuple[int, ...]]] = []
        before: list[int] = []
        run: list[int] = []
        for token in self.span:
            if token == self.token:
                run.append(token)
                continue
            if run:
                parts.append((run, tuple(before)))
                run, before = [], []
            before.append(token)
        if run:
            parts.append((run, tuple(before)))
        return parts

    @cached_property
    def config(self) -> Any:
        """The model's configuration."""
        return self.model.hf.config

    @cached_property
    def main(self) -> Pixels | None:
        """Its one tensor of pictures; ``None`` where there is none, or several."""
        return next(iter(self.pixels.values())) if len(self.pixels) == 1 else None

    def fact(self, *names: str) -> Tensor | None:
        """The first of some facts that is told."""
        return next((self.facts[name] for name in names if name in self.facts), None)

    def learned(self, pattern: str) -> list[str]:
        """Names of vectors, beside the language model, that were learned as such."""
        wanted = re.compile(pattern, re.IGNORECASE)
        return [name for name in learned_vectors(self.model) if wanted.search(name)]


def learned_vectors(model: Model) -> Sequence[str]:
    """Parameters outside the decoder's blocks that belong to no linear map, norm or convolution."""
    skipped = f"{model.address.blocks_path}."
    return [
        f"{path}.{name}" if path else name
        for path, module in model.hf.named_modules()
        if not f"{path}.".startswith(skipped) and not _MAPS.search(type(module).__name__)
        for name, _ in module.named_parameters(recurse=False)
    ]


def asks_with_queries(model: Model) -> str | None:
    """The learned queries by which a family's tokens gather what they want of a whole picture.

    A perceiver, a Q-Former or another resampler has as many tokens as learned queries, each of
    which attends to all patches: none of them has a place. Such queries are parameters, or
    embeddings, that are called so.
    """
    for path in learned_vectors(model):
        owner, _, name = path.rpartition(".")
        named = path if name != "weight" else owner
        if _QUERIES.search(named.rpartition(".")[2]) and not _OTHER_SENSES.search(path):
            return path
    return None


def sides(n: int, height: float, width: float) -> tuple[int, int] | None:
    """Rows and columns of ``n`` patches, as many to the pixel in both directions.

    ``None`` where these are no whole numbers.
    """
    rows = round(math.sqrt(n * height / width)) if width else 0
    if rows < 1 or n % rows:
        return None
    return (rows, n // rows) if rows * width == (n // rows) * height else None
