"""What ``evaluate`` says in the end: a table for each trial, and where answers went."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shiftlens.cli.terminal import console, print_json, table
from shiftlens.core.intervals import Interval
from shiftlens.reporting.numbers import bounds, decimal, signed

if TYPE_CHECKING:
    from shiftlens.steering.evaluating import Evaluation, Line

_ANSWERS = 5  # rows and columns of a transition matrix in eighty columns
_REST = "(other)"
_NAME, _WIDE = 11, 12  # columns of an arm's name, of an answer


def print_cost(cost: dict[str, Any], *, as_json: bool) -> None:
    """Print what an evaluation would cost.

    Args:
        cost: ``trials``, ``samples`` of each, ``answers`` and ``passes`` at most.
        as_json: print it as it is.
    """
    if as_json:
        print_json(cost)
        return
    console().print(
        f"{cost['trials']} data sets, at most {cost['samples']} samples of each\n"
        f"at most {cost['answers']} answers to generate, {cost['passes']} forward passes",
        markup=False,
    )


def print_evaluation(found: "Evaluation", path: Path, drawn: Path | None = None) -> None:
    """Print an evaluation in eighty columns.

    Args:
        found: what was measured.
        path: where all of it is.
        drawn: its page, where there is one.
    """
    page = console()
    for name, about in found.about["trials"].items():
        page.print(
            f"{name}: task {about['task']}, {about['n']} samples", markup=False, style="bold"
        )
        _print_lines(found.of(trial=name))
        for arm, details in found.details[name].items():
            _print_transitions(arm, details.get("transitions", {}))
        page.print()
    for arm, receipt in found.receipts[next(iter(found.about["trials"]))].items():
        page.print(f"{arm}: {receipt['summary']}", markup=False, soft_wrap=True, style="dim")
    for note in found.about["notes"]:
        page.print(f"NOTE {note}", markup=False, soft_wrap=True)
    if drawn is not None:
        page.print(f"page: {drawn}", markup=False, soft_wrap=True)
    page.print(f"everything, with examples: {path}", markup=False, soft_wrap=True)


def _print_lines(lines: "Sequence[Line]") -> None:
    page = console()
    steered = any(line.above_random is not None for line in lines)
    heads = ["value", "change", *(["above random"] if steered else []), "p"]
    widths = [18, 21, *([21] if steered else []), 7]
    by_measure: dict[str, list[Line]] = {}
    for line in lines:
        by_measure.setdefault(line.measure, []).append(line)
    still = [rows[0].label for rows in by_measure.values() if _says_nothing(rows)]
    told = [rows for rows in by_measure.values() if not _says_nothing(rows)]
    if told:
        page.print(_row("", heads, widths), markup=False, style="dim")
    for rows in told:
        one, sizes = rows[0], sorted({line.n for line in rows})
        size = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
        role = "" if one.role == "effect" else f", {one.role}"
        page.print(f"{one.label} (n = {size}{role})", markup=False)
        for line in rows:
            page.print(_row(line.arm, _cells(line, steered), widths), markup=False)
    if still:
        page.print(f"the same in every arm: {', '.join(still)}", markup=False)


def _says_nothing(rows: "Sequence[Line]") -> bool:
    """Whether a side effect has one value in all arms, and no sample changed."""
    return rows[0].role == "side effect" and all(
        line.change is None or (line.change.estimate == line.change.low == line.change.high == 0)
        for line in rows
    )


def _cells(line: "Line", steered: bool) -> list[str]:
    above = [_signed(line.above_random)] if steered else []
    return [_interval(line.value), _signed(line.change), *above, _p(line)]


def _row(name: str, cells: Sequence[str], widths: Sequence[int]) -> str:
    # A name that is too long takes a line of its own, rather than shift the numbers.
    head = f"  {name}"
    lead = f"{head:<{_NAME + 2}}" if len(head) <= _NAME + 2 else f"{head}\n{'':<{_NAME + 2}}"
    body = "".join(f" {cell:>{width - 1}}" for cell, width in zip(cells, widths, strict=True))
    return (lead + body).rstrip()


def _interval(one: Interval) -> str:
    return f"{decimal(one.estimate)} {bounds(one.to_dict())}"


def _signed(one: Interval | None) -> str:
    return "" if one is None else f"{signed(one.estimate)} {bounds(one.to_dict())}"


def _p(line: "Line") -> str:
    if line.test is None:
        return ""
    return "<.001" if line.test.p < 0.001 else f"{line.test.p:.3f}".lstrip("0") or "0"


def _print_transitions(arm: str, by_type: Mapping[str, Mapping[str, Mapping[str, int]]]) -> None:
    """Where answers went, for each type of question in which any changed."""
    page = console()
    for kind, matrix in by_type.items():
        if all(set(row) <= {was} for was, row in matrix.items()):
            continue
        said = "" if kind == "(no type)" else f" ({kind})"
        page.print(f"{arm}{said}: unsteered answers in rows, what became of them in columns",
                   markup=False)  # fmt: skip
        small = _smaller(matrix)
        columns = list(dict.fromkeys([*small, *(now for row in small.values() for now in row)]))
        columns.sort(key=_REST.__eq__)
        cells = [
            (_short(was), *(_count(small.get(was, {}).get(now, 0)) for now in columns))
            for was in sorted(small, key=_REST.__eq__)
        ]
        heads, *rows = _escaped([("", *map(_short, columns)), *cells])
        page.print(table("", heads, rows))


def _smaller(matrix: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    """The same with the commonest answers; the others are added up."""
    sums: dict[str, int] = {}
    for was, row in matrix.items():
        for now, count in row.items():
            sums[was] = sums.get(was, 0) + count
            sums[now] = sums.get(now, 0) + count
    kept = set(sorted((one for one in sums if one != _REST), key=lambda one: -sums[one])[:_ANSWERS])
    small: dict[str, dict[str, int]] = {}
    for was, row in matrix.items():
        target = small.setdefault(was if was in kept else _REST, {})
        for now, count in row.items():
            name = now if now in kept else _REST
            target[name] = target.get(name, 0) + count
    return small


def _short(answer: str) -> str:
    shown = answer or "(silence)"
    return shown if len(shown) <= _WIDE else f"{shown[: _WIDE - 1]}…"


def _count(value: int) -> str:
    return str(value) if value else "."


def _escaped(rows: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    from rich.markup import escape

    return [tuple(map(escape, row)) for row in rows]
