"""Which columns of a prompt belong to which picture, and how its tokens are laid out."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from torch import Tensor

from shiftlens.core.errors import SteeringError
from shiftlens.models.model import Model
from shiftlens.models.processing.placeholders import picture_token

# Settings of processors that cut a picture into tiles, when they are on.
_TILING = ("do_image_splitting", "crop_to_patches", "do_pan_and_scan")
# What processors tell about pictures that are not all laid out in one square.
_LAYOUTS = frozenset(
    ("image_grid_thw", "image_grid_hws", "image_sizes", "spatial_shapes", "aspect_ratio_ids")
)


@dataclass(frozen=True)
class Picture:
    """One picture of a sample as the language model sees it.

    Attributes:
        columns: of its tokens, in their order.
        grid: rows and columns of its patches, row by row, where the layout is known.
    """

    columns: tuple[int, ...]
    grid: tuple[int, int] | None


def pictures_of(model: Model, ids: Tensor, inputs: Mapping[str, Any]) -> list[list[Picture]]:
    """The pictures of each row of a batch.

    How many tokens a picture has is told by the processor's grid (``image_grid_thw``), by what the
    encoder made of it ahead of the call (``mm_encoder_outputs``), or by the number of pictures,
    where all have equally many; otherwise each run of picture tokens is a picture.

    Args:
        model: whose picture token.
        ids: (b, t) tokens of the prompts.
        inputs: the other inputs of the call, pictures among them.

    Raises:
        SteeringError: the family has no token that stands for a picture.
    """
    token = token_of(model)
    rows = [[at for at, one in enumerate(row) if one == token] for row in ids.tolist()]
    grids = _grids(model, inputs.get("image_grid_thw"))
    told = cut_rows(rows, [r * c for r, c in grids]) if grids is not None else None
    if told is not None and grids is not None:
        layouts = iter(grids)
        return [[Picture(tuple(some), next(layouts)) for some in row] for row in told]
    square = _is_square(model)
    told = cut_rows(rows, [len(one) for one in _features(inputs)]) or _equal(rows, inputs)
    if told is not None:
        return [[_picture(some, square=square) for some in row] for row in told]
    return [[_picture(run, square=False) for run in runs_of(row)] for row in rows]


def token_of(model: Model) -> int:
    """The token that stands for a piece of a picture.

    Raises:
        SteeringError: the family has none.
    """
    token = picture_token(model.hf, model.processor)
    if token is None:
        raise SteeringError(f"{model.name} has no token that stands for a piece of a picture")
    return token


def require_whole_pictures(model: Model) -> None:
    """Refuse to tell pictures apart in the vision tower where each is cut into tiles there.

    Raises:
        SteeringError: the processor cuts a picture into tiles, which the tower sees apart.
    """
    cutter = _image_processor(model)
    if any(getattr(cutter, name, None) for name in _TILING):
        raise SteeringError(
            f"the processor of {model.name} cuts a picture into tiles, and nothing tells which "
            "tile is of which picture in its vision tower",
            remedy='steer all pictures instead: scope "image"; or steer the language model',
        )


def seen_by_row(
    model: Model, ids: Tensor, inputs: Mapping[str, Any]
) -> list[tuple[Tensor, ...]] | None:
    """What each row of a batch sees, picture by picture, to compare rows with.

    Args:
        model: whose picture token.
        ids: (b, t) tokens of the prompts.
        inputs: the other inputs of the call.

    Returns:
        the pictures of each row, as pixels or as the encoder's features; ``None`` where it is not
        known which are whose.
    """
    if picture_token(model.hf, model.processor) is None:
        return None
    counts = [len(row) for row in pictures_of(model, ids, inputs)]
    seen = _features(inputs) or _pixels(inputs)
    if len(seen) != sum(counts):
        return None
    waiting = iter(seen)
    return [tuple(next(waiting) for _ in range(n)) for n in counts]


def _features(inputs: Mapping[str, Any]) -> list[Tensor]:
    """What the encoder made of each picture, where it ran ahead of the call."""
    outputs = inputs.get("mm_encoder_outputs") or {}
    features = getattr(outputs.get("image"), "pooler_output", None)
    return [] if features is None else list(features)


def _pixels(inputs: Mapping[str, Any]) -> list[Tensor]:
    """The pixels of each picture, one below the other, or as many patches as its grid has."""
    pixels, grid = inputs.get("pixel_values"), inputs.get("image_grid_thw")
    if not isinstance(pixels, Tensor):
        return []
    if isinstance(grid, Tensor):
        sizes: list[int] = grid.prod(dim=1).tolist()
        return list(pixels.split(sizes)) if sum(sizes) == len(pixels) else []
    return list(pixels)


def _image_processor(model: Model) -> Any:
    return getattr(model.processor, "image_processor", model.processor)


def _is_square(model: Model) -> bool:
    """Whether the family sees every picture as one square: its processor tells no layout."""
    cutter = _image_processor(model)
    tiled = any(getattr(cutter, name, None) for name in _TILING)
    return not tiled and _LAYOUTS.isdisjoint(getattr(cutter, "model_input_names", ()))


def _grids(model: Model, grid: Any) -> list[tuple[int, int]] | None:
    """Rows and columns of merged patches for each picture of a batch, frames below each other."""
    if not isinstance(grid, Tensor):
        return None
    vision = getattr(model.hf.config, "vision_config", None)
    merge = int(getattr(vision, "spatial_merge_size", 1) or 1)
    return [(t * h // merge, w // merge) for t, h, w in grid.tolist()]


def cut_rows(rows: Sequence[list[int]], lengths: Sequence[int]) -> list[list[list[int]]] | None:
    """The rows' columns in pieces of these lengths, in order; ``None`` where they do not fit."""
    if not lengths or sum(lengths) != sum(map(len, rows)):
        return None
    waiting = iter(lengths)
    found: list[list[list[int]]] = []
    for row in rows:
        pieces: list[list[int]] = []
        start = 0
        while start < len(row):
            stop = start + next(waiting)
            pieces.append(row[start:stop])
            start = stop
        if start > len(row):  # a picture cannot go on in the next row
            return None
        found.append(pieces)
    return found


def _equal(rows: Sequence[list[int]], inputs: Mapping[str, Any]) -> list[list[list[int]]] | None:
    """Pieces of one length, where all pictures may have equally many tokens."""
    pixels = inputs.get("pixel_values")
    n, total = len(pixels) if isinstance(pixels, Tensor) else 0, sum(map(len, rows))
    if not n or total % n:
        return None
    # A run that is no multiple of it would mean that pictures differ in length after all.
    length = total // n
    if any(len(run) % max(1, length) for row in rows for run in runs_of(row)):
        return None
    return cut_rows(rows, [length] * n)


def runs_of(row: Sequence[int]) -> list[list[int]]:
    """Columns, in order, as runs without a gap."""
    groups = groupby(enumerate(row), key=lambda pair: pair[1] - pair[0])
    return [[at for _, at in group] for _, group in groups]


def _picture(columns: Sequence[int], *, square: bool) -> Picture:
    side = math.isqrt(len(columns))
    known = square and side * side == len(columns)
    return Picture(tuple(columns), (side, side) if known else None)
