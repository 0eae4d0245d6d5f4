"""How, where and when: what is chosen of a steering beside its direction and its strength.

What the page calls them is here, and what they become: texts as ``shiftlens steer`` takes them.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

import shiftlens as sl
from shiftlens.playground.library import Direction
from shiftlens.playground.limits import Limits

OPERATORS = (
    ("add it", "add"),
    ("add it, and keep the state's length", "add-keeping-norm"),
    ("take it out (ablate)", "ablate"),
    ("move the state to a place on it (move to)", "move-to"),
)
SCOPES = (
    ("the answer as it is written", "response"),
    ("only where the first word is chosen", "last_prompt"),
    ("the answer behind its first word", "generated"),
    ("prompt and answer", "all"),
    ("the prompt alone", "prompt"),
    ("the tokens of the picture", "image"),
    ("a rectangle of the picture …", "patches"),
    ("where certain words are read …", "words"),
)
GATES = (
    ("always", "always"),
    ("where a word is about to be said …", "says"),
    ("where the answer is about to end", "end"),
    ("where the prompt holds a word …", "prompt"),
    ("where a probe of this run says so …", "probe"),
)
_PARTS = ("patches", "words")  # scopes that need to be told more
_WORDED = ("says", "prompt")  # gates that need words


_QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}


@dataclass(frozen=True)
class Options:
    """The components, by the names that ``chosen`` takes."""

    operator: Any
    target: Any
    scope: Any
    part: Any
    gate: Any
    gate_words: Any
    probe: Any
    turned: Any


def options(probes: Collection[str], limits: Limits) -> Options:
    """Place the choices where the page is being built."""
    operator = gr.Dropdown(
        [*OPERATORS], value="add", label="What is done with the direction", elem_id="operator",
        info="An affine edit brings its own operation, and takes no other",
    )  # fmt: skip
    target = gr.Number(
        0.0, label="Place to move to", visible=False, elem_id="target",
        info="Projection on the direction, in the units of the states; 0 takes it out",
    )  # fmt: skip
    scope = gr.Dropdown([*SCOPES], value="response", label="Where it is steered", elem_id="scope")
    part = gr.Textbox(
        "", label="Which", visible=False, elem_id="part", max_length=limits.words,
        info="Words: dog, cat. Rectangle: left, top, right, bottom as shares: 0, 0, 0.5, 1",
    )  # fmt: skip
    kinds = [one for one in GATES if one[1] != "probe" or probes]
    gate = gr.Dropdown(kinds, value="always", label="When it is steered", elem_id="gate")
    words = gr.Textbox(
        "", label="Words of the gate", visible=False, elem_id="gate_words",
        max_length=limits.words, info="With commas between them: yes, or gun, bomb",
    )  # fmt: skip
    names = sorted(probes)
    probe = gr.Dropdown(
        names, value=names[0] if names else None, label="Probe", visible=False, elem_id="probe"
    )
    turned = gr.Checkbox(
        False, label="The other way round: only where it is not so", visible=False, elem_id="turned"
    )
    placed = Options(operator, target, scope, part, gate, words, probe, turned)
    _follow(operator, target=target)
    _follow(scope, part=part)
    _follow(gate, gate_words=words, probe=probe, turned=turned)
    return placed


def layer_choice(one: Direction, layer: float | None = None) -> dict[str, Any]:
    """The slider of a direction's layers, as far as there are several.

    Args:
        one: the direction.
        layer: where it stands; at the direction's last unless given.
    """
    layers = one.layers
    return {
        "minimum": layers[0], "maximum": max(layers[-1], layers[0] + 1), "step": 1,
        "value": one.nearest(layer), "visible": len(layers) > 1,
        "info": "This direction was found after these blocks: " + ", ".join(map(str, layers)),
    }  # fmt: skip


def _follow(choice: Any, **told: Any) -> None:
    """Show what a choice must be told more, and hide the rest."""

    def shown(value: Any) -> Any:
        every = [gr.update(visible=needs(kind, value)) for kind in told]
        return every[0] if len(every) == 1 else every

    choice.change(shown, choice, list(told.values()), **_QUIET)


@dataclass(frozen=True)
class Chosen:
    """Choices as ``shiftlens steer`` takes them.

    Attributes:
        operator: ``add``, ``move-to:2.5``, ...
        scope: ``response``, ``words:dog,cat``, ...
        gate: ``says:yes``, ``not:probe:NAME``, ...; empty for none. A probe is named as in the run.
    """

    operator: str = "add"
    scope: str = "response"
    gate: str = ""


def chosen(given: Mapping[str, Any], probes: Collection[str], limits: Limits) -> Chosen:
    """The choices of a page, checked: requests need not come from it.

    Args:
        given: values of the page by the names of its parts: ``operator``, ``target``, ``scope``,
            ``part``, ``gate``, ``gate_words``, ``probe``, ``turned``.
        probes: names of the run's gates.
        limits: of visitors.

    Raises:
        ShiftLensError: something that the page does not offer, or a part that is left out.
    """
    return Chosen(
        operator=_operator(given["operator"], given["target"]),
        scope=_scope(given["scope"], _text(given["part"], limits)),
        gate=_gate(given, probes, limits),
    )


def needs(kind: str, value: Any) -> bool:
    """Whether a choice must be told more: ``target``, ``part``, ``gate_words`` or ``probe``."""
    asking = {
        "target": ("move-to",),
        "part": _PARTS,
        "gate_words": _WORDED,
        "probe": ("probe",),
        "turned": (*_WORDED, "end", "probe"),
    }
    return value in asking[kind]


def _operator(name: Any, target: Any) -> str:
    _require(name, OPERATORS, "this is not done to states here")
    if name != "move-to":
        return str(name)
    if not isinstance(target, int | float) or not math.isfinite(target):
        raise sl.ShiftLensError("the place to move to is no number", remedy="write one, say 0")
    return f"move-to:{float(target):g}"


def _scope(name: Any, part: str) -> str:
    _require(name, SCOPES, "these positions cannot be steered from this page")
    if name not in _PARTS:
        return str(name)
    if not part:
        allowed = "dog, cat" if name == "words" else "0, 0, 0.5, 1: left, top, right, bottom"
        raise sl.ShiftLensError("it is not said where", allowed=allowed, remedy="write it beside")
    return f"{name}:{part}"


def _gate(given: Mapping[str, Any], probes: Collection[str], limits: Limits) -> str:
    kind = given["gate"]
    _require(kind, GATES, "this gate is not in the run")
    if kind == "always":
        return ""
    typed = str(kind)
    if kind in _WORDED:
        words = _text(given["gate_words"], limits)
        if not words:
            raise sl.ShiftLensError("the gate has no words", allowed="yes, or: gun, bomb")
        typed = f"{kind}:{words}"
    elif kind == "probe":
        if not isinstance(given["probe"], str) or given["probe"] not in probes:
            raise sl.ShiftLensError("this gate is not in the run", remedy="choose another")
        typed = f"probe:{given['probe']}"
    return f"not:{typed}" if given["turned"] is True else typed


def _require(value: Any, offered: tuple[tuple[str, str], ...], otherwise: str) -> None:
    names = [name for _, name in offered]
    if value not in names:
        raise sl.ShiftLensError(otherwise, allowed=", ".join(names))


def _text(value: Any, limits: Limits) -> str:
    """A short text of a visitor."""
    if value is None or value == "":
        return ""
    text = limits.asked(str(value))
    if len(text) > limits.words:
        raise sl.ShiftLensError(
            f"the words have {len(text)} characters", allowed=f"up to {limits.words}"
        )
    return text
