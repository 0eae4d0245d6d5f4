"""Answers with a gate and baselines, and the search for directions, on the shipped models."""

import json
from pathlib import Path
from typing import Any

import pytest

from shiftlens.concepts.vectors import SteeringVector
from shiftlens.core.errors import DataError, SteeringError
from shiftlens.core.progress import Silent
from shiftlens.models.model import Model
from shiftlens.study.cache import StageCache
from shiftlens.study.context import Context
from shiftlens.study.experiment import (
    AnswersSpec,
    DataSpec,
    DiscoverSpec,
    Experiment,
    RefusalSpec,
    SteeringSpec,
    StyleSpec,
)
from shiftlens.study.kinds.answers import study_answers
from shiftlens.study.kinds.discover import study_discover
from shiftlens.study.kinds.refusal import study_refusal
from shiftlens.study.kinds.style import study_style

_DATA = {
    "yesno": DataSpec("world:yesno", n=32, seed=5),
    "number": DataSpec("world:number", n=32, seed=5),
    "few": DataSpec("world:number", n=8, seed=6),
}


def _context(root: Path, pair: tuple[Model, Model], data: dict[str, DataSpec]) -> Context:
    experiment = Experiment("t", "world:base", "world:places", data, [], [], batch_size=40)
    context = Context(experiment, root, StageCache(root), Silent())
    context.__dict__["models"] = pair  # what the cached property would load again
    return context


def _common(data: str, **rest: Any) -> dict[str, Any]:
    shared = {"name": "s", "title": "t", "question": "q", "data": data, "layer": -1}
    return {**shared, "strength": 1.0, "max_new_tokens": 2, **rest}


def _lines(result: dict[str, Any], trial: str, measure: str) -> dict[str, dict[str, Any]]:
    rows = [one for one in result["table"] if (one["trial"], one["measure"]) == (trial, measure)]
    return {one["arm"]: one for one in rows}


def test_answers_come_gated_and_beside_their_baselines(
    tmp_path: Path, pair: tuple[Model, Model]
) -> None:
    spec = AnswersSpec(
        **_common("yesno", instruction="Always answer no.", with_tuned=True),
        off_target=["few"],
        gate="about to say",
    )
    found = json.loads(json.dumps(study_answers(_context(tmp_path, pair, _DATA), spec)))
    moved = _lines(found, "yesno", "moved")
    names = ["unsteered", "steered", "gated", "random direction", "instruction", "fine-tuned"]
    assert list(moved) == names
    assert moved["gated"]["value"]["estimate"] == found["moved"]
    assert moved["gated"]["value"] == moved["steered"]["value"], "the source is about to be said"
    assert moved["unsteered"]["change"] is None
    # No number question makes the model say yes: the gate leaves every one of them as it was.
    off = _lines(found, "few", "accuracy")
    assert off["gated"]["change"]["estimate"] == 0 == found["off_target_loss"]
    assert "random direction" not in off
    assert found["changes"]["few"]["gated"]["counts"] == {}
    assert found["gate"]["words"] == ["yes"]


def test_counts_and_transitions_are_those_of_the_answers(
    tmp_path: Path, pair: tuple[Model, Model]
) -> None:
    spec = AnswersSpec(**_common("yesno", strength=2.0))
    found = study_answers(_context(tmp_path, pair, _DATA), spec)
    change, yes = found["changes"]["yesno"]["steered"], found["n"]
    assert change["source"] == -change["target"] < 0
    assert change["counts"]["no"] == {
        "unsteered": 16 - yes,
        "change": change["target"],
    }
    matrix = change["transitions"]["yesno"]
    assert sum(matrix["yes"].values()) == yes
    assert found["gate"] is None


def test_several_answers_a_question_are_judged_softly(
    tmp_path: Path, pair: tuple[Model, Model]
) -> None:
    context = _context(tmp_path, pair, _DATA)
    rows = (context.samples("few").root or tmp_path) / "data.jsonl"
    soft = rows.with_name("soft.jsonl")
    parsed = [json.loads(line) for line in rows.read_text(encoding="utf-8").splitlines()]
    for row in parsed:
        answer = row["labels"].pop("answer")
        row["labels"]["answers"] = [answer] * 2 + ["9"] * 8  # two of ten people: 0.6 right
    soft.write_text("\n".join(map(json.dumps, parsed)), encoding="utf-8")
    context = _context(tmp_path, pair, {**_DATA, "soft": DataSpec(str(soft))})
    spec = AnswersSpec(**_common("yesno"), off_target=["soft"])
    found = _lines(study_answers(context, spec), "soft", "accuracy")
    assert found["unsteered"]["label"] == "soft accuracy"
    assert 0.3 < found["unsteered"]["value"]["estimate"] <= 0.6


def test_a_gate_before_the_last_block_is_refused(tmp_path: Path, pair: tuple[Model, Model]) -> None:
    spec = AnswersSpec(**_common("yesno", layer=2), gate="about to say")
    with pytest.raises(SteeringError, match=r"at block 2, which does not know yet.*\n.*last block"):
        study_answers(_context(tmp_path, pair, _DATA), spec)


def test_off_target_data_without_answers_are_refused_at_once(
    tmp_path: Path, pair: tuple[Model, Model]
) -> None:
    data = {**_DATA, "captions": DataSpec("world:captions", n=4)}
    spec = AnswersSpec(**_common("yesno"), off_target=["captions"])
    with pytest.raises(SteeringError, match="'captions' has samples without a label 'answer'"):
        study_answers(_context(tmp_path, pair, data), spec)
    assert not (tmp_path / "steering").exists()


