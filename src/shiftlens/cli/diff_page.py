"""What ``diff`` says in the end: one page of at most eighty columns."""

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.markup import escape

from shiftlens.cli.terminal import WIDTH, console
from shiftlens.reporting.diff_labels import (
    EFFECTS,
    NO_MARGIN,
    concept_name,
    has_margin,
    is_looked_at,
    kind_label,
    looked_at,
    margin_in_words,
    most_moved_first,
    reasons,
    short_names,
)
from shiftlens.reporting.diff_summary import WHAT_TO_DO
from shiftlens.reporting.numbers import (
    DASH,
    bounds,
    count,
    decimal,
    is_number,
    percent,
    percent_bounds,
    signed,
)

_ROOM = 10  # lines for concepts
_RANKED = 4
_INDENT = 12
_SIDES = ("changed", "stable", "undecided")


def print_diff(document: Mapping[str, Any], report: Path, note: str) -> None:
    """Print what a diff found.

    Args:
        document: the content of diff.json, checked.
        report: the HTML file; diff.json lies beside it.
        note: how long it took, and what was taken from an earlier run.
    """
    out = console()
    for line in page_lines(document):
        out.print(line, soft_wrap=True)
    out.print(note, markup=False, soft_wrap=True)
    out.print(f"  report   {report}", markup=False, soft_wrap=True)
    out.print(f"  numbers  {report.with_name('diff.json')}", markup=False, soft_wrap=True)


def page_lines(document: Mapping[str, Any]) -> list[str]:
    """The page without its last lines, as markup, each line at most eighty columns wide."""
    sections = (_head, _answers, _ranking, _verdicts, _concepts, _how_sure)
    lines: list[str] = []
    for section in sections:
        lines += [*section(document), ""]
    return lines


def _head(document: Mapping[str, Any]) -> list[str]:
    base, tuned = short_names(document)
    data, parts = document["data"], document["data"]["parts"]
    unread = data["samples"] - data["read"]
    asked = f"{count(data['read'])} samples of {count(data['pictures'])} pictures"
    if unread:
        asked += f" ({count(unread)} could not be read)"
    names = {"selection": "to choose", "estimation": "to learn", "judging": "to judge"}
    cut = ", ".join(f"{count(parts[name])} {what}" for name, what in names.items() if name in parts)
    bad = document["answers"].get("not_finite", 0)  # of documents since it is counted
    told = f"NaN or infinity in {count(bad)} answers: a model overflows, or its weights are damaged"
    return [
        f"[bold]What changed from {_cell(base, 24).rstrip()} to {_cell(tuned, 24).rstrip()}[/bold]",
        *textwrap.wrap(f"{asked}: {cut}", WIDTH),
        *([told] if bad else []),
    ]


def _answers(document: Mapping[str, Any]) -> list[str]:
    answers = document["answers"]
    changed = answers["changed"]
    first = (
        f"{_title('answers')}{percent(changed['estimate'])} changed "
        f"{_plain(percent_bounds(changed))}"
    )
    if answers.get("likeness"):
        alike = answers["likeness"]
        first += f"; likeness word by word {decimal(alike['estimate'])} {_plain(bounds(alike))}"
    lines = [first]
    if answers.get("divergence"):
        apart = answers["divergence"]
        lines.append(
            f"{_title('')}the next token parts by {decimal(apart['estimate'])} nats "
            f"{_plain(bounds(apart))} on the base's text"
        )
    return lines


def _ranking(document: Mapping[str, Any]) -> list[str]:
    head = f"{'where they part':<30}{'nats an answer':>14}{'nats at it':>12}{'answers':>10}"
    lines = [f"[dim]{head}[/dim]"]
    for one in document["ranking"][:_RANKED]:
        name = f"“{one['name']}”" if one.get("is_word") else str(one["name"])
        mark = "  [bold]looked at[/bold]" if is_looked_at(one, document["site"]) else ""
        lines.append(
            f"  {_cell(name, 28)}{decimal(one['weight']):>14}{decimal(one['divergence']):>12}"
            f"{percent(one['share']):>10}{mark}"
        )
    return lines


