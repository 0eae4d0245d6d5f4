"""What families' tokens are, by what their processors tell: no rule names a family.

Each rule looks at the evidence and says how the picture's tokens cover it, why they do not, or
nothing. The first that speaks is believed; what none of them knows has no grid.
"""

import math
import re
from collections.abc import Callable

import torch
from torch import Tensor

from shiftlens.models.geometry.anyres import any_resolution
from shiftlens.models.geometry.evidence import (
    Evidence,
    Found,
    Piece,
    asks_with_queries,
    sides,
)
from shiftlens.models.geometry.layout import Box
from shiftlens.models.geometry.probing import fit

_TILE = re.compile(r"row\D?(\d+)\D+col\D?(\d+)", re.IGNORECASE)
_WHOLE = re.compile(r"global|thumbnail", re.IGNORECASE)


def resampled(e: Evidence) -> Found:
    """Perceivers, Q-Formers and other resamplers."""
    queries = asks_with_queries(e.model)
    if queries is None:
        return None
    return (
        f"each of its {e.n} tokens gathers what it wants of the whole picture "
        f"(learned queries: {queries})"
    )


def read_across(e: Evidence) -> Found:
    """Pictures that the language model reads by cross-attention."""
    if e.fact("cross_attention_mask", "image_attention_mask") is None:
        return None
    return (
        "the language model reads it by cross-attention, and its token in the prompt stands for "
        "no piece of it"
    )


def pooled(e: Evidence) -> Found:
    """Tokens that are told which flattened patches they are made of, in two grids."""
    pooling = next((v for name, v in e.facts.items() if name.endswith("token_pooling")), None)
    grids = e.fact("image_grids")
    if pooling is None or grids is None or grids.numel() != 4:
        return None
    pooling = pooling.flatten(0, -2)
    low_rows, low_cols, rows, cols = grids.flatten().tolist()
    low = low_rows * low_cols
    if low + rows * cols != e.n or len(pooling) != e.n:
        return f"its {e.n} tokens are not those of its two grids"
    boxes: list[Box | None] = [None, None]
    points = e.main.points() if e.main is not None and e.main.flat else None
    if points is not None and e.main is not None:
        known = pooling >= 0
        x, y = (p.flatten()[pooling.clamp(min=0)].masked_fill(~known, torch.nan) for p in points)
        x, y = x.nanmean(dim=1), y.nanmean(dim=1)
        boxes = [
            _box(x[:low], y[:low], (low_rows, low_cols), e.main.size),
            _box(x[low:], y[low:], (rows, cols), e.main.size),
        ]
    return [
        Piece(low_rows, low_cols, tuple(range(low)), boxes[0], overview=True),
        Piece(rows, cols, tuple(range(low, e.n)), boxes[1]),
    ]


def patch_grid(e: Evidence) -> Found:
    """A grid of the picture's own size, whose patches are merged by squares."""
    shape = _told_grid(e)
    if shape is None:
        return None
    rows, cols, border = shape
    if not rows:
        return f"its {e.n} tokens are no whole squares of its patches"
    wide = cols if border is None else cols + 1
    first = border or 0
    order = tuple(first + r * wide + c for r in range(rows) for c in range(cols))
    if any(run != e.n for run in e.runs):
        return "other tokens stand between those of its grid"
    box = None
    if e.main is not None and (points := e.main.points()) is not None:
        if points[0].numel() == 1:  # one plane
            box = e.main.planes()[0].box()
        else:
            box = _merged_box(points, (rows, cols), e.main.size)
        if isinstance(box, str):
            return box
    return [Piece(rows, cols, order, box)]


