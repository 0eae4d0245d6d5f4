"""A figure without a window, without pyplot, and without a setting that anybody else sees."""

from collections.abc import Sequence
from io import BytesIO
from typing import Any

from shiftlens.core.drawing.palette import CONTROL, INK, LINE, PAPER, SOFT
from shiftlens.core.errors import ShiftLensError

try:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
except ImportError as error:
    raise ShiftLensError(
        "figures need the package matplotlib", remedy="pip install 'shiftlens[plots]'"
    ) from error

from shiftlens.core.drawing.letters import families

SMALL, TEXT, HEADING = 8.5, 9.5, 12.0
_DPI = 100


class Drawing(Figure):
    """A figure that a notebook shows at once, sharp on any screen.

    A plain figure made without pyplot is shown only where pyplot was imported before.
    """

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        held = BytesIO()
        self.savefig(held, format="png", dpi=2 * _DPI)
        width, height = (round(float(inches) * _DPI) for inches in self.get_size_inches())
        return held.getvalue(), {"width": width, "height": height}


def paper(
    title: str,
    width: float,
    height: float,
    *,
    columns: int = 1,
    widths: Sequence[float] | None = None,
    share_y: bool = False,
) -> tuple[Drawing, list[Axes]]:
    """A figure with its heading, and axes side by side.

    Args:
        title: above everything, at the left.
        width: in inches.
        height: in inches.
        columns: how many axes.
        widths: of the axes, as ratios.
        share_y: one vertical axis for all of them.
    """
    figure = Drawing(figsize=(width, height), dpi=_DPI, facecolor=PAPER, layout="constrained")
    engine: Any = figure.get_layout_engine()
    engine.set(w_pad=0.09, h_pad=0.09, wspace=0.04)
    figure.suptitle(
        title,
        x=0.012,
        ha="left",
        **letters(HEADING, INK, bold=True),
    )
    grid = figure.subplots(1, columns, squeeze=False, width_ratios=widths, sharey=share_y)
    found: list[Axes] = list(grid[0])
    for axes in found:
        _plain(axes)
    return figure, found


def letters(size: float = TEXT, colour: str = INK, *, bold: bool = False) -> dict[str, Any]:
    """How a text is set: said in full, so that nobody's settings change it."""
    return {
        "fontsize": size,
        "color": colour,
        "fontfamily": families(),
        "fontweight": "bold" if bold else "normal",
        "parse_math": False,
        "usetex": False,
    }


def named(axes: Axes, title: str = "", *, x: str = "", y: str = "") -> None:
    """A heading of one panel and the names of its axes."""
    axes.set_title(title, loc="left", pad=9, **letters(TEXT, SOFT))
    axes.set_xlabel(x, labelpad=6, **letters(TEXT, SOFT))
    axes.set_ylabel(y, labelpad=6, **letters(TEXT, SOFT))


def _plain(axes: Axes) -> None:
    axes.set_facecolor(PAPER)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(CONTROL)
        spine.set_linewidth(0.8)
    axes.tick_params(
        axis="both", which="both", direction="out", length=3, width=0.8, color=CONTROL,
        labelsize=SMALL, labelcolor=SOFT, labelfontfamily=families(), top=False, right=False,
    )  # fmt: skip
    axes.grid(visible=False)
    axes.set_axisbelow(True)


def ruled(axes: Axes, axis: str = "y") -> None:
    """Pale lines to read values off, across one axis."""
    chosen: Any = axes.yaxis if axis == "y" else axes.xaxis
    chosen.grid(visible=True, color=LINE, linewidth=0.8, linestyle="-", alpha=1.0)


def rows(axes: Axes, labels: Sequence[str]) -> None:
    """One row a label, from the top down; the labels stand at the left and need no axis."""
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_yticks(range(len(labels)), labels, **letters(TEXT, INK))
    axes.tick_params(axis="y", length=0, pad=6)
    axes.spines["left"].set_visible(False)


def at_ends(axes: Axes, ends: Sequence[tuple[float, str, str]]) -> None:
    """Names of lines beside their right ends, moved apart so that none covers another.

    Args:
        axes: whose vertical limits are final.
        ends: of each line: where it ends, its name, its colour.
    """
    low, high = axes.get_ylim()
    ordered = sorted(ends, key=lambda end: end[0])
    places = _apart([y for y, _, _ in ordered], low, high)
    across = axes.get_yaxis_transform()  # x: shares of the axes, y: values
    for place, (y, name, colour) in zip(places, ordered, strict=True):
        if abs(place - y) > 0.01 * (high - low):
            axes.plot(
                (1.0, 1.018), (y, place), transform=across, color=LINE, linewidth=0.8,
                clip_on=False, label="_leader",
            )  # fmt: skip
        axes.text(1.025, place, name, transform=across, va="center", **letters(SMALL, colour))


def _apart(values: Sequence[float], low: float, high: float) -> list[float]:
    """Rising values moved up, then down, until no two are closer than a line of text."""
    gap = (high - low) * min(0.062, 1 / max(1, len(values)))
    risen: list[float] = []
    for value in values:
        risen.append(max(value, risen[-1] + gap) if risen else value)
    kept: list[float] = []
    for value in reversed(risen):
        kept.append(min(value, kept[-1] - gap if kept else high))
    return kept[::-1]
