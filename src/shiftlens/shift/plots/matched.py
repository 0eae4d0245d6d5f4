"""``matching``: concepts of the base at the left, of the tuned model at the right, and the flow."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shiftlens.core.drawing.letters import listed
from shiftlens.core.drawing.palette import BASE, CONTROL, INK, SOFT, TUNED, TUNED_WASH, between
from shiftlens.core.drawing.paper import SMALL, TEXT, Axes, Drawing, letters, paper

if TYPE_CHECKING:
    from shiftlens.concepts.concepts import Concepts
    from shiftlens.shift.concept_shift import ConceptShift

_GAP = 0.25  # between two blocks, in mean heights of a block
_EDGE = 0.012  # half the width of a block, in distances between the sides
_INNER = 0.105  # what the percentages take
_FAINTEST = 0.1  # of the smaller side: fewer samples have no band
_PLAIN = ("", "kept", "mixed")  # fates that need no word
_OF_FLOWS = (
    "bands are samples; those between partners are orange, the darker the fewer words stayed"
)
_OF_PARTNERS = (
    "bands join partners, the darker the fewer words stayed; "
    "a dashed line leads to the nearest, where that is another"
)


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
    """Bands of samples that flow from concept to concept; without a flow, bands between partners.

    Shifts of earlier versions have none: there dashed lines lead to a nearest concept that is not
    the partner.
    """
    order = sorted(range(len(shift)), key=lambda index: -shift.base.sizes[index])
    beside = [shift.bijective[index] for index in order]
    if shift.flow:
        counts: list[list[int]] = shift.flow["counts"]
        sizes = (
            [sum(row) for row in counts],
            [sum(column) for column in zip(*counts, strict=True)],
        )
    else:
        sizes = (list(shift.base.sizes), list(shift.tuned.sizes))
    left, right = _stacked(order, sizes[0]), _stacked(beside, sizes[1])
    figure, (axes,) = paper("Which concept became which", 9.6, 1.6 + 0.42 * len(order))
    lowest = max(left[-1].bottom, right[-1].bottom)
    axes.set_xlim(-0.62, 1.62)
    axes.set_ylim(lowest + 0.9, -0.9)
    axes.set_axis_off()
    if shift.flow:
        _flows(axes, shift, left, right)
    else:
        _partners(axes, shift, left, {block.index: block for block in right})
    fates = (shift.flow or {}).get("base"), (shift.flow or {}).get("tuned")
    _side(axes, left, shift.base, sizes[0], fates[0], at=0.0)
    _side(axes, right, shift.tuned, sizes[1], fates[1], at=1.0)
    axes.text(
        0.5, lowest + 0.65, _OF_FLOWS if shift.flow else _OF_PARTNERS, ha="center", va="center",
        **letters(SMALL, SOFT),
    )  # fmt: skip
    return figure


def _flows(
    axes: Axes, shift: "ConceptShift", left: Sequence[_Block], right: Sequence[_Block]
) -> None:
    """A band for the samples of each pair of concepts, in slices of the two blocks."""
    assert shift.flow is not None  # asked before
    counts: list[list[int]] = shift.flow["counts"]
    n = max(1, sum(map(sum, counts)))
    unit, arrived = len(left) / n, {block.index: block.top for block in right}
    changes = shift.changes()
    for start in left:
        top = start.top
        for end in right:
            here = counts[start.index][end.index]
            pair = (
                _Block(start.index, top, top + here * unit),
                _Block(end.index, arrived[end.index], arrived[end.index] + here * unit),
            )
            top, arrived[end.index] = pair[0].bottom, pair[1].bottom
            columns = sum(row[end.index] for row in counts)
            if here and here >= _FAINTEST * min(sum(counts[start.index]), columns):
                change = changes[start.index]
                _band(axes, *pair, change.overlap if change.partner == end.index else None)


def _partners(
    axes: Axes, shift: "ConceptShift", left: Sequence[_Block], partners: dict[int, _Block]
) -> None:
    changes = shift.changes()
    for block in left:
        change = changes[block.index]
        _band(axes, block, partners[change.partner], change.overlap)
        if change.nearest != change.partner:
            _towards(axes, block, partners[change.nearest])


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


def _band(axes: Axes, start: _Block, end: _Block, overlap: float | None) -> None:
    """A ribbon: pale where the words stayed, strong where they went, grey between no partners."""
    strong = None if overlap is None else between(TUNED_WASH, TUNED, 0.2 + 0.7 * (1 - overlap))
    across = [step / 40 for step in range(41)]
    smooth = [x * x * (3 - 2 * x) for x in across]
    upper = [start.top + s * (end.top - start.top) for s in smooth]
    lower = [start.bottom + s * (end.bottom - start.bottom) for s in smooth]
    inner = [_EDGE + x * (1 - 2 * _EDGE) for x in across]
    axes.fill_between(
        inner, upper, lower, color=strong or CONTROL, linewidth=0, alpha=0.9 if strong else 0.3,
        label=f"{start.index} to {end.index}",
    )  # fmt: skip


def _towards(axes: Axes, start: _Block, end: _Block) -> None:
    axes.plot(
        (_INNER, 1 - _INNER), (start.middle, end.middle), color=INK, linewidth=1.1,
        linestyle=(0, (4, 3)), label=f"nearest of {start.index}",
    )  # fmt: skip


def _side(
    axes: Axes,
    blocks: Sequence[_Block],
    concepts: "Concepts",
    sizes: Sequence[int],
    fates: Sequence[str] | None,
    *,
    at: float,
) -> None:
    outwards, colour = (-1, BASE) if at == 0.0 else (1, TUNED)
    words, total = concepts.contrastive or concepts.words, max(1, sum(sizes))
    inner, outer = ("left", "right") if outwards < 0 else ("right", "left")
    for block in blocks:
        fate = fates[block.index] if fates else ""
        told = f"{100 * sizes[block.index] / total:.0f} %"
        axes.fill_between(
            (at - _EDGE, at + _EDGE), block.top, block.bottom, color=colour, linewidth=0
        )
        axes.text(
            at + outwards * 0.03, block.middle, _label(block.index, words, outwards),
            ha=outer, va="center", **letters(TEXT, INK),
        )  # fmt: skip
        axes.text(
            at - outwards * 0.025, block.middle, told if fate in _PLAIN else f"{told} {fate}",
            ha=inner, va="center", **letters(SMALL, INK),
        )  # fmt: skip
    axes.text(
        at + outwards * 0.03, -0.5, "base" if outwards < 0 else "tuned", ha=outer, va="center",
        **letters(TEXT, colour, bold=True),
    )  # fmt: skip


def _label(index: int, words: Sequence[Sequence[str]], outwards: int) -> str:
    said = listed(words[index][:3], 26) if words else f"concept {index}"
    return f"{said}  {index}" if outwards < 0 else f"{index}  {said}"
