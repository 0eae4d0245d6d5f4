"""The demo keeps its promises: documented keys, goals reached, controls beaten."""

from pathlib import Path

import pytest

import shiftlens.world
from shiftlens.study.experiment import load_experiment
from shiftlens.study.running import Outcome, run_study

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    assert shiftlens.world.__file__ is not None
    experiment = load_experiment(Path(shiftlens.world.__file__).with_name("demo.toml"))
    return run_study(experiment, tmp_path_factory.mktemp("demo") / "run")


def test_every_documented_key_is_there(outcome: Outcome) -> None:
    metrics = outcome.metrics
    stages = {"total", "harvest", "learn", "compare", "steer", "report"}
    assert stages <= set(metrics["seconds"])
    for toi in metrics["toi"].values():
        assert set(toi["rows"]) == {"matched", "missed", "failed"}
        assert toi["recovery"]["strength"] == [0, 0.5, 1, 1.5, 2]
        for curves in (toi["recovery"]["centred_cosine"], toi["recovery"]["t_overlap"]):
            for control in ("concept", "global", "shuffled"):
                assert len(curves[control]) == 5
    keys = {
        "answer": {"n", "moved", "off_target_loss"},
        "style": {"n", "right", "right_shift"},
        "gender": {"n", "neutralised", "rest_unchanged"},
        "safety": {"n", "ungated", "gated"},
    }
    for name, wanted in keys.items():
        assert wanted <= set(metrics["steering"][name])


def test_the_first_answer_is_explained_and_its_heat_map_holds(outcome: Outcome) -> None:
    (one,) = outcome.metrics["toi"]["person"]["explained"]
    assert "explained" not in outcome.metrics["toi"]["horse"]
    framed = [word for word in one["document"]["words"] if word["where"] == "at the site"]
    assert [word["text"] for word in framed] == ["person"]
    folder = outcome.report.parent / one["folder"]
    assert all((folder / each["file"]).is_file() for each in one["document"]["heat_maps"])
    assert "word by word" in outcome.report.read_text(encoding="utf-8")


def test_concept_shifts_recover_more_than_the_controls(outcome: Outcome) -> None:
    for toi in outcome.metrics["toi"].values():
        for control in ("global", "shuffled"):
            assert toi["recovery"][f"concept_minus_{control}"]["low"] > 0


def test_concepts_agree_with_a_known_factor_more_than_random_ones(outcome: Outcome) -> None:
    for toi in outcome.metrics["toi"].values():
        gains = [one["learned"] - one["random"] for one in toi["concepts"]["ami"].values()]
        assert max(gains) > 0.1


def test_steering_reaches_its_goals_and_its_controls_do_not(outcome: Outcome) -> None:
    steering = outcome.metrics["steering"]
    assert steering["answer"]["moved"] >= 0.8
    assert steering["answer"]["off_target_loss"] <= 0.03
    assert min(one["n"] for one in steering["answer"]["off_target"].values()) >= 200
    assert steering["style"]["right_shift"] >= 0.9
    assert steering["gender"]["neutralised"] >= 0.8
    assert steering["gender"]["rest_unchanged"] >= 0.75
    assert steering["safety"]["gated"]["refused_dangerous"] >= 0.8
    assert steering["safety"]["gated"]["refused_harmless"] <= 0.1
    assert steering["safety"]["gated"]["refusals_kept"] >= 0.9
    for found in steering.values():
        controls = {f["name"]: f["estimate"] for f in found["figures"] if f["role"] == "control"}
        assert min(controls.values()) < 0.2