def _told_grid(e: Evidence) -> tuple[int, int, int | None] | None:
    """Rows and columns of tokens, and how many tokens precede them where rows end in one more.

    All zeros where the family tells a grid of patches that the tokens do not fit.
    """
    grid = e.fact("image_grid_thw", "image_grid_hw", "image_grid_hws", "image_grids_hw")
    positions = e.fact("image_position_ids")
    if grid is not None and grid.numel() in (2, 3):
        *frames, high, wide = grid.flatten().tolist()
        if frames and frames[0] != 1:
            return 0, 0, None
    elif positions is not None and positions.shape[-1] == 2:
        wide, high = (int(side) + 1 for side in positions.reshape(-1, 2).amax(dim=0))
    else:
        return None
    merge = math.isqrt(high * wide // e.n)
    if merge and merge**2 * e.n == high * wide and not (high % merge or wide % merge):
        return high // merge, wide // merge, None
    if e.learned("newline"):
        extra = 2 if e.learned(r"image_(begin|start)") else 0
        for side in range(1, min(high, wide) + 1):
            rows, cols = high // side, wide // side
            if not (high % side or wide % side) and rows * (cols + 1) + extra == e.n:
                return rows, cols, extra // 2
    return 0, 0, None


def _merged_box(
    points: tuple[Tensor, Tensor], shape: tuple[int, int], size: tuple[int, int]
) -> Box | str | None:
    """The box of a grid whose patches come square by square, or row by row."""
    rows, cols = shape
    x, y = (one.flatten() for one in points)
    known = ~x.isnan()
    x, y = x[known], y[known]
    share = len(x) // (rows * cols)
    side = math.isqrt(share)
    if side**2 != share or share * rows * cols != len(x):
        return None  # patches of another kind than the grid's: columns are known, pixels are not
    squares = [one.view(rows * cols, share).mean(dim=1) for one in (x, y)]
    lines = [one.view(rows, side, cols, side).mean(dim=(1, 3)).flatten() for one in (x, y)]
    for across, down in (squares, lines):
        box = _box(across, down, shape, size)
        if box is not None:
            return box
    tiny = min(rows, cols) == 1
    return None if tiny else "its patches come in an order that is not known"


def _box(x: Tensor, y: Tensor, shape: tuple[int, int], size: tuple[int, int]) -> Box | None:
    """The box of patches whose middles lie in rows and columns; ``None`` where they do not."""
    rows, cols = shape
    if x.numel() != rows * cols:
        return None
    across, down = x.view(rows, cols), y.view(rows, cols)
    loose = [0.02 * side + 1e-3 for side in size]
    even = [_spread(across) <= loose[0], _spread(down.T) <= loose[1]]
    if not all(even):
        return None
    ends = [_ends(across.nanmean(dim=0), size[0]), _ends(down.nanmean(dim=1), size[1])]
    if ends[0] is None or ends[1] is None:
        return None
    return ends[0][0], ends[1][0], ends[0][1], ends[1][1]


def _spread(values: Tensor) -> float:
    """How far the rows of a matrix are apart, padding aside."""
    middle = values.nanmean(dim=0, keepdim=True)
    return float((values - middle).abs().nan_to_num(0).max())


def _ends(middles: Tensor, side: int) -> tuple[float, float] | None:
    """Where a row of patches begins and ends; a single one covers the whole side."""
    if len(middles) == 1:
        reach = min(float(middles[0]), side - float(middles[0]))
        return float(middles[0]) - reach, float(middles[0]) + reach
    line = fit(middles, side)
    if line is None or line.slope <= 0:
        return None
    return line.at(0), line.at(len(middles))


def shaped_tiles(e: Evidence) -> Found:
    """Flattened tiles, each told how many rows and columns of patches it has."""
    shapes = e.fact("spatial_shapes", "target_sizes")
    if shapes is None or shapes.ndim != 2 or shapes.shape[1] != 2:
        return None
    told: list[tuple[int, int]] = [(h, w) for h, w in shapes.tolist()]
    for merge in range(1, 17):
        grids = [(math.ceil(h / merge), math.ceil(w / merge)) for h, w in told]
        if sum(rows * cols for rows, cols in grids) == e.n:
            break
    else:
        return f"its {e.n} tokens are no whole squares of its patches"
    lengths = [rows * cols for rows, cols in grids]
    if not _runs_fit(e, lengths):
        return "its runs of tokens are not its tiles"
    boxes = _tile_boxes(e, told, grids, merge)
    return _cut(e, grids, boxes)


def _tile_boxes(
    e: Evidence, told: list[tuple[int, int]], grids: list[tuple[int, int]], merge: int
) -> list[Box | None]:
    points = e.main.points() if e.main is not None and e.main.flat else None
    none: list[Box | None] = [None] * len(told)
    if points is None or e.main is None:
        return none
    x, y = (one.flatten() for one in points)
    width = len(x) // len(told)
    padded = width * len(told) == len(x) and all(h * w <= width for h, w in told)
    packed = sum(h * w for h, w in told) == len(x)
    if not (padded or packed):
        return none
    boxes: list[Box | None] = []
    start = 0
    for number, (high, wide) in enumerate(told):
        first = start if packed else number * width
        own = slice(first, first + high * wide)
        start += high * wide
        box = _box(x[own], y[own], (high, wide), e.main.size)
        rows, cols = grids[number]
        if box is not None:  # the last row and column of tokens may reach beyond the patches
            right = box[0] + (box[2] - box[0]) * cols * merge / wide
            bottom = box[1] + (box[3] - box[1]) * rows * merge / high
            box = (box[0], box[1], right, bottom)
        boxes.append(box)
    return boxes


def own_size(e: Evidence) -> Found:
    """Pictures of their own sizes, row by row, perhaps with a token at the end of each row."""
    told, pixels = e.fact("image_sizes"), e.main
    if pixels is None:
        return None
    if pixels.flat:
        return _flat_rows(e)
    planes = pixels.planes()
    if told is None or told.numel() != 2 or len(planes) != 1:
        return None
    high, wide = (int(side) for side in told.flatten())
    plane = planes[0]
    if high > plane.height or wide > plane.width:
        return None  # the size of something else, for example of the picture as it was opened
    for side in _patch_sides(e, min(high, wide)):
        rows, cols = high // side, wide // side
        for line in (cols, cols + 1):
            ends = [e.n] if len(e.runs) == 1 else [cols] * rows
            if rows * line == e.n and e.runs == ends:
                order = tuple(r * line + c for r in range(rows) for c in range(cols))
                return [Piece(rows, cols, order, plane.box(rows * side, cols * side))]
    return None


def _patch_sides(e: Evidence, most: int) -> list[int]:
    """Pixels of a token's side: as the configuration says, where it does, else anything.

    What is left over at the end of a row is not read.
    """
    vision = getattr(e.config, "vision_config", None)
    patch = getattr(vision, "patch_size", None)
    if not isinstance(patch, int):
        return list(range(1, most + 1))
    merges = [getattr(owner, "spatial_merge_size", None) for owner in (e.config, vision)]
    return [patch * next((one for one in merges if isinstance(one, int)), 1)]


def _flat_rows(e: Evidence) -> Found:
    """Flattened patches with a token at the end of each row of theirs."""
    pixels = e.main
    if pixels is None or len(set(e.runs)) != 1 or len(set(e.between[1:])) != 1:
        return None
    if len(pixels.shape) < 2 or math.prod(pixels.shape[:-1]) != e.n or len(e.between[1]) != 1:
        return None
    rows, cols = len(e.runs), e.runs[0]
    points, box = pixels.points(), None
    if points is not None:
        box = _box(points[0].flatten(), points[1].flatten(), (rows, cols), pixels.size)
    return [Piece(rows, cols, tuple(range(e.n)), box)]


def tiles(e: Evidence) -> Found:
    """One square of tokens for the picture, or one for each of its tiles."""
    if not e.pixels or any(pixels.flat for pixels in e.pixels.values()):
        return None
    every = [pixels.planes() for pixels in e.pixels.values()]
    planes = every[0]
    if any(len(other) != len(planes) for other in every):
        return "its pixels are handed on in several pieces of different kinds"
    n = len(planes)
    if e.n % n or getattr(e.config, "image_grid_pinpoints", None):
        return None
    length = e.n // n
    if not _runs_fit(e, [length] * n):
        return "its runs of tokens are not its tiles"
    shape, skipped = sides(length, planes[0].height, planes[0].width), 0
    if shape is None and getattr(e.config, "vision_feature_select_strategy", "") == "full":
        shape, skipped = sides(length - 1, planes[0].height, planes[0].width), 1
    if shape is None:
        return f"its {length} tokens fill no grid of the shape of its pixels"
    return _cut(e, [shape] * n, [plane.box() for plane in planes], skipped)


def _runs_fit(e: Evidence, lengths: list[int]) -> bool:
    """Whether all tokens stand in one run, or those of every tile in a run of their own."""
    return len(e.runs) == 1 or e.runs == lengths


def _cut(
    e: Evidence, grids: list[tuple[int, int]], boxes: list[Box | None], skipped: int = 0
) -> list[Piece]:
    """Pieces that come one after the other, ``skipped`` tokens before each."""
    pieces: list[Piece] = []
    start = 0
    named = len(e.runs) == len(grids) and len(grids) > 1
    for number, (rows, cols) in enumerate(grids):
        start += skipped
        marks = _text(e, number) if named else ""
        place = _TILE.search(marks)
        pieces.append(
            Piece(
                rows,
                cols,
                tuple(range(start, start + rows * cols)),
                boxes[number],
                (int(place[1]) - 1, int(place[2]) - 1) if place else None,
                bool(_WHOLE.search(marks)),
            )
        )
        start += rows * cols
    return pieces


def _text(e: Evidence, run: int) -> str:
    """What stands before a run, as text."""
    return str(e.model.tokenizer.decode(list(e.between[run])))


RULES: tuple[Callable[[Evidence], Found], ...] = (
    resampled,
    read_across,
    pooled,
    any_resolution,
    patch_grid,
    shaped_tiles,
    own_size,
    tiles,
)
