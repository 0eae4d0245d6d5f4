"""What a page offers becomes what ``shiftlens steer`` takes, and nothing else gets through."""

from typing import Any

import pytest

from shiftlens.core.errors import ShiftLensError
from shiftlens.playground.limits import Limits
from shiftlens.playground.options import GATES, OPERATORS, SCOPES, Chosen, chosen, needs
from shiftlens.steering.operators import OPERATORS as KNOWN
from shiftlens.steering.operators import read_operator
from shiftlens.steering.scopes import read_scope

_PROBES = ("gates/open",)
_USUAL: dict[str, Any] = {
    "operator": "add",
    "target": 0,
    "scope": "response",
    "part": "",
    "gate": "always",
    "gate_words": "",
    "probe": None,
    "turned": False,
}


def _chosen(**given: Any) -> Chosen:
    return chosen({**_USUAL, **given}, _PROBES, Limits())


def test_nothing_chosen_is_the_usual_steering() -> None:
    assert _chosen() == Chosen("add", "response", "")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"operator": "ablate"}, Chosen(operator="ablate")),
        ({"operator": "move-to", "target": -2.5}, Chosen(operator="move-to:-2.5")),
        ({"operator": "add", "target": None}, Chosen()),
        ({"scope": "words", "part": " dog, cat "}, Chosen(scope="words:dog, cat")),
        ({"scope": "patches", "part": "0,0,.5,1"}, Chosen(scope="patches:0,0,.5,1")),
        ({"scope": "image", "part": "left over"}, Chosen(scope="image")),
        ({"gate": "says", "gate_words": "yes"}, Chosen(gate="says:yes")),
        ({"gate": "end", "turned": True}, Chosen(gate="not:end")),
        ({"gate": "always", "turned": True}, Chosen()),
        ({"gate": "probe", "probe": "gates/open"}, Chosen(gate="probe:gates/open")),
    ],
)
def test_choices_become_what_is_typed(given: dict[str, Any], told: Chosen) -> None:
    assert _chosen(**given) == told


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"operator": "explode"}, "not done to states"),
        ({"operator": ["add"]}, "not done to states"),
        ({"operator": "move-to", "target": None}, "no number"),
        ({"operator": "move-to", "target": float("nan")}, "no number"),
        ({"scope": "words"}, "not said where"),
        ({"scope": "words:dog"}, "cannot be steered from this page"),
        ({"gate": "says", "gate_words": " "}, "nothing is asked"),
        ({"gate": "says"}, "no words"),
        ({"gate": "probe", "probe": "/etc/passwd"}, "not in the run"),
        ({"gate": "probe:/etc/passwd"}, "not in the run"),
        ({"gate": "probe", "probe": ["gates/open"]}, "not in the run"),
        ({"gate": "prompt", "gate_words": "a" * 201}, "201 characters"),
    ],
)
def test_what_is_not_offered_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ShiftLensError, match=said):
        _chosen(**given)


def test_every_choice_can_be_read_by_the_library() -> None:
    assert {name for _, name in OPERATORS} == set(KNOWN)
    for _, name in OPERATORS:
        read_operator(_chosen(operator=name, target=1).operator)
    parts = {"words": "dog", "patches": "0,0,.5,1"}
    for _, name in SCOPES:
        read_scope(_chosen(scope=name, part=parts.get(name, "")).scope)


def test_what_is_asked_for_is_shown() -> None:
    told = {name for _, name in GATES if any(needs(kind, name) for kind in ("gate_words", "probe"))}
    assert told == {"says", "prompt", "probe"}
    assert [needs("target", name) for _, name in OPERATORS] == [False, False, False, True]
    assert not needs("turned", "always")
