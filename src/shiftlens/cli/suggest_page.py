"""What ``suggest`` says: words, layers, and the command that comes next, in eighty columns."""

from pathlib import Path
from typing import TYPE_CHECKING

from shiftlens.cli.suggest_next import TUNED
from shiftlens.cli.terminal import console, table
from shiftlens.reporting.numbers import DASH, decimal

if TYPE_CHECKING:
    from shiftlens.core.intervals import Interval
    from shiftlens.study.suggesting import LayerWorth, Suggestion, Worth

_GRAMMAR = 8  # words of grammar that are named
_BAD = 3  # samples that could not be read, and are named
_STYLES = {"yes": "green", "perhaps": "yellow", "no": "red"}


def print_suggestion(found: "Suggestion", data: str, command: str, path: Path) -> None:
    """Print a suggestion.

    Args:
        found: what was found.
        data: the samples as the user called them.
        command: what comes next.
        path: where all numbers are.
    """
    page = console()
    page.print(_head(found, data), markup=False, soft_wrap=True)
    if not found.words:
        said = ", ".join(found.grammar[:_GRAMMAR]) or "nothing"
        page.print(f"\nno word of content was said, only: {said}", markup=False)
    else:
        page.print()
        _print_words(found)
        page.print()
        _print_layers(found)
        page.print()
        page.print(_conclusion(found), markup=False, soft_wrap=True)
    page.print()
    if found.words and found.words[0].verdict == "no":
        page.print(
            f"these samples do not suffice: “{found.word}” takes {found.words[0].ask}",
            markup=False,
            style="yellow",
        )
    put = f"  (your fine-tune in place of {TUNED})" if f" {TUNED} " in command else ""
    page.print(f"next{put}:", markup=False)
    page.print(f"  {command}", markup=False, soft_wrap=True, style="bold")
    page.print(f"all numbers: {path}", markup=False, soft_wrap=True, style="dim")


def _head(found: "Suggestion", data: str) -> str:
    notes = [f"{found.cut} answers were cut off"] if found.cut else []
    told = f" ({', '.join(notes)})" if notes else ""
    lines = [f"{found.model} on {found.asked} samples of {data}{told}"]
    bad = found.quarantine
    lines += [f"not read: {one['id']} ({one['reason'].splitlines()[0]})" for one in bad[:_BAD]]
    lines += [f"not read: {len(bad) - _BAD} more"] if len(bad) > _BAD else []
    return "\n".join(lines)


def _print_words(found: "Suggestion") -> None:
    from shiftlens.study.suggesting import NEEDED

    page, columns = console(), ["word", "said", "samples", "share", "[95 %]", "enough", "ask"]
    rows = [_word(one) for one in found.words]
    if any(row[-1] for row in rows):
        columns.append("also said")
    page.print(table("", columns, [row[: len(columns)] for row in rows]))
    page.print(
        f"enough: do {found.available} samples give the {NEEDED} states that a comparison needs?\n"
        "ask: so many samples make sure of it",
        markup=False,
        style="dim",
    )
    left = ", ".join(found.grammar[:_GRAMMAR])
    if left:
        page.print(f"left out as grammar: {left}", markup=False, style="dim")


def _word(one: "Worth") -> tuple[str, ...]:
    from rich.markup import escape

    style = _STYLES[one.verdict]
    return (
        escape(one.said.word),
        str(one.said.occurrences),
        str(one.said.samples),
        _percent(one.said.share.estimate),
        _percents(one.said.share),
        f"[{style}]{one.verdict}[/{style}]",
        str(one.ask),
        escape(", ".join(one.said.near[:2])),
    )


def _print_layers(found: "Suggestion") -> None:
    page, columns = console(), ["block", "word read", "[95 %]", "chance", "rank"]
    about = ["word read: states before a word whose readout puts it first; rank: its median"]
    if found.k:
        columns += ["concepts", "[95 %]"]
        about.append(
            f"concepts: variance that {found.k} concepts of “{found.word}” explain on other samples"
        )
    rows = [_layer(one)[: len(columns)] for one in found.layers]
    page.print(table("", columns, rows))
    page.print("\n".join(about), markup=False, style="dim")


def _layer(one: "LayerWorth") -> tuple[str, ...]:
    explained = one.explained
    return (
        str(one.layer),
        _percent(one.read.estimate),
        _percents(one.read),
        DASH if one.chance is None else _percent(one.chance),
        f"{one.median_rank:.0f}",
        decimal(explained.estimate) if explained else DASH,
        f"[{decimal(explained.low)}, {decimal(explained.high)}]" if explained else "",
    )


def _conclusion(found: "Suggestion") -> str:
    parts: list[str] = []
    if found.legible_from is not None:
        parts.append(f"words can be read from block {found.legible_from} on")
    else:
        parts.append("words can be read at no block that was looked at")
    if found.layer is not None:
        among = "of these, " if found.legible_from is not None else ""
        parts.append(
            f"{among}concepts of “{found.word}” hold best on other samples at block {found.layer}"
        )
        if found.clearest != found.layer:
            there = next(one for one in found.layers if one.layer == found.clearest)
            lost = "behind which words are lost again"
            why = lost if there.legible else "where words cannot yet be read"
            parts.append(f"of all, at block {found.clearest}, {why}")
    elif not found.k:
        parts.append(f"too few samples say “{found.word}” for concepts: more with --samples")
    else:
        parts.append(f"no block has concepts of “{found.word}” that hold on other samples")
    return ";\n".join(parts)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _percents(interval: "Interval") -> str:
    return f"[{100 * interval.low:.0f}, {100 * interval.high:.0f}]"