def test_a_style_may_be_told_by_its_words_alone(tmp_path: Path, pair: tuple[Model, Model]) -> None:
    rows = _context(tmp_path / "w", pair, {"c": DataSpec("world:captions", n=48, seed=9)})
    words = {str(w) for s in rows.samples("c") for w in s.labels["allowed"]["place"]}
    bare = tmp_path / "bare.jsonl"
    plain = [{"image": s.images[0], "prompt": s.prompt} for s in rows.samples("c")]
    bare.write_text("\n".join(map(json.dumps, plain)), encoding="utf-8")
    after = ["standing", "running", "sitting", "flying", "parked", "moving"]
    shared = _common("c", layer=-2, max_new_tokens=16)
    spec = StyleSpec(**shared, words=sorted(words), decide_after=after)
    found = study_style(_context(tmp_path, pair, {"c": DataSpec(str(bare))}), spec)
    assert found["right_shift"] > 0.5
    assert _lines(found, "c", "styled")["shift vector"]["value"]["estimate"] == found["right_shift"]
    assert not _lines(found, "c", "right")
    spec = StyleSpec(**shared, decide_after=after)
    with pytest.raises(SteeringError, match="no label 'allowed'"):
        study_style(_context(tmp_path, pair, {"c": DataSpec(str(bare))}), spec)


@pytest.mark.slow
def test_directions_are_ranked_and_the_best_are_saved(
    tmp_path: Path, pair: tuple[Model, Model]
) -> None:
    spec = DiscoverSpec(**_common("number"), k=3, n_random=4, kept=2)
    found = json.loads(json.dumps(study_discover(_context(tmp_path, pair, _DATA), spec)))
    scores = [one["score"] for one in found["directions"]]
    assert len(scores) == found["tried"] == 6
    assert scores == sorted(scores, reverse=True)
    assert len(found["null"]) == 4
    beaten = [one["beaten_by"] == 0 and bool(one["more"]) for one in found["directions"]]
    assert found["figures"][0]["estimate"] == pytest.approx(sum(beaten) / 6)
    assert found["meaningful"] == sum(beaten)
    folder = tmp_path / "steering" / "s"
    best = SteeringVector.load(folder / "best-1")
    assert best.norm > 0
    assert (folder / "best-2.safetensors").exists()
    assert not (folder / "best-3.safetensors").exists()
    assert (folder / "discovery.json").exists()
    assert found["examples"][0]["answers"][0]["label"] == "unsteered"


def test_where_keeps_samples_by_label_before_n_does(
    tmp_path: Path, pair: tuple[Model, Model]
) -> None:
    rows = [{"prompt": "q", "labels": {"kind": "ab"[i % 2], "i": i}} for i in range(8)]
    file = tmp_path / "d.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    data = {
        "a": DataSpec(str(file), where={"kind": ["a"]}, n=3),
        "two": DataSpec(str(file), where={"kind": ["b"], "i": ["1", "3"]}),
        "wrong": DataSpec(str(file), where={"kind": ["a", "c"]}),
        "drawn": DataSpec("world:number", n=12, seed=6, where={"answer": ["one"]}),
    }
    context = _context(tmp_path, pair, data)
    assert [s.labels["kind"] for s in context.samples("a")] == ["a"] * 3
    assert [s.labels["i"] for s in context.samples("two")] == [1, 3]
    drawn = context.samples("drawn")
    assert 0 < len(drawn) < 12
    assert {s.labels["answer"] for s in drawn} == {"one"}
    with pytest.raises(DataError, match=r"\[data.wrong\]: where kind = 'c'.*\n.*kind: a, b"):
        context.samples("wrong")


@pytest.mark.slow
def test_refusals_are_kept_by_a_gate_on_what_is_answered_and_lost_by_one_on_all(
    tmp_path: Path, pair: tuple[Model, Model]
) -> None:
    data = {"danger": DataSpec("world:requests", n=200, seed=108)}

    def kept(gate_on: str) -> dict[str, Any]:
        asked: dict[str, Any] = {**_common("danger", max_new_tokens=6), "layer": -2}
        spec = RefusalSpec(**asked, refusals=["sorry"], gate_layer=-3, gate_on=gate_on)
        found = study_refusal(_context(tmp_path / gate_on, pair, data), spec)
        assert found["gated"]["refused_dangerous"] >= 0.8
        return next(one for one in found["figures"] if one["name"] == "gated_kept")

    answered, everything = kept("answered"), kept("dangerous")
    assert (answered["estimate"], answered["holds"]) == (1.0, True)
    # The twin: the gate of all dangerous requests must fail its goal, not pass in silence.
    assert everything["estimate"] < 0.1
    assert everything["holds"] is False


def test_further_harmless_requests_join_the_dangerous_ones(
    tmp_path: Path, pair: tuple[Model, Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}

    def stop(_context: Context, spec: SteeringSpec, samples: Any) -> None:
        seen["samples"] = samples
        raise KeyboardInterrupt(spec.name)

    monkeypatch.setattr("shiftlens.study.kinds.refusal.Trial.begin", stop)
    data = {**_DATA, "danger": DataSpec("world:requests", n=4, seed=1)}
    spec = RefusalSpec(**_common("danger"), harmless="few")
    with pytest.raises(KeyboardInterrupt):
        study_refusal(_context(tmp_path, pair, data), spec)
    flags = [sample.labels["dangerous"] for sample in seen["samples"]]
    assert len(flags) == 12
    assert not any(flags[4:])
    assert seen["samples"][4].id.startswith("few/")
