"""Rows of pictures to choose from, as buttons that a keyboard reaches."""

from markupsafe import Markup

from shiftlens.playground.markup import text
from shiftlens.playground.shown import Shown

CHOOSE = """
element.addEventListener('click', event => {
  const button = event.target.closest('button[data-at]');
  if (button) trigger('click', {at: Number(button.dataset.at)});
});
"""
"""Script of whatever holds numbered buttons: tells the number of the one that was pressed."""


def examples_strip(shown: Shown, chosen: int | None = None) -> Markup:
    """Pictures of the run."""
    each = [
        Markup(
            '<button type="button" data-at="{}" aria-pressed="{}" title="{}">'
            '<img src="{}" alt="{}"></button>'
        ).format(at, _bool(at == chosen), one.prompt[:120], uri, f"Picture {one.name[:80]}")
        for at, one in enumerate(shown.library.examples)
        if (uri := shown.thumbnails.of(one.path))
    ]
    if not each:
        return Markup("")
    return Markup(
        '<p class="strip-title">… or a picture of this run</p>'
        '<div class="strip" role="group" aria-label="Pictures of this run">{}</div>'
    ).format(Markup("").join(each))


def directions_strip(shown: Shown, chosen: str) -> Markup:
    """Directions, each with a picture of what it is about."""
    each: list[Markup] = []
    for at, (key, one) in enumerate(shown.directions.items()):
        uris = [uri for path in one.examples if (uri := shown.thumbnails.of(path))]
        picture = Markup('<img src="{}" alt="">').format(uris[0]) if uris else Markup(
            '<span class="none" aria-hidden="true">no picture</span>'
        )  # fmt: skip
        each.append(
            Markup(
                '<button type="button" data-at="{}" aria-pressed="{}">{}<b>{}</b></button>'
            ).format(at, _bool(key == chosen), picture, text(one.title))
        )
    return Markup(
        '<div class="strip named" role="group" aria-label="Directions by picture">{}</div>'
    ).format(Markup("").join(each))


def _bool(value: bool) -> str:
    return "true" if value else "false"
