"""Which answer became which, as tables: counts, sums, shares of a row as a colour."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shiftlens.reporting.numbers import count, percent, percent_bounds

OTHER = "(other)"
ALL = "(no type)"
_BASELINES = ("random direction", "instruction", "fine-tuned")
_LEVELS = 5  # steps of colour above none
_WHOLE = 6  # answers up to which a table is shown whole, with rows in which nothing changed
_SHORT = 28  # letters of an answer in a table
_LONG = 300  # letters of it on hover

Matrix = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class Head:
    """An answer as a row or a column is called: as much as fits, and on hover more of it."""

    text: str
    whole: str


@dataclass(frozen=True)
class Cell:
    """How many answers of a row became that of a column.

    Attributes:
        count: as it is shown; empty for none.
        share: of the row, in words; empty for none.
        interval: of that share, in words; empty for none, and where the document has no intervals.
        level: 0 to 5, how strongly it is coloured.
        stays: whether it is the answer that it was.
        meant: whether the steering was to bring this about.
        text: all of it, shown on hover.
    """

    count: str
    share: str
    interval: str
    level: int
    stays: bool
    meant: bool
    text: str


@dataclass(frozen=True)
class Row:
    """One answer before: its cells, and how often it was given."""

    head: Head
    cells: tuple[Cell, ...]
    total: str


@dataclass(frozen=True)
class Transitions:
    """One table: an arm's answers to one kind of sample.

    Attributes:
        arm: who answered.
        of: which samples.
        columns: answers after.
        rows: answers before; where nothing changed there may be none.
        totals: of each column, and of all.
        said: how many samples changed, in words.
        rest: rows that are not shown because all of their answers stayed; an empty text for none.
        baseline: whether the arm is one to compare with.
        has_meant: whether any cell is framed.
        has_intervals: whether shares have intervals, which documents of earlier versions lack.
    """

    arm: str
    of: str
    columns: tuple[Head, ...]
    rows: tuple[Row, ...]
    totals: tuple[str, ...]
    said: str
    rest: str
    baseline: bool
    has_meant: bool
    has_intervals: bool


def transitions_of(steering: Mapping[str, Any]) -> tuple[Transitions, ...]:
    """Every table of a steering; none where the document counts no changes."""
    found: list[Transitions] = []
    pairs = steering.get("meant") or ()
    for data, arms in (steering.get("changes") or {}).items():
        for arm, one in arms.items():
            changed = one.get("changed") or {}
            for kind, matrix in one["transitions"].items():
                meant = {
                    (pair["before"], pair["after"])
                    for pair in pairs
                    if pair.get("kind", kind) == kind
                }
                counts = _Counts(
                    matrix, (one.get("rates") or {}).get(kind) or {}, meant, changed.get(kind)
                )
                found.append(_table(arm, _of(data, kind), counts))
    return tuple(sorted(found, key=lambda one: one.baseline))


def _of(data: str, kind: str) -> str:
    return data if kind in (ALL, data) else f"{data}: {kind}"


@dataclass(frozen=True)
class _Counts:
    """What a document holds of one table.

    Attributes:
        matrix: counts by answer before and after.
        rates: shares of each row with intervals; empty in documents of earlier versions.
        meant: which changes the steering is for.
        changed: how many samples changed, where that is known.
    """

    matrix: Matrix
    rates: Mapping[str, Mapping[str, Any]]
    meant: set[tuple[str, str]]
    changed: int | None

    @property
    def moved(self) -> dict[str, int]:
        """For each answer before, how many became another one."""
        return {
            was: sum(n for now, n in row.items() if now != was) for was, row in self.matrix.items()
        }

    @property
    def hidden(self) -> int | None:
        """Changes among rarer answers, where they are known."""
        return None if self.changed is None else self.changed - sum(self.moved.values())

    def interval(self, was: str, now: str) -> str:
        """Of the share of a cell; an empty text where the document has none."""
        row = self.rates.get(was)
        return "" if row is None else percent_bounds(row["after"].get(now) or row["none"])


def _table(arm: str, of: str, counts: _Counts) -> Transitions:
    matrix, meant, changed = counts.matrix, counts.meant, counts.changed
    order = _order(matrix, meant)
    moved, hidden = counts.moved, counts.hidden
    # Without the total nobody knows what went on among the rarer answers: the row is shown.
    unsure = OTHER if OTHER in matrix and hidden != 0 else None
    rows = [was for was in order if was in matrix]
    if len(order) > _WHOLE:
        rows = [was for was in rows if moved[was] or was == unsure]
    columns = [now for now in order if any(matrix[was].get(now) for was in rows)]
    left = [was for was in matrix if was not in rows]
    n = sum(sum(row.values()) for row in matrix.values())
    return Transitions(
        arm=arm,
        of=of,
        columns=tuple(map(_head, columns)) if rows else (),
        rows=tuple(_row(was, counts, columns) for was in rows),
        totals=_totals(matrix, rows, columns),
        said=_said(changed, sum(moved.values()), n, OTHER in matrix),
        rest=_rest(matrix, left),
        baseline=arm in _BASELINES,
        has_meant=any((was, now) in meant for was in rows for now in columns),
        has_intervals=bool(counts.rates),
    )


def _order(matrix: Matrix, meant: set[tuple[str, str]]) -> list[str]:
    """What is meant first, then the commonest; what is counted together last."""
    sums: Counter[str] = Counter()
    for was, row in matrix.items():
        for now, n in row.items():
            sums[was] += n
            sums[now] += n
    first = [one for pair in sorted(meant) for one in pair]

    def place(answer: str) -> tuple[bool, int, int, str]:
        named = first.index(answer) if answer in first else len(first)
        return answer == OTHER, named, -sums[answer], answer

    return sorted(sums, key=place)


def _head(answer: str) -> Head:
    text = answer.strip() or "(nothing)"
    short = text if len(text) <= _SHORT else f"{text[: _SHORT - 1]}…"
    return Head(short, text if len(text) <= _LONG else f"{text[: _LONG - 1]}…")


def _row(was: str, counts: _Counts, columns: Sequence[str]) -> Row:
    total = sum(counts.matrix[was].values())
    cells = [_cell(was, now, counts, total) for now in columns]
    return Row(_head(was), tuple(cells), count(total))


def _cell(was: str, now: str, counts: _Counts, total: int) -> Cell:
    n, meant = counts.matrix[was].get(now, 0), (was, now) in counts.meant
    share, interval = n / total if total else 0.0, counts.interval(was, now)
    said = ", ".join([percent(share), *([f"95\N{NO-BREAK SPACE}% {interval}"] if interval else [])])
    text = f"“{_head(was).text}” → “{_head(now).text}”: {count(n)} of {count(total)} ({said})"
    if was == now == OTHER:
        hidden = counts.hidden
        among = "some of them may have" if hidden is None else f"{max(hidden, 0)} of them"
        text += f"; {among} changed to another rare answer"
    return Cell(
        count=count(n) if n else "",
        share=percent(share) if n else "",
        interval=interval if n else "",
        # Any answer at all has a colour: a single one that moved must be seen.
        level=max(1, round(_LEVELS * share)) if n else 0,
        stays=was == now,
        meant=meant,
        text=text + (", as was meant" if meant else ""),
    )


def _totals(matrix: Matrix, rows: Sequence[str], columns: Sequence[str]) -> tuple[str, ...]:
    if not rows:
        return ()
    sums = [sum(matrix[was].get(now, 0) for was in rows) for now in columns]
    return (*map(count, sums), count(sum(sums)))


def _said(changed: int | None, seen: int, n: int, has_others: bool) -> str:
    if changed is None:
        among = " (changes among rarer answers are not counted)" if has_others else ""
        return f"{count(seen)} of {count(n)} changed{among}"
    rare = changed - seen
    among = f", {count(rare)} of them among rarer answers" if rare > 0 else ""
    return f"{count(changed)} of {count(n)} changed{among}"


def _rest(matrix: Matrix, left: Sequence[str]) -> str:
    if not left:
        return ""
    n = sum(sum(matrix[was].values()) for was in left)
    named = f"{len(left)} answers" if len(left) > 1 else f"“{_head(left[0]).text}”"
    return f"Not shown: {named} ({count(n)} samples), which all stayed."
