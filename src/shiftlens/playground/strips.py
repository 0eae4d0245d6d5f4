"""Rows of pictures to choose from: one stop of the keyboard each, and arrows within a row."""

from markupsafe import Markup

from shiftlens.playground.markup import text
from shiftlens.playground.shown import Shown

CHOOSE = """
element.addEventListener('click', event => {
  const button = event.target.closest('button[data-at]');
  if (button) trigger('click', {at: Number(button.dataset.at)});
});
element.addEventListener('keydown', event => {
  const row = event.target.closest('[role="toolbar"]');
  if (!row) return;
  const all = [...row.querySelectorAll('button')], at = all.indexOf(event.target);
  const to = {ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: all.length - 1}[event.key];
  if (to === undefined || !all[to]) return;
  event.preventDefault();
  all.forEach((one, index) => { one.tabIndex = index === to ? 0 : -1; });
  all[to].focus();
});
"""
"""Script of whatever holds numbered buttons: tells the number of the one that was pressed."""


def examples_strip(shown: Shown, chosen: int | None = None) -> Markup:
    """Pictures of the run."""
    seen = [
        (at, one, uri)
        for at, one in enumerate(shown.library.examples)
        if (uri := shown.thumbnails.of(one.path))
    ]
    stop = chosen if chosen is not None else (seen[0][0] if seen else None)
    each = [
        Markup(
            '<button type="button" data-at="{}" aria-pressed="{}" tabindex="{}" title="{}">'
            '<img src="{}" alt="{}"></button>'
        ).format(
            *(at, _bool(at == chosen), 0 if at == stop else -1),
            *(one.prompt[:120], uri, f"Picture {one.name[:80]}"),
        )
        for at, one, uri in seen
    ]
    if not each:
        return Markup("")
    return Markup(
        '<p class="strip-title">… or a picture of this run</p>'
        '<div class="strip" role="toolbar" aria-label="Pictures of this run">{}</div>'
    ).format(Markup("").join(each))


def directions_strip(shown: Shown, chosen: str) -> Markup:
    """Directions, each with a picture of what it is about."""
    each: list[Markup] = []
    stop = chosen if chosen in shown.directions else next(iter(shown.directions), "")
    for at, (key, one) in enumerate(shown.directions.items()):
        uris = [uri for path in one.examples if (uri := shown.thumbnails.of(path))]
        picture = Markup('<img src="{}" alt="">').format(uris[0]) if uris else Markup(
            '<span class="none" aria-hidden="true">no picture</span>'
        )  # fmt: skip
        each.append(
            Markup(
                '<button type="button" data-at="{}" aria-pressed="{}" tabindex="{}">{}<b>{}</b>'
                "</button>"
            ).format(at, _bool(key == chosen), 0 if key == stop else -1, picture, text(one.title))
        )
    return Markup(
        '<div class="strip named" role="toolbar" aria-label="Directions by picture">{}</div>'
    ).format(Markup("").join(each))


def _bool(value: bool) -> str:
    return "true" if value else "false"
