"""The list of what is steered with, as a page shows it, and the box where kept ones are opened."""

from collections.abc import Sequence

from markupsafe import Markup

from shiftlens.playground.lines import Line, Said, Steers
from shiftlens.playground.markup import notice, text
from shiftlens.playground.opening import Opened

LISTED = """
let left = false, waiting = false;
element.addEventListener('click', event => {
  const button = event.target.closest('button[data-does]');
  // Who presses twice means one line, and not the one that then stands in its place.
  if (!button || waiting || event.detail > 1) return;
  left = waiting = true;
  setTimeout(() => { waiting = false; }, 5000);
  trigger('click', {at: Number(button.dataset.at), does: button.dataset.does});
});
new MutationObserver(() => {
  waiting = false;
  // The button that was pressed is gone: who came by keyboard goes on from here.
  if (!left || document.activeElement !== document.body) return;
  left = false;
  (element.querySelector('button') || element.querySelector('[tabindex]'))?.focus();
}).observe(element, {childList: true, subtree: true});
"""
"""Script of the list: tells which button of which line was pressed, and keeps the focus here."""

_DOES = {
    "add": "added",
    "add-keeping-norm": "added, the state's length kept",
    "ablate": "taken out (ablate)",
    "move-to": "the state is moved to",
    "": "its own map",
}
_WHERE = {
    "response": "the answer as it is written",
    "last_prompt": "only where the first word is chosen",
    "generated": "the answer behind its first word",
    "all": "prompt and answer",
    "prompt": "the prompt alone",
    "image": "the tokens of the picture",
}
_EMPTY = (
    "The answer is steered with the direction above. To steer with several at once, add each to a "
    "list."
)
_FULL = "The direction above joins the list when it is added; until then it does nothing."


def listed(lines: Sequence[Steers]) -> Markup:
    """The lines, each with what can be done with it."""
    if not lines:
        return Markup('<p class="soft" tabindex="-1">{}</p>').format(_EMPTY)
    each = [_line(at, one) for at, one in enumerate(lines)]
    many = "this direction" if len(lines) == 1 else f"these {len(lines)} directions, in this order"
    return Markup(
        '<section class="lines" aria-labelledby="lines-title">'
        '<h2 class="small" id="lines-title">Steered with {}</h2>'
        '<ol>{}</ol><p class="soft">{}</p></section>'
    ).format(many, Markup("").join(each), _FULL)


def _line(at: int, one: Steers) -> Markup:
    said = one.said()
    change = _button("change", at, said.name) if isinstance(one, Line) else Markup("")
    return Markup('<li><div class="line"><b>{}</b><dl>{}</dl></div><div>{}{}</div></li>').format(
        text(said.name), _facts(said), change, _button("remove", at, said.name)
    )


def _button(does: str, at: int, name: str) -> Markup:
    title = {"change": "Change", "remove": "Remove"}[does]
    return Markup(
        '<button type="button" class="small-button" data-does="{}" data-at="{}" '
        'aria-label="{} direction {}: {}">{}</button>'
    ).format(does, at, title, at + 1, name[:80], title)


def _facts(said: Said) -> Markup:
    """How it is applied, each with its name."""
    operator, _, target = said.operator.partition(":")
    layers = ", ".join(map(str, said.layers))
    facts = (
        ("strength", f"{said.strength:g}"),
        ("after block" if len(said.layers) == 1 else "after blocks", layers),
        ("how", f"{_DOES.get(operator, said.operator)} {target}".rstrip()),
        ("where", _WHERE.get(said.scope, said.scope)),
        ("when", said.gate or "always"),
    )
    each = [Markup("<div><dt>{}</dt><dd>{}</dd></div>").format(n, text(v)) for n, v in facts]
    return Markup("").join(each)


def opened_notice(opened: Opened, model: str) -> Markup:
    """What was opened, and what its file says of itself.

    Args:
        opened: the setting.
        model: what the model of this page is called.
    """
    one = opened.steering
    asked = "" if opened.prompt is None else ", and the question is the one that was asked with it"
    told = [Markup("<b>{}</b>. The list below the direction is as it was kept{}.").format(
        text(one.name), asked
    )]  # fmt: skip
    if one.description:
        told.append(text(one.description))
    if one.licence:
        told.append(Markup("Licence: {}.").format(text(one.licence)))
    if opened.model and opened.model != model:
        told.append(Markup("It was kept with a model called {}.").format(text(opened.model)))
    return notice("Opened:", Markup("<br>").join(told))
