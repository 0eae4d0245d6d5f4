"""Names beside dots, each where it covers neither another name nor a dot."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.patheffects import withStroke

from shiftlens.core.drawing.palette import INK, PAPER
from shiftlens.core.drawing.paper import SMALL, Axes, letters

_LETTER = 0.56  # mean width of a letter, in heights of a line


@dataclass(frozen=True)
class Named:
    """A dot with its name.

    Attributes:
        x: value.
        y: value.
        radius: in points.
        name: what stands beside it; nothing where it is empty.
    """

    x: float
    y: float
    radius: float
    name: str


_Box = tuple[float, float, float, float]


def beside(axes: Axes, dots: Sequence[Named], colour: str = INK) -> list[str]:
    """Write the names of dots, the first ones first; a name that finds no room is left out.

    Args:
        axes: whose limits are final.
        dots: every dot, also those without a name, which are not to be covered.
        colour: of the names.

    Returns:
        the names that were written.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None  # axes of paper
    figure.draw_without_rendering()  # where things lie is known once the layout has been made
    scale = figure.dpi / 72
    left, low, right, high = map(float, axes.get_window_extent().extents)
    places = [tuple(map(float, axes.transData.transform((one.x, one.y)))) for one in dots]
    taken = [
        (x - r, y - r, x + r, y + r)
        for (x, y), r in zip(places, (one.radius * scale for one in dots), strict=True)
    ]
    halo = [withStroke(linewidth=2.5, foreground=PAPER)]  # lines pass behind, not through
    written: list[str] = []
    for one, (x, y) in zip(dots, places, strict=True):
        for dx, dy, across, along in _around(one.radius) if one.name else ():
            box = _box(one.name, x + dx * scale, y + dy * scale, across, along, scale)
            if _within(box, (left, low, right, high)) and not any(
                _meet(box, other) for other in taken
            ):
                axes.annotate(
                    one.name, (one.x, one.y), xytext=(dx, dy), textcoords="offset points",
                    ha=across, va=along, path_effects=halo, zorder=6, **letters(SMALL, colour),
                )  # fmt: skip
                taken.append(box)
                written.append(one.name)
                break
    return written


def _around(radius: float) -> tuple[tuple[float, float, str, str], ...]:
    """Offsets and alignments in the order of preference: above, below, right, left."""
    far = radius + 3
    return (
        (0.0, far, "center", "bottom"),
        (0.0, -far, "center", "top"),
        (far, 0.0, "left", "center"),
        (-far, 0.0, "right", "center"),
    )


def _box(name: str, x: float, y: float, across: str, along: str, scale: float) -> _Box:
    width, height = _LETTER * SMALL * len(name) * scale, 1.15 * SMALL * scale
    left = x - {"left": 0.0, "center": 0.5, "right": 1.0}[across] * width
    low = y - {"bottom": 0.0, "center": 0.5, "top": 1.0}[along] * height
    return (left, low, left + width, low + height)


def _meet(one: _Box, other: _Box) -> bool:
    return (
        one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
    )  # fmt: skip


def _within(box: _Box, frame: _Box) -> bool:
    return box[0] >= frame[0] and box[2] <= frame[2] and box[1] >= frame[1] and box[3] <= frame[3]
