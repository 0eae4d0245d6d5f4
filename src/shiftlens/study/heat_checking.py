"""Whether heat maps lie on the thing that the word names, where labels tell its place.

A map that knows nothing may still look right: things stand in the middle of pictures, and so do the
maps of other pictures. So the share of a map inside the thing's box is held against the share that
maps of other pictures have in the same box, picture by picture.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from shiftlens.core.intervals import bootstrap_mean
from shiftlens.data.sample import Sample

BOX = "box"
"""The label with ``[left, top, right, bottom]``, in pixels, of the thing that the word names."""

_FEWEST = 5  # pictures below which an interval would say nothing
Box = tuple[float, float, float, float]


def checked(
    maps: Sequence[Mapping[str, Any]], samples: Mapping[str, Sample]
) -> dict[str, Any] | None:
    """How much of maps lies inside boxes, and how much of it would without knowing the picture.

    Args:
        maps: for each concept, by sample id, ``{"levels"}`` or ``{"reason"}``.
        samples: by id; those without the label are left out.

    Returns:
        ``n`` pictures, ``inside``, ``flat`` (the box's share of the picture), ``others`` (maps of
        other pictures in the same box) and ``above`` (inside less others), intervals over pictures;
        ``None`` with fewer than five pictures whose place is known.
    """
    found = _by_picture(maps, samples)
    if len(found) < _FEWEST:
        return None
    names = list(found)
    inside = [_mean([_inside(one, found[name][1]) for one in found[name][0]]) for name in names]
    others = [
        _mean(
            [
                _inside(one, found[name][1])
                for other in names
                if other != name
                for one in found[other][0]
            ]
        )
        for name in names
    ]
    flat = [(box[2] - box[0]) * (box[3] - box[1]) for _, box in found.values()]
    above = [mine - theirs for mine, theirs in zip(inside, others, strict=True)]
    numbers = {"inside": inside, "flat": flat, "others": others, "above": above}
    return {"n": len(names), **{k: bootstrap_mean(v).to_dict() for k, v in numbers.items()}}


def _by_picture(
    maps: Sequence[Mapping[str, Any]], samples: Mapping[str, Sample]
) -> dict[str, tuple[list[np.ndarray], Box]]:
    """Maps of each picture, and its box as shares of its width and height.

    A picture that activates several concepts has several maps, and counts once.
    """
    found: dict[str, tuple[list[np.ndarray], Box]] = {}
    for one in maps:
        for name, heat in one.items():
            box = _box(samples[name]) if name in samples else None
            levels = np.asarray(heat.get("levels", ()), dtype=float)
            if box is not None and levels.ndim == 2 and levels.sum() > 0:
                found.setdefault(name, ([], box))[0].append(levels / levels.sum())
    return found


def _box(sample: Sample) -> Box | None:
    from shiftlens.data.images import open_image

    box: Any = sample.labels.get(BOX)
    if not isinstance(box, list | tuple) or len(box) != 4 or not sample.images:
        return None
    width, height = open_image(sample.images[0]).size
    left, top, right, bottom = (float(edge) for edge in box)
    return left / width, top / height, right / width, bottom / height


def _inside(levels: np.ndarray, box: Box) -> float:
    """The share of a map that lies in a box; a square that the box cuts counts by its part."""
    rows, cols = levels.shape
    left, top, right, bottom = box
    return float(_covered(rows, top, bottom) @ levels @ _covered(cols, left, right))


def _covered(parts: int, start: float, end: float) -> np.ndarray:
    """Of each of equal parts of 0..1 how much lies between two places."""
    edges = np.linspace(0, 1, parts + 1)
    shared = np.minimum(edges[1:], end) - np.maximum(edges[:-1], start)
    return np.clip(shared, 0, None) * parts


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
