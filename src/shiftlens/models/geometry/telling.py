"""Pictures of raw tensors, whose sizes nobody gave: what the tensors themselves tell of them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from shiftlens.core.errors import DataError, SteeringError
from shiftlens.models.geometry.layout import Grid, Layout
from shiftlens.models.geometry.plans import Plan, Size, judge, lead_up, plans_of
from shiftlens.models.geometry.probing import Pixels
from shiftlens.models.model import Model
from shiftlens.models.picture_tokens import cut_rows, pictures_of, runs_of

_FIRST = re.compile(r"row\D?1\D+col\D?1\b", re.IGNORECASE)
_TILE = re.compile(r"row\D?\d+\D+col\D?\d+", re.IGNORECASE)
_WHOLE = re.compile(r"global|thumbnail", re.IGNORECASE)
# Tensors that have one row for each row of the batch, whatever pictures it has.
_OF_ROWS = ("cross_attention_mask", "image_attention_mask")
# Large enough to be cut, too long and too high to be cut alike.
_WIDE, _HIGH = (1600, 400), (400, 1600)
_UNTOLD = "its size and layout were not given with the call; model.generate gives them"


def sizes_told(
    model: Model, token: int, rows: Sequence[Sequence[int]], tensors: Mapping[str, Any]
) -> list[list[Size]] | None:
    """Sizes of the pictures as they were opened, by row, where the family tells them.

    Families of any resolution do: their model needs them to cut the padding away.
    """
    told = tensors.get("image_sizes")
    if not getattr(model.hf.config, "image_grid_pinpoints", None) or not isinstance(told, Tensor):
        return None
    sizes = [(int(wide), int(high)) for high, wide in told.tolist()]
    lengths = [row.count(token) for row in rows]
    counts = tensors.get("batch_num_images")
    if isinstance(counts, Tensor) and len(counts) == sum(1 for n in lengths if n) != len(sizes):
        waiting, given = iter(sizes), iter(counts.tolist())
        return [[next(waiting) for _ in range(next(given) if n else 0)] for n in lengths]
    return _dealt(model, token, sizes, lengths)


def _dealt(
    model: Model, token: int, sizes: Sequence[Size], lengths: Sequence[int]
) -> list[list[Size]] | None:
    """Sizes given to rows in turn, until each row has its tokens; ``None`` where that fails."""
    waiting = iter(sizes)
    found: list[list[Size]] = []
    for length in lengths:
        own: list[Size] = []
        left = length
        while left > 0:
            size = next(waiting, None)
            if size is None:
                return None
            own.append(size)
            left -= plans_of(model).of(model, token, size).n or left + 1
        if left < 0:
            return None
        found.append(own)
    return found if next(waiting, None) is None else None


def untold(
    model: Model, token: int, rows: Sequence[list[int]], ids: Tensor, tensors: Mapping[str, Any]
) -> list[list[Layout]]:
    """Layouts of pictures of unknown sizes: columns, and grids without pixels.

    Raises:
        SteeringError: the family cuts pictures into tiles, and nothing tells which is of which.
    """
    plans = _examples(model, token)
    places = [[at for at, one in enumerate(row) if one == token] for row in rows]
    fixed = _fixed(plans)
    if fixed is not None and all(len(own) % fixed.n == 0 for own in places):
        return [
            [fixed.at(own[at : at + fixed.n], None) for at in range(0, len(own), fixed.n)]
            for own in places
        ]
    areas = _areas(tensors)
    cut = _by_area(places, areas) if areas else None
    if cut is not None:
        return _judged(model, token, rows, cut, tensors, len(areas))
    named = [_named(model, token, row) for row in rows]
    if all(one is not None for one in named):
        tile = next((plan.tile for plan in plans if plan.tile), None)
        return [
            _of_tiles(model, token, row, one or [], tile)
            for row, one in zip(rows, named, strict=True)
        ]
    if any(plan.pieces > 1 for plan in plans):
        raise SteeringError(
            f"the processor of {model.name} cuts a picture into tiles, and nothing tells which "
            "tile is of which picture",
            remedy='use model.generate, which knows the pictures, or steer all: scope "image"',
        )
    known = pictures_of(model, ids, tensors)
    return [[Plan(0, reason=_UNTOLD).at(one.columns, None) for one in row] for row in known]


def _examples(model: Model, token: int) -> list[Plan]:
    """Plans of a wide and of a high picture; none where the processor cannot prepare them."""
    try:
        return [plans_of(model).of(model, token, size) for size in (_WIDE, _HIGH)]
    except DataError:
        return []


def _fixed(plans: Sequence[Plan]) -> Plan | None:
    """The plan of every picture, where a wide and a high one are laid out alike; without pixels."""
    if len(plans) != 2 or not plans[0].n:
        return None
    bare = [
        replace(
            plan,
            grid=_without_pixels(plan.grid),
            overview=_without_pixels(plan.overview),
        )
        for plan in plans
    ]
    return bare[0] if bare[0] == bare[1] else None


def _without_pixels(grid: Grid | None) -> Grid | None:
    return None if grid is None else replace(grid, box=None, edges=None)


def _areas(tensors: Mapping[str, Any]) -> list[int]:
    """A number for each picture that is proportional to its tokens; none where none is told."""
    for name in ("image_grid_thw", "image_grid_hw", "image_grid_hws", "image_sizes"):
        told = tensors.get(name)
        if isinstance(told, Tensor) and told.ndim == 2:
            return [int(area) for area in told.prod(dim=1).tolist()]
    positions, grids = tensors.get("image_position_ids"), tensors.get("image_grids")
    if isinstance(positions, Tensor) and positions.ndim == 3:
        return [int(area) for area in (positions.amax(dim=1) + 1).prod(dim=1).tolist()]
    if isinstance(grids, Tensor) and grids.ndim == 2 and grids.shape[1] == 4:
        return [a * b + c * d for a, b, c, d in grids.tolist()]
    return []


def _by_area(places: Sequence[list[int]], areas: Sequence[int]) -> list[list[list[int]]] | None:
    total, all_ = sum(len(own) for own in places), sum(areas)
    if any(area * total % all_ for area in areas):
        return None
    return cut_rows(places, [area * total // all_ for area in areas])


def _judged(
    model: Model,
    token: int,
    rows: Sequence[list[int]],
    cut: Sequence[Sequence[list[int]]],
    tensors: Mapping[str, Any],
    n: int,
) -> list[list[Layout]]:
    """Ask the rules about each of ``n`` pictures; 0 where no tensor has one entry for each."""
    found: list[list[Layout]] = []
    number = 0
    for row, pictures in zip(rows, cut, strict=True):
        layouts: list[Layout] = []
        end = 0
        for columns in pictures:
            facts, pixels = _own(tensors, number, n)
            span, _ = lead_up(row[end : columns[-1] + 1], token)
            layouts.append(judge(model, span, token, facts, pixels, None).at(columns, None))
            end = columns[-1] + 1
            number += 1
        found.append(layouts)
    return found


def _of_tiles(
    model: Model,
    token: int,
    row: list[int],
    pictures: Sequence[list[int]],
    tile: tuple[int, int] | None,
) -> list[Layout]:
    """The pictures of a row whose tiles are named, each of ``tile`` pixels."""
    layouts: list[Layout] = []
    end = 0
    for columns in pictures:
        pixels = {} if tile is None else {"tiles": Pixels((len(runs_of(columns)), 3, *tile))}
        span, _ = lead_up(row[end : columns[-1] + 1], token)
        layouts.append(judge(model, span, token, {}, pixels, None).at(columns, None))
        end = columns[-1] + 1
    return layouts


def _own(
    tensors: Mapping[str, Any], number: int, n: int
) -> tuple[dict[str, Tensor], dict[str, Pixels]]:
    """What the tensors tell of one of ``n`` pictures."""
    facts: dict[str, Tensor] = {}
    pixels: dict[str, Pixels] = {}
    for name, tensor in tensors.items():
        if not isinstance(tensor, Tensor) or not tensor.ndim:
            continue
        if tensor.is_floating_point():
            if len(tensor) == n:
                pixels[name] = Pixels((1, *tensor.shape[1:]))
        elif len(tensor) == n or name in _OF_ROWS:
            facts[name] = tensor[number : number + 1].cpu()
    return facts, pixels


def _named(model: Model, token: int, row: list[int]) -> list[list[int]] | None:
    """A row's pictures, where the prompt names every tile of them; ``None`` where it does not.

    A picture begins with its first tile, or with its overview where it has no tiles.
    """
    places = [at for at, one in enumerate(row) if one == token]
    pictures: list[list[int]] = []
    end, closed = 0, True
    for run in runs_of(places):
        text = str(model.tokenizer.decode(row[end : run[0]]))
        whole, tile = _WHOLE.search(text), _TILE.search(text)
        if not (whole or tile):
            return None
        if _FIRST.search(text) or closed:
            pictures.append([])
        pictures[-1] += run
        closed = bool(whole)
        end = run[-1] + 1
    return pictures
