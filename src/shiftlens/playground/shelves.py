"""The pages that only show: concepts, what fine-tuning did to them, and what lies in the run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

import shiftlens as sl
from shiftlens.playground.finding import Damaged, Found
from shiftlens.playground.library import Library
from shiftlens.playground.markup import chips, counted, notice, text, tiles
from shiftlens.playground.thumbnails import Thumbnails

_WORDS, _PICTURES = 6, 5

WHAT_TO_DO = Markup(
    "<p>The playground shows what other commands leave on disk. Make something to look at, then "
    "start it again:</p><pre>shiftlens demo --out {root}\nshiftlens serve {root}</pre>"
    "<p class='soft'>The demo takes two minutes, draws its own pictures and downloads nothing. "
    "With a model of your own: <code>shiftlens run experiment.toml</code>, "
    "<code>shiftlens diff</code>, or <code>shiftlens harvest</code> and "
    "<code>shiftlens learn</code>.</p>"
)


def empty(library: Library) -> Markup:
    """What to do about a run with nothing in it."""
    said = "There is nothing to show in this directory yet"
    if library.found.damaged and not library.found.unfinished:
        said = "Nothing in this directory can be read"
    return Markup('<section class="empty"><h2>{}</h2><p>{}</p>{}{}</section>').format(
        said, text(library.root), WHAT_TO_DO.format(root=library.root), damaged(library.found)
    )


def changed(library: Library) -> Markup:
    """That the directory is not what it was, if so: pages show what was read."""
    if not library.changed:
        return Markup("")
    return notice(
        "This directory has changed since it was read.",
        "What is shown here is as it was then; start shiftlens serve again to see the rest.",
    )


def concepts(
    library: Library, title: str, thumbnails: Thumbnails, offered: Sequence[str] = ()
) -> Markup:
    """All concepts of one set as cards; of a shift, with what became of each.

    Args:
        library: the run.
        title: path of concepts or of a shift, relative to the run.
        thumbnails: of its pictures.
        offered: keys of the directions that can be steered with, in order.
    """
    if title in library.found.shifts:
        numbers = {key: at for at, key in enumerate(offered)}
        keys = [f"shift:{at}:{title}" for at in range(len(library.found.shifts[title]))]
        buttons = [_button(numbers[key]) if key in numbers else Markup("") for key in keys]
        return _shift(library, library.found.shifts[title], thumbnails, buttons)
    found = library.found.concepts.get(title)
    if found is None:
        return notice("This set of concepts is not in the run.")
    total = sum(found.sizes) or 1
    cards = [
        _card(library, found, index, found.sizes[index] / total, thumbnails)
        for index in range(found.k)
    ]
    return Markup('{}<div class="cards">{}</div>').format(_head(found), Markup("").join(cards))


def _head(found: "sl.Concepts") -> Markup:
    """Where the concepts come from, in one line."""
    site = found.site.describe()
    told: Mapping[str, Any] = site.get("tokens", {})
    words = ", ".join(map(str, told.get("words", ())))
    where = f"at “{words}”" if words else f"at {told.get('kind', 'chosen tokens')}"
    ungrounded = "" if found.words else notice("No words yet:", "run shiftlens ground on them.")
    return Markup('<p class="lead">{} concepts by {}, after block {}, {}.</p>{}').format(
        found.k,
        found.learner.get("name", "an unknown learner"),
        site.get("layer"),
        where,
        ungrounded,
    )


def _card(
    library: Library, found: "sl.Concepts", index: int, share: float, thumbnails: Thumbnails
) -> Markup:
    words = _at(found.contrastive, index) or _at(found.words, index)
    return Markup(
        '<article class="card"><header><h2 class="small">Concept {}</h2>'
        '<span class="share">{:.0%} of the states'
        '</span></header><div class="meter"><i style="width:{:.0f}%"></i></div>{}{}</article>'
    ).format(index, share, 100 * share, _words(words), _pictures(library, found, index, thumbnails))


def _button(number: int) -> Markup:
    return Markup(
        '<button type="button" class="steer-with" data-at="{}">Steer with this shift</button>'
    ).format(number)


def _shift(
    library: Library,
    shift: "sl.ConceptShift",
    thumbnails: Thumbnails,
    buttons: Sequence[Markup],
) -> Markup:
    """What became of every concept of the base model, the most changed first."""
    changes = sorted(shift.changes(), key=lambda one: -one.magnitude)
    longest = max((one.magnitude for one in changes), default=0.0) or 1.0
    cards = [
        _change(library, shift, one, longest, thumbnails, buttons[one.index]) for one in changes
    ]
    lead = Markup(
        '<p class="lead">Concepts of the base model, and what they are after fine-tuning; the '
        "longest shift first.</p>"
    )
    return Markup('{}<div class="cards wide">{}</div>').format(lead, Markup("").join(cards))


def _change(
    library: Library,
    shift: "sl.ConceptShift",
    one: Any,
    longest: float,
    thumbnails: Thumbnails,
    button: Markup,
) -> Markup:
    before = one.contrastive_base or one.words_base
    after = one.contrastive_tuned or one.words_tuned
    return Markup(
        '<article class="card"><header><h2 class="small">Concept {}</h2>'
        '<span class="share">{:.0%} of the '
        'samples</span></header><div class="meter tuned" title="Length of the shift, beside the '
        'longest"><i style="width:{:.0f}%"></i></div><dl class="sides"><dt>Base says</dt>'
        "<dd>{}</dd><dt>Tuned says</dt><dd>{}</dd></dl>{}"
        '<p class="soft">Shift of length {:.1f}{}; {:.0%} of its words are shared.</p>'
        "{}</article>"
    ).format(
        one.index,
        one.share,
        100 * one.magnitude / longest,
        chips(before[:_WORDS], "base"),
        _came(after, one.came),
        _pictures(library, shift.base, one.index, thumbnails),
        one.magnitude,
        # Not defined for a concept of one sample.
        "" if one.consistency != one.consistency else f"; samples agree by {one.consistency:+.2f}",
        one.overlap,
        button,
    )


def _came(words: Sequence[str], came: Sequence[str]) -> Markup:
    """Words of the tuned side, those that are new in front and marked."""
    new = [one for one in words if one in came][:_WORDS]
    old = [one for one in words if one not in came][: max(0, _WORDS - len(new))]
    return Markup("{} {}").format(chips(new, "came"), chips(old, "tuned"))


def _words(words: Sequence[str]) -> Markup:
    if not words:
        return Markup('<p class="soft">no words yet</p>')
    return Markup('<p class="words">{}</p>').format(chips(words[:_WORDS]))


def _pictures(library: Library, found: "sl.Concepts", index: int, thumbnails: Thumbnails) -> Markup:
    paths = library.pictures(found.provenance, _at(found.images, index)[:_PICTURES])
    return tiles([(Path(one).name, thumbnails.of(one)) for one in paths]) if paths else Markup("")


def _at(lists: Sequence[Sequence[str]], index: int) -> Sequence[str]:
    return lists[index] if lists else ()


def contents(library: Library) -> Markup:
    """What lies in the run, and what could not be read."""
    found = library.found
    rows = [
        *(("concepts", name, f"{one.k} concepts") for name, one in found.concepts.items()),
        *(("concept shift", name, f"{len(one)} concepts") for name, one in found.shifts.items()),
        *(
            ("steering vector", name, f"{one.name}, block {one.layer}")
            for name, one in found.vectors.items()
        ),
        *(
            ("affine edit", name, f"{one.name}, {one.kind}, block {one.layer}")
            for name, one in found.edits.items()
        ),
        *(("probe", name, f"{one.kind}, block {one.layer}") for name, one in found.gates.items()),
        *(
            ("steering", name, f"{one.name}, {counted(len(one.interventions), 'direction')}")
            for name, one in found.steerings.items()
        ),
        *(
            ("discovery", name, f"{len(one.directions)} directions")
            for name, one in found.discoveries.items()
        ),
        *(("states", name, f"{len(one):,} rows") for name, one in found.stores.items()),
    ]
    lines = [
        Markup("<tr><td>{}</td><td>{}</td><td>{}</td></tr>").format(kind, text(name), text(what))
        for kind, name, what in rows
    ]
    more = (
        notice("There is more:", "only the first 20,000 files are shown.") if found.cut_off else ""
    )
    return Markup(
        '{}{}<div class="scroll" tabindex="0" role="region" aria-label="Files of the run"><table>'
        '<thead><tr><th scope="col">What</th><th scope="col">Where in the run</th>'
        '<th scope="col">Holds</th></tr></thead><tbody>{}</tbody></table></div>'
    ).format(damaged(found), more, Markup("").join(lines))


def damaged(found: Found) -> Markup:
    """One sentence for each file that cannot be read, and for what has not ended."""
    bad = _each("Cannot be read, and is left out:", found.damaged, "bad")
    return bad + _each("Not finished:", found.unfinished, "note")


def _each(title: str, listed: Sequence[Damaged], kind: str) -> Markup:
    if not listed:
        return Markup("")
    each = [
        Markup("<li><code>{}</code> {}</li>").format(text(one.path), text(one.why))
        for one in listed
    ]
    return notice(title, Markup("<ul>{}</ul>").format(Markup("").join(each)), kind)
