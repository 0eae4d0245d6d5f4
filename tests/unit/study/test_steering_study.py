"""The steering study's recipes: both parse, one runs, one reads data of the published shape."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from shiftlens.cli.steering_summary import print_steering
from shiftlens.core.progress import Silent
from shiftlens.study.cache import StageCache
from shiftlens.study.context import Context
from shiftlens.study.experiment import (
    KINDS,
    AnswersSpec,
    DiscoverSpec,
    Experiment,
    StyleSpec,
    load_experiment,
)
from shiftlens.study.running import run_study

_RECIPES = Path(__file__).parents[3] / "experiments"


def _recipe(name: str) -> Experiment:
    return load_experiment(_RECIPES / f"{name}.toml")


@pytest.mark.parametrize("name", ["steering-study", "steering-study-world"])
def test_the_recipes_hold_every_kind_with_controls_and_baselines(name: str) -> None:
    experiment = _recipe(name)
    assert {type(spec) for spec in experiment.steering} == set(KINDS.values())
    assert experiment.words
    pairs = [spec for spec in experiment.steering if isinstance(spec, AnswersSpec)]
    assert len(pairs) == 3
    assert all(one.gate and one.off_target and one.instruction for one in pairs)
    assert all(one.strength == 1 and one.layer == -1 for one in pairs)
    judged = [spec for spec in experiment.steering if not isinstance(spec, DiscoverSpec)]
    assert all(spec.controls >= 2 for spec in judged)
    assert any(spec.with_tuned for spec in judged)


def test_the_large_recipe_asks_what_was_published() -> None:
    experiment = _recipe("steering-study")
    asked = [experiment.data[name] for name in ("yesno", "number", "other")]
    assert sum(one.n or 0 for one in asked) == 5000
    assert {one.prompt for one in asked} == {
        "{question}\nAnswer the question using a single word or phrase."
    }
    assert experiment.data["captions"].n == 3000
    captions = next(spec for spec in experiment.steering if isinstance(spec, StyleSpec))
    assert captions.layer == 20


def test_the_large_recipe_reads_folders_of_the_published_shape(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _public_data(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    experiment = _recipe("steering-study")
    context = Context(experiment, tmp_path / "run", StageCache(tmp_path / "run"), Silent())
    found = {name: context.samples(name) for name in experiment.data}
    assert {name: len(samples) for name, samples in found.items()} == {
        "yesno": 2, "number": 1, "other": 1, "captions": 1, "dangerous": 2, "harmless": 1,
    }  # fmt: skip
    assert found["yesno"][0].prompt.startswith("q1?\nAnswer the question using")
    assert found["number"][0].labels["answers"] == ["1"] * 10
    assert found["dangerous"][0].labels["dangerous"] is True
    assert found["harmless"][0].prompt == "q4?"
    scenarios = {sample.labels["scenario"] for sample in found["dangerous"]}
    safety = next(spec for spec in experiment.steering if spec.name == "safety")
    held_out: dict[str, list[str]] = safety.held_out  # pyright: ignore[reportAttributeAccessIssue]
    assert set(held_out["scenario"]) <= scenarios


def _public_data(root: Path) -> None:
    """VQAv2, COCO captions and MM-SafetyBench, a row or two of each."""
    kinds = {1: ("yes/no", "yes"), 2: ("yes/no", "no"), 3: ("number", "1"), 4: ("other", "white")}
    questions = [{"question_id": i, "image_id": 9, "question": f"q{i}?"} for i in kinds]
    annotations = [
        {
            "question_id": i,
            "image_id": 9,
            "answer_type": kind,
            "question_type": "is",
            "multiple_choice_answer": answer,
            "answers": [{"answer": answer, "answer_id": k} for k in range(10)],
        }
        for i, (kind, answer) in kinds.items()
    ]
    name = "COCO_val2014_000000000009.jpg"
    vqa, coco, safety = root / "vqav2", root / "coco", root / "mm-safetybench" / "data"
    _write(vqa / "v2_OpenEnded_mscoco_val2014_questions.json", {"questions": questions})
    _write(vqa / "v2_mscoco_val2014_annotations.json", {"annotations": annotations})
    captions = {
        "images": [{"id": 9, "file_name": name}],
        "annotations": [{"id": 1, "image_id": 9, "caption": "A man."}],
    }
    _write(coco / "annotations" / "captions_val2014.json", captions)
    pictures = [vqa / "val2014" / name, coco / "val2014" / name]
    for scenario in ("02-HateSpeech", "06-Fraud"):
        row = {"Question": "a", "Rephrased Question": "b", "Rephrased Question(SD)": "c"}
        _write(safety / "processed_questions" / f"{scenario}.json", {"0": row})
        pictures.append(safety / "imgs" / scenario / "SD_TYPO" / "0.jpg")
    for picture in pictures:
        picture.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(picture)


def _write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def _line(arm: str, **rest: Any) -> dict[str, Any]:
    interval = {"estimate": 0.5, "low": 0.25, "high": 0.75}
    line = {"arm": arm, "trial": "yesno", "measure": "moved", "n": 7, "value": interval}
    line |= {"label": "source answers that became the target", "change": None}
    return {**line, "above_random": None, "test": None, **rest}


def test_the_terminal_shows_every_arm_in_eighty_columns(
    capsys: pytest.CaptureFixture[str],
) -> None:
    low = {"estimate": -0.5, "low": -0.75, "high": -0.25}
    lines = [
        _line("unsteered"),
        _line("random direction"),
        _line("steered", change=low, above_random=low, test={"p": 1e-9}),
    ]
    direction = {"source": 0, "target": 1, "more": "three, four", "fewer": "[one]", "lost": 9}
    direction |= {"score": 8, "beaten_by": 0, "dose": 0.4}
    shared = {"title": "A [b]", "n": 7, "figures": []}
    both = {
        "a": {**shared, "table": lines},
        "b": {**shared, "directions": [direction], "null": [3, 1]},
    }
    print_steering(both, tables=True)
    said = capsys.readouterr().out
    assert max(len(line) for line in said.splitlines()) <= 80
    assert "yesno: source answers that became the target (n = 7)" in said
    row = next(line for line in said.splitlines() if line.startswith("  steered"))
    assert row.split() == ["steered", "0.50", "[0.25,", "0.75]", "−0.50", "[−0.75,", "−0.25]",
                           "−0.50", "<.001"]  # fmt: skip
    assert "[one] (9)" in said
    assert "score at most 3" in said
    print_steering(both, tables=False)
    assert "steered" not in capsys.readouterr().out


@pytest.mark.slow
def test_the_worlds_study_runs_and_is_taken_up_again(tmp_path: Path) -> None:
    whole = _recipe("steering-study-world")
    small = {"yesno": 160, "number": 240, "color": 1500}
    experiment = replace(
        whole,
        data={name: replace(spec, n=small.get(name, 150)) for name, spec in whole.data.items()},
        words=[replace(spec, k=4, draws=10) for spec in whole.words],
        steering=[replace(spec, controls=min(spec.controls, 1)) for spec in whole.steering],
    )
    first = run_study(experiment, tmp_path / "run")
    steering = first.metrics["steering"]
    for name in ("yes-to-no", "one-to-three", "green-to-black"):
        found = steering[name]
        assert found["moved"] >= 0.8
        assert found["off_target_loss"] <= 0.03
        lines = {(x["arm"], x["trial"], x["measure"]): x for x in found["table"]}
        data = next(spec.data for spec in experiment.steering if spec.name == name)
        gated = lines["gated", data, "moved"]
        assert gated["above_random"]["low"] > 0
        assert ("instruction", data, "moved") in lines
    assert steering["places"]["right_shift"] >= 0.8
    assert steering["gender"]["neutralised"] >= 0.8
    assert steering["safety"]["gated"]["refused_dangerous"] >= 0.8
    assert steering["directions"]["meaningful"] > 0
    again = run_study(experiment, tmp_path / "run")
    assert again.computed == ()
    assert again.metrics["steering"] == steering
