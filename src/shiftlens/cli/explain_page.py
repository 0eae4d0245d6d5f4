"""What ``explain`` says: the words of the answer and their concepts, in eighty columns."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shiftlens.cli.terminal import console
from shiftlens.reporting.explaining_views import (
    AT_THE_SITE,
    called,
    how_active,
    map_views,
    of_centroids,
    place_in_words,
    state_of,
)
from shiftlens.reporting.numbers import DASH, decimal, percent

_STATES = {"yes": "[green]yes[/green]", "no": "no", "unknown": DASH}


def print_explanation(document: Mapping[str, Any], page: Path, words: Sequence[str] = ()) -> None:
    """Print an explanation.

    Args:
        document: ``Explanation.to_dict()``.
        page: where it was drawn.
        words: the only ones that are told; all of them by default.
    """
    screen = console()
    of = f"{document['k']} concepts of {place_in_words(document['site'])}"
    screen.print(f"“{document['response'].strip()}”", markup=False, style="bold")
    about = f"{document['model']}, block {document['site']['layer']}, {of}"
    screen.print(about, markup=False, style="dim")
    screen.print()
    screen.print(_table(document, words))
    screen.print()
    for line in _told(document):
        screen.print(line, markup=False)
    for note in document["notes"]:
        screen.print(note, markup=False, style="yellow")
    screen.print("\n".join(_key(document, words)), markup=False, style="dim")
    screen.print(f"page: {page}", markup=False, soft_wrap=True)


def _told(document: Mapping[str, Any]) -> list[str]:
    """A line for each word that can be judged, and for each heat map that was checked."""
    concepts = {one["index"]: one for one in document["concepts"]}
    lines: list[str] = []
    for word in document["words"]:
        if word["where"] != AT_THE_SITE:
            continue
        kept = [one for one in word["concepts"] if one["active"] is not False]
        told = [
            f"concept {one['concept']} ({', '.join(called(concepts[one['concept']]))}), "
            f"{how_active(one)}"
            for one in (kept if document["calibration"] else kept[:1])
        ]
        lines.append(f"at “{word['text']}”: {'; '.join(told) or 'no concept is active'}")
    lines = lines or ["no word of the answer is where the concepts come from"]
    checked = [one for one in map_views(document) if one.checked]
    return lines + [f"heat map of concept {one.data['concept']}: {one.checked}" for one in checked]


def _key(document: Mapping[str, Any], words: Sequence[str]) -> list[str]:
    """What the columns mean, and those of their entries that are there."""
    lines: list[str] = []
    found = {one["where"] for one in _shown(document, words)}
    if "outside" in found:
        lines.append("outside: a state of another kind than the concepts come from; read with care")
    if "same word" in found:
        lines.append("same word: said again, or before; they come from another occurrence")
    calibration = document["calibration"]
    if calibration is None:
        return [*lines, "ahead: of the next concept; --store measures what is active"]
    how = "near" if of_centroids(document) else "active"
    return [
        *lines,
        f"active: as {how} as all but 5 % of the concept's own of {calibration['rows']} states",
        f"own below: share of these states that are less {how}",
    ]


def _table(document: Mapping[str, Any], words: Sequence[str]) -> Any:
    from rich.table import Table

    grid = Table(box=None, pad_edge=False, header_style="dim")
    grid.add_column("word", overflow="fold", max_width=16)
    grid.add_column("state", no_wrap=True)
    grid.add_column("concept", justify="right")
    grid.add_column("its words", overflow="ellipsis", no_wrap=True, max_width=26)
    grid.add_column("active", justify="right")
    calibrated = document["calibration"] is not None
    grid.add_column("own below" if calibrated else "ahead", justify="right", no_wrap=True)
    concepts = {one["index"]: one for one in document["concepts"]}
    for word in _shown(document, words):
        _add(grid, word, concepts, calibrated=calibrated, fully=bool(words))
    return grid


def _shown(document: Mapping[str, Any], words: Sequence[str]) -> list[Mapping[str, Any]]:
    """Words of the answer that are in the table."""
    wanted = {one.casefold() for one in words}
    return [one for one in document["words"] if not wanted or one["text"].casefold() in wanted]


def _add(
    grid: Any,
    word: Mapping[str, Any],
    concepts: Mapping[int, Mapping[str, Any]],
    *,
    calibrated: bool,
    fully: bool,
) -> None:
    """One word: its most active concept; all that are named where words were chosen."""
    from rich.markup import escape

    here = word["where"] == AT_THE_SITE
    style = "" if here else "dim"
    if not word["concepts"]:
        grid.add_row(escape(word["text"]), word["where"], DASH, "", DASH, "", style=style)
    for at, one in enumerate(word["concepts"] if fully else word["concepts"][:1]):
        share = percent(one["above"]) if calibrated else decimal(one["margin"])
        grid.add_row(
            escape(word["text"]) if at == 0 else "",
            word["where"] if at == 0 else "",
            str(one["concept"]),
            escape(", ".join(called(concepts[one["concept"]]))),
            _STATES[state_of(one)],
            share,
            style=style,
        )
