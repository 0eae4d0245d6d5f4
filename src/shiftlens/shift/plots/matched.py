"""``matching``: concepts of the base at the left, of the tuned model at the right, and the flow."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shiftlens.core.drawing.letters import listed
from shiftlens.core.drawing.palette import BASE, INK, SOFT, TUNED, TUNED_WASH, between
from shiftlens.core.drawing.paper import SMALL, TEXT, Axes, Drawing, letters, paper

if TYPE_CHECKING:
    from shiftlens.concepts.concepts import Concepts
    from shiftlens.shift.concept_shift import ConceptShift

_GAP = 0.25  # between two blocks, in mean heights of a block
_EDGE = 0.012  # half the width of a block, in distances between the sides
_INNER = 0.105  # what the percentages take


@dataclass(frozen=True)
class _Block:
    """A concept: where its block begins and ends, from the top down."""

    index: int
    top: float
    bottom: float

    @property
    def middle(self) -> float:
        return (self.top + self.bottom) / 2


def matched(shift: "ConceptShift") -> Drawing:
    """Bands between partners, dashed lines to a nearest concept that is not the partner."""
    order = sorted(range(len(shift)), key=lambda index: -shift.base.sizes[index])
    left = _stacked(order, shift.base.sizes)
    right = _stacked([shift.bijective[index] for index in order], shift.tuned.sizes)
    figure, (axes,) = paper("Which concept became which", 9.6, 1.6 + 0.42 * len(order))
    axes.set_xlim(-0.62, 1.62)
    lowest = max(left[-1].bottom, right[-1].bottom)
    axes.set_ylim(lowest + 0.9, -0.9)
    axes.set_axis_off()
    changes = shift.changes()
    partners = {block.index: block for block in right}
    for block in left:
        change = changes[block.index]
        _band(axes, block, partners[change.partner], change.overlap)
        if change.nearest != change.partner:
            _towards(axes, block, partners[change.nearest])
    _side(axes, left, shift.base, at=0.0, colour=BASE)
    _side(axes, right, shift.tuned, at=1.0, colour=TUNED)
    _key(axes, lowest)
    return figure


def _stacked(order: Sequence[int], sizes: Sequence[int]) -> list[_Block]:
    """Blocks as high as the shares of the samples, a mean share being 1 high."""
    unit = len(sizes) / max(1, sum(sizes))
    found: list[_Block] = []
    top = 0.0
    for index in order:
        height = max(0.12, sizes[index] * unit)
        found.append(_Block(index, top, top + height))
        top += height + _GAP
    return found


def _band(axes: Axes, start: _Block, end: _Block, overlap: float) -> None:
    """A ribbon: pale where the words stayed, strong where they went."""
    across = [step / 40 for step in range(41)]
    smooth = [x * x * (3 - 2 * x) for x in across]
    upper = [start.top + s * (end.top - start.top) for s in smooth]
    lower = [start.bottom + s * (end.bottom - start.bottom) for s in smooth]
    inner = [_EDGE + x * (1 - 2 * _EDGE) for x in across]
    axes.fill_between(
        inner, upper, lower, color=between(TUNED_WASH, TUNED, 0.9 * (1 - overlap)), linewidth=0,
        alpha=0.9, label=f"{start.index} to {end.index}",
    )  # fmt: skip


def _towards(axes: Axes, start: _Block, end: _Block) -> None:
    axes.plot(
        (_INNER, 1 - _INNER), (start.middle, end.middle), color=INK, linewidth=1.1,
        linestyle=(0, (4, 3)), label=f"nearest of {start.index}",
    )  # fmt: skip


def _side(
    axes: Axes, blocks: Sequence[_Block], concepts: "Concepts", *, at: float, colour: str
) -> None:
    outwards = -1 if at == 0.0 else 1
    words = concepts.contrastive or concepts.words
    total = max(1, sum(concepts.sizes))
    for block in blocks:
        share = 100 * concepts.sizes[block.index] / total
        axes.fill_between(
            (at - _EDGE, at + _EDGE), block.top, block.bottom, color=colour, linewidth=0
        )
        axes.text(
            at + outwards * 0.03, block.middle, _label(block.index, words, outwards),
            ha="right" if outwards < 0 else "left", va="center", **letters(TEXT, INK),
        )  # fmt: skip
        axes.text(
            at - outwards * 0.025, block.middle, f"{share:.0f} %",
            ha="left" if outwards < 0 else "right", va="center", **letters(SMALL, INK),
        )  # fmt: skip
    title = "base" if outwards < 0 else "tuned"
    axes.text(
        at + outwards * 0.03, -0.5, title, ha="right" if outwards < 0 else "left",
        va="center", **letters(TEXT, colour, bold=True),
    )  # fmt: skip


def _label(index: int, words: Sequence[Sequence[str]], outwards: int) -> str:
    said = listed(words[index][:3], 26) if words else f"concept {index}"
    return f"{said}  {index}" if outwards < 0 else f"{index}  {said}"


def _key(axes: Axes, lowest: float) -> None:
    axes.text(
        0.5, lowest + 0.65,
        "bands join partners, the darker the fewer words stayed; "
        "a dashed line leads to the nearest, where that is another",
        ha="center", va="center", **letters(SMALL, SOFT),
    )  # fmt: skip
