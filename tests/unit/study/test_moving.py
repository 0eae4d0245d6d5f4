"""Outcomes before and after, and several strengths side by side, on the shipped models."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.unit.study.test_kinds import _DATA, _common, _context

from shiftlens.core.errors import DataError
from shiftlens.models.model import Model
from shiftlens.study.experiment import AnswersSpec, DataSpec, NeutralSpec, load_experiment
from shiftlens.study.kinds.answers import study_answers
from shiftlens.study.kinds.neutral import study_neutral
from shiftlens.study.moving import changed


def test_changed_answers_are_counted_for_each_kind() -> None:
    kinds, before, after = ["a", "b", "a"], ["x", "y", "z"], ["x", "x", "y"]
    assert changed(kinds, before, after) == {"a": 1, "b": 1}


def _swept(tmp_path: Path, pair: tuple[Model, Model], **rest: Any) -> dict[str, Any]:
    spec = AnswersSpec(
        **_common("yesno", strength=0.8, strengths=[0.1, 1.5]), off_target=["few"], **rest
    )
    return json.loads(json.dumps(study_answers(_context(tmp_path, pair, _DATA), spec)))


@pytest.mark.slow
def test_a_sweep_holds_the_experiments_own_strength_with_its_own_numbers(
    tmp_path: Path, pair: tuple[Model, Model]
) -> None:
    found = _swept(tmp_path, pair)
    sweep = found["sweep"]
    assert sweep["strengths"] == [0.1, 0.8, 1.5]
    assert [one["name"] for one in sweep["cells"]] == [
        "strength 0.1",
        "strength 0.8",
        "strength 1.5",
    ]
    chosen = sweep["cells"][sweep["chosen"]]
    assert chosen["cell"]["strength"] == 0.8
    figures = {one["name"]: one for one in found["figures"]}
    assert chosen["effect"]["estimate"] == figures["moved"]["estimate"]
    assert chosen["costs"]["accuracy:few"]["estimate"] == figures["loss_few"]["estimate"]
    assert sweep["budgets"] == ["accuracy <= 0.03"]
    doses = [one["dose"] for one in sweep["cells"]]
    assert doses == sorted(doses)
    assert doses[0] > 0
    # The front rises: nothing on it is dearer than the next without a greater effect.
    for places in sweep["fronts"].values():
        effects = [sweep["cells"][place]["effect"]["estimate"] for place in places]
        assert effects == sorted(set(effects))
    assert not any("strength" in line["arm"] for line in found["table"])


def test_without_strengths_there_is_no_sweep(tmp_path: Path, pair: tuple[Model, Model]) -> None:
    spec = AnswersSpec(**_common("yesno"))
    found = study_answers(_context(tmp_path, pair, _DATA), spec)
    assert "sweep" not in found
    assert found["meant"] == [{"before": "yes", "after": "no"}]
    matrix = found["changes"]["yesno"]["steered"]
    off = sum(
        count
        for row in matrix["transitions"].values()
        for was, after in row.items()
        for now, count in after.items()
        if was != now
    )
    assert matrix["changed"]["yesno"] == off


@pytest.mark.slow
def test_captions_are_counted_by_the_words_that_they_say(
    tmp_path: Path, pair: tuple[Model, Model]
) -> None:
    data = {"people": DataSpec("world:ambiguous", n=60, seed=3)}
    swaps = {"woman": "person", "man": "person"}
    spec = NeutralSpec(**_common("people", max_new_tokens=16), swaps=swaps)
    found = study_neutral(_context(tmp_path, pair, data), spec)
    matrix = found["changes"]["people"]["gated"]["transitions"]["(no type)"]
    assert set(matrix) <= {"man", "woman", "man and woman"}
    assert sum(sum(row.values()) for row in matrix.values()) == found["n"]
    moved = sum(row.get("person", 0) for row in matrix.values())
    assert moved / found["n"] == pytest.approx(found["neutralised"])
    assert found["meant"] == [
        {"before": "woman", "after": "person"},
        {"before": "man", "after": "person"},
    ]


def test_strengths_of_directions_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "e.toml"
    file.write_text(
        'title = "t"\nbase = "b"\ntuned = "t"\n[data.a]\nsource = "a"\n[[steering]]\n'
        'kind = "discover"\nname = "d"\ntitle = "t"\nquestion = "q"\ndata = "a"\nlayer = -1\n'
        "strength = 1.0\nstrengths = [0.5]\n",
        encoding="utf-8",
    )
    with pytest.raises(DataError, match="strengths with the kind 'discover'"):
        load_experiment(file)