def _verdicts(document: Mapping[str, Any]) -> list[str]:
    site, concepts = document["site"], document["concepts"]
    place = f"{_cell(looked_at(site), 26).rstrip()}, layer {site['layer']}"
    chosen = "k chosen by stability" if (document.get("k") or {}).get("stability") else "k named"
    lines = [f"{_title('concepts')}{len(concepts)} at {place} ({chosen})"]
    if not has_margin(document):
        lines.append(f"{_title('verdicts')}[bold]all undecided: {NO_MARGIN}[/bold]")
        return lines + _wrapped(WHAT_TO_DO)
    for name, title in (("moved", "verdicts"), ("own", "")):
        counts = document["summary"][name]
        told = ", ".join(f"{counts[side]} {side}" for side in _SIDES)
        lines.append(f"{_title(title)}{EFFECTS[name] + ':':<10}{told}")
    return [*lines, f"{_title('margin')}{escape(margin_in_words(document['margins']))}"]


def _concepts(document: Mapping[str, Any]) -> list[str]:
    concepts = most_moved_first(document["concepts"])
    lines = [
        f"[dim]{'concept':<24}{'words that came':<22}{'moved, in spreads':>18}  verdict[/dim]",
        f"[dim]{'  own move':<24}{'kind':<22}{'undone':>18}  answers in/out[/dim]",
    ]
    told = [_concept(one) for one in concepts]
    shown = 0
    while shown < len(told) and sum(map(len, told[: shown + 1])) <= _ROOM:
        lines += told[shown]
        shown += 1
    if shown < len(told):
        lines.append(f"[dim]{len(told) - shown} more in the report[/dim]")
    return lines


def _concept(one: Mapping[str, Any]) -> list[str]:
    moved, own = one["moved"], one["own"]
    effect = f"{decimal(moved['estimate'])} {bounds(moved)}".rstrip()
    lines = [
        f"[bold]{_cell(concept_name(one, 3), 23)}[/bold] {_cell(', '.join(one['came'][:3]), 21)} "
        f"{_plain(f'{effect:>18}')}  {_verdict(moved)}"
    ]
    if is_number(own["estimate"]):
        apart = f"own {decimal(own['estimate'])} {own['verdict']}"
        undone = _plain(f"{_undone(one['visible']):>18}")
        lines.append(
            f"  {_cell(apart, 21)} {_cell(kind_label(one['kind']) or '-', 21)} {undone}  "
            f"{_in_out(one['visible'])}"
        )
    return [*lines, *(f"  [dim]{_cell(why, WIDTH - 2).rstrip()}[/dim]" for why in reasons(one))]


def _in_out(visible: Mapping[str, Any]) -> str:
    """Shares of changed answers inside and outside, in percent."""
    sides = [visible.get(side) or {} for side in ("inside", "outside")]
    shares = [decimal(100 * side["estimate"], 0) if side else DASH for side in sides]
    return "/".join(shares) + " %"


def _undone(visible: Mapping[str, Any]) -> str:
    """What subtracting the shift regains over random directions, where that was tried."""
    gained = visible.get("restored_minus_random")
    return f"{signed(gained['estimate'])} {bounds(gained)}" if gained else "not tried"


def _verdict(verdict: Mapping[str, Any]) -> str:
    said = escape(str(verdict["verdict"]))
    return f"[bold]{said}[/bold]" if said == "changed" else said


def _how_sure(document: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    shares = document.get("weights_or_words")
    if shares:
        parts = ", ".join(f"{name} {decimal(value)}" for name, value in shares.items())
        lines += _wrapped(f"{parts} (of the squared shift)", "own text")
    draws = (document.get("settings") or {}).get("draws")
    refits = f"{draws} refits; " if is_number(draws) else ""
    lines += _wrapped(f"{refits}intervals hold for all concepts and both effects at once", "sure")
    lines += _wrapped(
        "undone: likeness to the base's answer regained by subtracting the shift, over random; "
        "in/out: answers changed inside, outside"
    )
    return [*lines, *_wrapped("exploratory: where they part, shares, layers")]


def _title(text: str) -> str:
    """The first column."""
    return f"[bold]{text:<{_INDENT}}[/bold]" if text else " " * _INDENT


def _plain(text: str) -> str:
    return escape(text)


def _cell(text: str, width: int) -> str:
    """Text of a model or a user in a column: no markup, no control characters, cut or filled."""
    seen = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(text))
    if cell_len(seen) > width:
        seen = set_cell_size(seen, width - 1).rstrip() + "…"
    return escape(set_cell_size(seen, width))


def _wrapped(text: str, title: str = "") -> list[str]:
    """A sentence beside the first column, on as many lines as it needs."""
    lines = textwrap.wrap(text, WIDTH - _INDENT)
    return [_title(title if not i else "") + escape(line) for i, line in enumerate(lines)]
