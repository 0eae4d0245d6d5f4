"""The page's part about one word: which concepts are active there, and where in the picture."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup
from PIL import Image

from shiftlens.playground.markup import chips, notice, text
from shiftlens.playground.thumbnails import data_uri

_EDGE = 480


def explanation(found: Any, word: str, pictures: Callable[[Sequence[str]], Markup]) -> Markup:
    """What ``shiftlens.explain`` found, around one word.

    Args:
        found: the explanation.
        word: the word that was chosen.
        pictures: small ones of samples by their ids.
    """
    seen = found.word(word)
    top = seen.top
    if top is None:
        return notice(f"No concept is active at “{seen.text}”.", seen.note)
    named = found.concept(top.concept)
    parts = [
        _along(found, top.concept, seen),
        _picture(found, top.concept),
        _concepts(found, seen, pictures),
        *(notice("Note:", one) for one in found.notes),
    ]
    title = Markup(
        '<h2 class="small">At <span class="said-word">{}</span>: concept {} – {}</h2>'
    ).format(text(seen.text), named.index, chips(named.called[:4]))
    return Markup('<div class="explained">{}{}</div>').format(title, Markup("").join(parts))


def _along(found: Any, concept: int, chosen: Any) -> Markup:
    """The answer's words over bars: how active the concept is at each."""
    column = found.activations[:, concept].tolist()
    known = [one for one in column if one == one]
    low, high = min(known, default=0.0), max(known, default=0.0)
    # Where all are alike, as in an answer of one word, none is less than another.
    span = high - low
    each: list[Markup] = []
    for word, value in zip(found.words, column, strict=True):
        share = 0 if value != value else round(100 * (value - low) / span) if span else 100
        kind = "chosen" if word is chosen else ("outside" if word.where == "outside" else "")
        told = f"{word.text}: {value:.2f}" + (f" ({word.note})" if word.note else "")
        each.append(
            Markup(
                '<span class="heat {}" title="{}"><i style="height:{}%"></i><b dir="auto">{}</b>'
                "</span>"
            ).format(kind, told, share, word.text)
        )
    return Markup(
        '<div class="along" role="img" aria-label="How active concept {} is at each word">{}</div>'
        '<p class="soft">How active the concept is at each word: the taller the bar, the more. '
        "Paler words lie outside the states that the concepts were learned from.</p>"
    ).format(concept, Markup("").join(each))


def _picture(found: Any, concept: int) -> Markup:
    """The picture, and the same with what speaks for the concept coloured."""
    if not found.heat_maps:
        return Markup("")
    with tempfile.TemporaryDirectory() as folder:
        found.save(folder)
        files = sorted(Path(folder).glob(f"heat-*-concept-{concept}.png"))
        if not files:
            return Markup("")
        with Image.open(files[0]) as opened:
            heat = data_uri(opened, _EDGE)
    plain = data_uri(found.pictures[found.heat_maps[0].picture], _EDGE)
    return Markup(
        '<div class="pair"><figure><img src="{}" alt="The picture"><figcaption>The picture'
        '</figcaption></figure><figure><img src="{}" alt="Heat map of concept {}"><figcaption>'
        "Where concept {} is: the lighter the colour, the more</figcaption></figure></div>"
    ).format(plain, heat, concept, concept)


def _concepts(found: Any, seen: Any, pictures: Callable[[Sequence[str]], Markup]) -> Markup:
    """The most active concepts at the word, with their words and pictures."""
    each: list[Markup] = []
    for active in seen.concepts:
        one = found.concept(active.concept)
        each.append(
            Markup("<li><b>Concept {}</b> {}{}</li>").format(
                one.index, chips(one.called[:5]), pictures([name for name, _ in one.images])
            )
        )
    return Markup("<h3>Most active concepts at this word</h3><ol class='ranked'>{}</ol>").format(
        Markup("").join(each)
    )
