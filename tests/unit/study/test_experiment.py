"""The experiment file: every key is known, or the reader hears which are."""

from pathlib import Path

import pytest

import shiftlens.world
from shiftlens.core.errors import DataError
from shiftlens.study.experiment import KINDS, AnswersSpec, DiscoverSpec, load_experiment

_GOOD = """
title = "t"
base = "world:base"
tuned = "world:places"
[data.d]
source = "world:dog"
n = 4
[[words]]
name = "dog"
members = ["dog"]
data = "d"
[[steering]]
kind = "answers"
name = "answer"
title = "t"
question = "q"
data = "d"
layer = -1
strength = 1
"""


def _write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "e.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_good_file_becomes_its_parts(tmp_path: Path) -> None:
    experiment = load_experiment(_write(tmp_path, _GOOD))
    assert experiment.words[0].members == ["dog"]
    assert isinstance(experiment.steering[0], AnswersSpec)
    assert experiment.steering[0].strength == 1


def test_the_demo_is_an_experiment_with_every_kind_that_is_quick() -> None:
    assert shiftlens.world.__file__ is not None
    experiment = load_experiment(Path(shiftlens.world.__file__).with_name("demo.toml"))
    assert {type(spec) for spec in experiment.steering} == set(KINDS.values()) - {DiscoverSpec}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('title = "t"\nbase', 'titel = "t"\nbase', r"unknown key 'titel'\n.*title, base"),
        ("n = 4", 'n = "four"', r"\[data.d\]: n = 'four' is not of the right type"),
        ("n = 4", "n = true", "n = True is not of the right type"),
        ('data = "d"\n[[steering', 'data = "e"\n[[steering', "does not declare: e"),
        ('kind = "answers"', 'kind = "magic"', "kinds: answers, style, neutral, refusal, disc"),
        ("strength = 1", 'strength = 1\ngate = "probe"', "unknown gate 'probe'\n.*about to say"),
        ("layer = -1", 'layer = -2\ngate = "about to say"', "the last block, -1: before it"),
        ("strength = 1", "strength = 1\ncontrols = -1", "controls = -1\n.*0 or more"),
        ("strength = 1", 'strength = 1\noff_target = ["f"]', "does not declare: f"),
        ('"answers"', '"discover"\nk = 1', "k = 1, top = 5, n_random = 20\n.*from 2 up"),
        ('"answers"', '"refusal"\nharmless = "h"', "does not declare: h"),
        ('"answers"', '"refusal"\ngate_on = "all"', "gate_on = 'all'"),
        ("n = 4", 'where = "yes"', r"\[data.d\]: where = 'yes' is not of the right type"),
        ('members = ["dog"]', "members = [1]", "members"),
        ('members = ["dog"]', 'members = ["dog"]\nheat_maps = -1', "heat_maps = -1\n.*0 or more"),
        ('members = ["dog"]', 'members = ["dog"]\nmargin = 0.0', "margin = 0.0\n.*spreads above 0"),
        ('members = ["dog"]\n', "", "lacks the key 'members'"),
        ('name = "answer"', 'name = "dog"', "the name 'dog' to two parts"),
        ('title = "t"\nbase', "title = \nbase", "not valid TOML"),
    ],
)
def test_a_bad_file_says_where_and_what_is_allowed(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in _GOOD
    with pytest.raises(DataError, match=message):
        load_experiment(_write(tmp_path, _GOOD.replace(old, new, 1)))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        load_experiment(tmp_path / "none.toml")
