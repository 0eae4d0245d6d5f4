"""What ``run`` says of steerings: figures with their goals, then every arm beside the others."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from shiftlens.cli.columns import padded
from shiftlens.cli.terminal import console, table
from shiftlens.reporting.numbers import decimal, signed

_DIRECTIONS = 8
_COLUMNS = ("", "value", "95 %", "change", "95 %", "- random", "p")
_WIDTHS = (-20, 6, 14, 7, 15, 9, 8)  # of the columns; the first is set left


def print_steering(steering: Mapping[str, Mapping[str, Any]], *, tables: bool) -> None:
    """Print every steering in at most eighty columns.

    Args:
        steering: the part of metrics.json.
        tables: print also what every arm did, and which directions were found.
    """
    for number, found in enumerate(steering.values()):
        if number:
            console().print()
        console().print(f"[bold]{_safe(found['title'])}[/bold] (n = {found['n']})")
        _print_figures(found["figures"])
        if tables and found.get("table"):
            _print_arms(found["table"])
        if tables and found.get("directions"):
            _print_directions(found["directions"], found["null"])


def _print_figures(figures: Sequence[Mapping[str, Any]]) -> None:
    lines = [
        (
            _safe(figure["label"]),
            decimal(figure["estimate"]),
            _safe(_interval(figure)),
            _safe(figure["goal"] or ""),
            {True: "reached", False: "MISSED", None: ""}[figure["holds"]],
        )
        for figure in figures
    ]
    grid = table("", ("", "share", "95 %", "goal", ""), lines)
    grid.columns[0].no_wrap = False  # labels end in what tells them apart
    console().print(grid)


def _print_arms(lines: Sequence[Mapping[str, Any]]) -> None:
    """One block for each thing that was asked and measured, one row for each arm."""
    out = console()
    out.print(_row(_COLUMNS), markup=False, style="dim")
    for key, group in itertools.groupby(lines, lambda line: (line["trial"], line["label"])):
        rows = list(group)
        n = max(row["n"] for row in rows)
        out.print(f"{key[0]}: {key[1]} (n = {n})", markup=False, style="dim")
        for row in rows:
            out.print(_row(_cells(row)), markup=False)


def _cells(line: Mapping[str, Any]) -> tuple[str, ...]:
    change, above, test = line["change"], line["above_random"], line["test"]
    return (
        f"  {line['arm']}",
        decimal(line["value"]["estimate"]),
        _interval(line["value"]),
        signed(change["estimate"]) if change else "",
        _interval(change) if change else "",
        signed(above["estimate"]) if above else "",
        _probability(test["p"]) if test else "",
    )


def _row(cells: Sequence[str]) -> str:
    """Cells cut and set to the widths of their columns."""
    parts = [
        padded(cell, abs(width), right=width > 0)
        for cell, width in zip(cells, _WIDTHS, strict=True)
    ]
    return "".join(parts).rstrip()


def _print_directions(directions: Sequence[Mapping[str, Any]], null: Sequence[int]) -> None:
    out = console()
    lines = [
        (
            f"{one['source']} to {one['target']}",
            _safe(one["more"] or "-"),
            _safe(f"{one['fewer']} ({one['lost']})" if one["fewer"] else "-"),
            str(one["score"]),
            f"{one['beaten_by']} of {len(null)}",
            f"{one['dose']:.2f}",
        )
        for one in directions[:_DIRECTIONS]
    ]
    columns = ("concepts", "more", "fewer", "score", "random above", "dose")
    out.print(table("", columns, lines))
    out.print(f"random directions of equal length score at most {max(null)}", markup=False)


def _interval(numbers: Mapping[str, Any]) -> str:
    return f"[{decimal(numbers['low'])}, {decimal(numbers['high'])}]"


def _probability(p: float) -> str:
    return "<.001" if p < 0.001 else f"{p:.3f}"


def _safe(text: str) -> str:
    """Text of a model or a user is never markup."""
    from rich.markup import escape

    return escape(text)
