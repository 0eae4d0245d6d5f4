"""Where samples flow from base concepts to tuned ones, as geometry and in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shiftlens.reporting.numbers import is_number, percent

_TOP, _GAP, _SMALLEST, _BAR = 26.0, 9.0, 22.0, 12.0
_STRONG = 0.5  # of the samples of either side: a flow that is drawn as one
_FAINTEST = {True: 0.02, False: 0.05}  # of either side: less is in the table alone
_TOLD = 0.1  # smallest share of a concept's samples that is named in words
Kinds = Sequence[Mapping[str, Any] | None]

FATES = {
    "kept": ("kept", "most of it forms most of one tuned concept"),
    "split": ("split", "nearly all of it forms several tuned concepts"),
    "merged": ("merged", "nearly all of it lies in one or two larger tuned concepts"),
    "vanished": ("vanished", "its samples are scattered, hardly any in concepts of their own"),
    "mixed": ("mixed", "none of these"),
}
ORIGINS = {
    "kept": ("kept", "most of it comes from one base concept that is mostly here"),
    "merged": ("merged", "several base concepts came together in it"),
    "piece": ("a piece", "it came off one or two larger base concepts"),
    "born": ("born", "its samples come from everywhere"),
    "mixed": ("mixed", "none of these"),
}
_SIGNS = {"kept": "=", "split": "<", "merged": ">", "vanished": "×", "born": "+", "a piece": "÷"}


@dataclass(frozen=True)
class Node:
    """One concept: a bar beside its label; ``fate`` is what became of it, or where it comes from.

    ``others`` are the numbers of the concepts on the other side that share samples with it.
    """

    index: int
    x: float
    y: float
    height: float
    label: str
    word: str
    fate: str
    sign: str
    said: str


@dataclass(frozen=True)
class Band:
    """Samples that a base concept and a tuned one share; ``share`` of whichever has less."""

    base: int
    tuned: int
    path: str
    share: float
    strong: bool
    said: str


@dataclass(frozen=True)
class Picture:
    """The flow drawn at one width."""

    width: float
    height: float
    left: tuple[Node, ...]
    right: tuple[Node, ...]
    bands: tuple[Band, ...]
    size: str  # wide or narrow


@dataclass(frozen=True)
class Line:
    """One concept in the table: where its samples are, largest share first."""

    index: int
    name: str
    samples: int
    fate: str
    meaning: str
    parts: tuple[tuple[int, str, int, str], ...]  # concept, its name, samples, share
    refits: str


@dataclass(frozen=True)
class FlowView:
    """Both drawings, sentences, and the numbers behind them."""

    pictures: tuple[Picture, ...]
    sentences: tuple[str, ...]
    base: tuple[Line, ...]
    tuned: tuple[Line, ...]
    samples: int
    description: str


def flow_view(
    flow: Mapping[str, Any] | None,
    changes: Sequence[Mapping[str, Any]],
    kinds: tuple[Kinds, Kinds] = ((), ()),
) -> FlowView | None:
    """Arrange ``flow`` of a document.

    Args:
        flow: ``{"counts", "base", "tuned"}``; absent in documents of earlier versions.
        changes: entries of the document's concepts, for names.
        kinds: what refits say became of the base's and of the tuned concepts, where they were made.

    Returns:
        the view, or ``None`` where there is nothing to draw.
    """
    counts = (flow or {}).get("counts") or []
    total = sum(map(sum, counts))
    if flow is None or not total:
        return None
    across = [list(column) for column in zip(*counts, strict=True)]
    names = {one["index"]: _words(one, "base") for one in changes}
    others = {one["partner"]: _words(one, "tuned") for one in changes}
    base = _lines(counts, names, others, flow["base"], FATES, kinds[0])
    tuned = _lines(across, others, names, flow["tuned"], ORIGINS, kinds[1])
    sentences = _sentences(base, tuned)
    return FlowView(
        pictures=(_drawn(counts, base, tuned, wide=True), _drawn(counts, base, tuned, wide=False)),
        sentences=sentences,
        base=tuple(sorted(base, key=lambda one: -one.samples)),
        tuned=tuple(sorted(tuned, key=lambda one: -one.samples)),
        samples=total,
        description=f"Where {total} samples flow from {len(counts)} base concepts to "
        f"{len(across)} tuned ones.",
    )


def _words(change: Mapping[str, Any], side: str) -> tuple[str, ...]:
    return tuple((change[f"contrastive_{side}"] or change[f"words_{side}"])[:2])


def _lines(
    counts: Sequence[Sequence[int]],
    names: Mapping[int, tuple[str, ...]],
    others: Mapping[int, tuple[str, ...]],
    fates: Sequence[str],
    meanings: Mapping[str, tuple[str, str]],
    kinds: Kinds,
) -> list[Line]:
    found: list[Line] = []
    for index, row in enumerate(counts):
        of, size = sorted(enumerate(row), key=lambda one: -one[1]), sum(row)
        parts = tuple(
            (j, ", ".join(others.get(j, ())), n, percent(n / size)) for j, n in of if n > 0
        )
        fate, meaning = meanings.get(fates[index], (fates[index], ""))
        kind = kinds[index] if index < len(kinds) else None
        said = ", ".join(names.get(index, ()))
        found.append(Line(index, said, size, fate, meaning, parts, _refits(kind)))
    return found


def _refits(kind: Mapping[str, Any] | None) -> str:
    """What refits say; empty where none were made."""
    if not kind:
        return ""
    told, agreement = str(kind.get("kind")), kind.get("agreement")
    if told not in FATES and told not in ORIGINS:
        return "refits do not agree"
    return f"{told} in {percent(agreement)} of them" if is_number(agreement) else told


def _sentences(base: Sequence[Line], tuned: Sequence[Line]) -> tuple[str, ...]:
    told: list[str] = []
    for fate, verb in (("split", "split into"), ("merged", "merged into"), ("vanished", "")):
        named = [_told(one, verb) for one in base if one.fate == fate]
        told += [f"{fate.capitalize()}: {'; '.join(named)}."] if named else []
    born = [_named(one) for one in tuned if one.fate == "born"]
    told += [f"Born: {', '.join(born)}."] if born else []
    kept = sum(one.fate == "kept" for one in base)
    return (f"Kept: {kept} of {len(base)} base concepts.", *told)


def _named(one: Line) -> str:
    return f"{one.index} ({one.name})" if one.name else str(one.index)


def _told(one: Line, verb: str) -> str:
    """A concept with the larger places where its samples went; scattered ones have none."""
    if not verb:
        return _named(one)
    places = [f"{j} ({share})" for j, _, n, share in one.parts if n / one.samples >= _TOLD]
    return f"{_named(one)} into {', '.join(places)}"


def _drawn(
    counts: Sequence[Sequence[int]], base: Sequence[Line], tuned: Sequence[Line], *, wide: bool
) -> Picture:
    width, margin = (760.0, 236.0) if wide else (360.0, 112.0)
    order = sorted(range(len(base)), key=lambda i: -base[i].samples)
    room = max(len(base), len(tuned)) * (_SMALLEST + _GAP) * 1.35
    left, height = _placed(base, order, margin - _BAR, room, wide)
    centres = {node.index: node.y + node.height / 2 for node in left}
    weigh = [_centre(column, centres) for column in zip(*counts, strict=True)]
    across = sorted(range(len(tuned)), key=lambda j: weigh[j])
    right, other = _placed(tuned, across, width - margin, room, wide)
    every = _bands(counts, base, tuned, left, right, (order, across))
    bands = tuple(band for band in every if band.share >= _FAINTEST[wide])
    size = "wide" if wide else "narrow"
    return Picture(width, max(height, other), left, right, bands, size)


def _centre(column: Sequence[int], centres: Mapping[int, float]) -> float:
    """Where the samples of a tuned concept come from, so that bands cross little."""
    total = sum(column)
    return sum(n * centres[i] for i, n in enumerate(column)) / total if total else float("inf")


def _placed(
    lines: Sequence[Line], order: Sequence[int], x: float, room: float, wide: bool
) -> tuple[tuple[Node, ...], float]:
    """Bars one below the other; their height is their share, and none is too low for its label."""
    total = sum(one.samples for one in lines) or 1
    y, nodes = _TOP, list[Node]()
    for index in order:
        one = lines[index]
        height = round(max(_SMALLEST, room * one.samples / total), 1)
        word = _short(one.name, 24 if wide else 9)
        said = f"concept {one.index}" + (f" ({one.name})" if one.name else "")
        said += f": {one.samples} samples, {one.fate}"
        sign = _SIGNS.get(one.fate, "·")
        nodes.append(Node(index, x, round(y, 1), height, str(index), word, one.fate, sign, said))
        y += height + _GAP
    return tuple(nodes), round(y, 1)


def _short(words: str, most: int) -> str:
    first = words if len(words) <= most else words.split(", ", 1)[0]
    return first if len(first) <= most else f"{first[: most - 1]}…"


def _bands(
    counts: Sequence[Sequence[int]],
    base: Sequence[Line],
    tuned: Sequence[Line],
    left: Sequence[Node],
    right: Sequence[Node],
    orders: tuple[Sequence[int], Sequence[int]],
) -> tuple[Band, ...]:
    """Bands leave each bar in the order in which they arrive, so that none crosses at its end."""
    from_left = {node.index: node for node in left}
    to_right = {node.index: node for node in right}
    starts = {index: node.y for index, node in from_left.items()}
    ends = {index: node.y for index, node in to_right.items()}
    found: list[Band] = []
    for i in orders[0]:
        for j in orders[1]:
            n = counts[i][j]
            if n <= 0:
                continue
            thick = [n / base[i].samples * from_left[i].height,
                     n / tuned[j].samples * to_right[j].height]  # fmt: skip
            path = _path(from_left[i].x + _BAR, to_right[j].x, starts[i], ends[j], *thick)
            starts[i] += thick[0]
            ends[j] += thick[1]
            of, to = n / base[i].samples, n / tuned[j].samples
            said = (f"{n} samples from base {i} to tuned {j}: {percent(of)} of the first, "
                    f"{percent(to)} of the second")  # fmt: skip
            found.append(Band(i, j, path, max(of, to), max(of, to) > _STRONG, said))
    return tuple(sorted(found, key=lambda band: band.strong))


def _path(x: float, to: float, y: float, end: float, thick: float, other: float) -> str:
    middle = (x + to) / 2
    return (
        f"M{x:.1f} {y:.1f}C{middle:.1f} {y:.1f} {middle:.1f} {end:.1f} {to:.1f} {end:.1f}"
        f"V{end + other:.1f}C{middle:.1f} {end + other:.1f} {middle:.1f} {y + thick:.1f} "
        f"{x:.1f} {y + thick:.1f}Z"
    )
