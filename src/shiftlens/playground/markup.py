"""Pieces of the pages. Everything that comes from files, models or visitors is escaped here."""

import base64
from collections.abc import Iterable, Sequence
from typing import Any

from markupsafe import Markup

import shiftlens as sl

_SHOWN = 400  # characters of a word or a name: the rest is in the run's files


def text(value: object) -> Markup:
    """A text of unknown origin: cut to a size that leaves the page whole, read left to right."""
    written = str(value)
    cut = written if len(written) <= _SHOWN else f"{written[:_SHOWN]}…"
    return Markup('<span class="text" dir="auto">{}</span>').format(cut)


def counted(many: int, what: str) -> str:
    """How many of something, in words: "1 direction", "3 directions"."""
    return f"{many:,} {what}" if many == 1 else f"{many:,} {what}s"


def chips(words: Iterable[str], kind: str = "") -> Markup:
    """Words side by side."""
    each = (Markup('<span class="chip {}">{}</span>').format(kind, text(one)) for one in words)
    return Markup(" ").join(each)


def tiles(pictures: Sequence[tuple[str, str | None]]) -> Markup:
    """Small pictures with their names; one that cannot be read is a box that says so.

    Args:
        pictures: name and ``data:`` address, or ``None``.
    """
    shown = Markup('<img src="{1}" alt="{0}" title="{0}">')
    missing = Markup('<span class="gone" title="{0}">not found</span>')
    every = [(shown if uri else missing).format(name[:80], uri) for name, uri in pictures]
    return Markup('<div class="tiles">{}</div>').format(Markup("").join(every))


def notice(title: str, body: object = "", kind: str = "note") -> Markup:
    """A box with something to know, or to mend."""
    return Markup('<div class="notice {}" role="{}"><b>{}</b>{}</div>').format(
        kind, "alert" if kind == "bad" else "status", title, Markup(" {}").format(body)
    )


def refused(error: Exception) -> Markup:
    """An error of the library as a person reads it: what is wrong, what is allowed, what to do."""
    if not isinstance(error, sl.ShiftLensError):
        raise error
    rest = ((error.allowed, "Allowed: "), (error.remedy, "What to do: "))
    lines = [Markup("<br>{}{}").format(label, text(one)) for one, label in rest if one]
    given = str(error.given)
    said = given[:1].upper() + given[1:]
    return notice("", Markup("{}.{}").format(text(said), Markup("").join(lines)), "bad")


def failed(error: Exception) -> Markup:
    """What is no error of the library: the machine's, or a fault; one sentence all the same."""
    name = type(error).__name__
    if isinstance(error, MemoryError) or name == "OutOfMemoryError":
        said = "There was not enough memory for this answer."
        rest = "A shorter answer, a shorter prompt or a smaller picture needs less."
    else:
        said = f"The model failed on this question ({name})."
        rest = "What happened stands where the server was started. Ask again, or ask otherwise."
    return notice(said, rest, "bad")


def answer(
    title: str, said: str | None, *, going: bool = False, other: str | None = None
) -> Markup:
    """One of the two answers; words that the other one has not are marked.

    Args:
        title: what it is.
        said: its text; ``None`` before there is any.
        going: whether it is still being said.
        other: the finished other answer, to mark what differs.
    """
    if said is None:
        body = Markup('<p class="soft">–</p>')
    else:
        shown = _marked(said, other) if other is not None else Markup("{}").format(said)
        cursor = Markup('<span class="cursor" aria-hidden="true"></span>') if going else ""
        body = Markup('<p class="said" dir="auto">{}{}</p>').format(shown, cursor)
        if not said.strip() and not going:
            body = Markup('<p class="soft">(the model said nothing)</p>')
    return Markup(
        '<section class="answer" aria-busy="{}"><h2 class="small">{}</h2>{}</section>'
    ).format("true" if going else "false", title, body)


def _marked(said: str, other: str) -> Markup:
    known = {word.strip(".,;:!?").lower() for word in other.split()}
    parts = [
        word if word.strip(".,;:!?").lower() in known else Markup("<mark>{}</mark>").format(word)
        for word in said.split()
    ]
    return Markup(" ").join(parts)


def receipt(found: Any, *, same: bool = False) -> Markup:
    """Where steering fired, on how much, how strongly; notes in words.

    Args:
        found: the receipt of the library.
        same: whether both answers are the same.
    """
    several = len(found.vectors) > 1
    rows = [_touched(one, named=several) for one in found.vectors]
    notes = [notice("Note:", one) for one in found.conflicts]
    if same and found.tokens:
        notes.append(notice("Both answers are the same:", "steering did not change a word."))
    return Markup(
        '<div class="receipt" role="status"><h2 class="small">Receipt</h2>{}{}</div>'
    ).format(Markup("").join(rows), Markup("").join(notes))


def _touched(one: Any, *, named: bool) -> Markup:
    """One vector: five figures and the sentence that the library writes."""
    places = [f"{place.first}…{place.last}" for place in one.places]
    figures = (
        ("Tokens changed", str(one.tokens), "how many positions of the text were steered"),
        ("Positions", ", ".join(places) or "nowhere", "0 is the last position of the prompt"),
        ("After block", str(one.layer), "of the language model, counted from 0"),
        ("Dose", f"{one.dose:.2f}", "length of the change, over the length of what it changed"),
        ("Cosine", f"{one.cosine:+.2f}", "how far the states pointed that way beforehand"),
    )
    closed = Markup("")
    if one.gate is not None:
        opened = any(one.gate_open)
        figures = (*figures, ("Gate", "open" if opened else "closed", "whether it let steering in"))
        if not opened:
            closed = notice("The gate stayed closed:", "the second answer was not steered.")
    each = (
        Markup('<div title="{2}"><dt>{0}</dt><dd>{1}</dd></div>').format(*figure)
        for figure in figures
    )
    name = Markup("<h3>{}</h3>").format(text(one.name)) if named else ""
    return Markup('{}<dl class="figures">{}</dl>{}<p class="soft">{}</p>').format(
        name, Markup("").join(each), closed, text(one.summary())
    )


def download(name: str, content: bytes, label: str) -> Markup:
    """A link that saves a file which the page itself holds."""
    return Markup(
        '<a class="save" download="{}" href="data:application/zip;base64,{}">{}</a>'
    ).format(name, base64.b64encode(content).decode(), label)
