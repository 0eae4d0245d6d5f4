"""The two halves share no picture, and what is measured of answers is what tasks and judges say."""

from dataclasses import replace
from pathlib import Path

import pytest

from shiftlens.core.errors import SteeringError
from shiftlens.data.sample import Sample, Samples
from shiftlens.steering.searching.sides import Aim, OffTarget, halves
from shiftlens.steering.tasks.answers import AccuracyTask, AnswersTask
from shiftlens.steering.tasks.task import Measure

TASK = AnswersTask("yes", "no")


def _samples(n: int, pictures: int, mark: str = "s") -> Samples:
    return Samples(
        [
            Sample(f"{mark}{i}", "?", (f"/none/{mark}-{i % pictures}.png",), labels={"answer": "a"})
            for i in range(n)
        ]
    )


def _aim(*off_target: OffTarget) -> Aim:
    return Aim(TASK, TASK.measures[0], off_target, {})


def test_no_picture_is_in_both_halves_of_any_data() -> None:
    aim = _aim(OffTarget("other", _samples(50, 50, "o")))
    first, second = halves(aim, _samples(60, 20), n=None, seed=3)
    for mine, theirs in zip(first.questions, second.questions, strict=True):
        assert {s.images for s in mine.samples}.isdisjoint(s.images for s in theirs.samples)
    assert sum(len(half.target.samples) for half in (first, second)) == 60
    assert sum(len(half.off_target[0].samples) for half in (first, second)) == 50


def test_prefixes_are_random_and_the_same_for_a_seed() -> None:
    def order(seed: int) -> list[str]:
        return [s.id for s in halves(_aim(), _samples(60, 60), n=20, seed=seed)[0].target.samples]

    assert order(0) == order(0)
    assert order(0) != order(1)
    assert order(0) != sorted(order(0), key=lambda name: int(name[1:]))
    assert len(order(0)) == 20


def test_batches_do_not_depend_on_how_far_is_asked() -> None:
    questions = halves(_aim(), _samples(160, 160), n=None, seed=0)[0].target
    assert questions.cuts == (20, 40, 80)
    whole = questions.batches(0, 80, 32)
    rungs = [
        batch
        for start, end in ((0, 20), (20, 40), (40, 80))
        for batch in questions.batches(start, end, 32)
    ]
    assert whole == rungs
    assert [len(batch) for batch in whole] == [20, 20, 32, 8]
    twin = replace(questions, cuts=())
    assert twin.batches(0, 80, 32) != rungs


def test_a_guarded_measure_gives_its_cost_a_name() -> None:
    class Refuses(AccuracyTask):
        name = "refusal"
        measures = (
            Measure("refused", "refused"),
            Measure("over-refusal", "harmless refused", role="side effect", higher_is_better=False),
        )

    samples = _samples(4, 4)
    assert OffTarget("number", samples).cost == "loss:number"
    assert OffTarget("benign", samples, Refuses()).cost == "over_refusal:benign"
    assert OffTarget("benign", samples, Refuses(), "refused").cost == "refused:benign"
    with pytest.raises(SteeringError, match="has no measure 'beauty'"):
        _ = OffTarget("benign", samples, Refuses(), "beauty").cost


def test_costs_are_named_in_the_order_of_tables(tmp_path: Path) -> None:
    aim = _aim(OffTarget("number", _samples(4, 4)))
    assert aim.costs == (
        "loss:number",
        "accuracy",
        "first_token_kl:number",
        "repeats:target",
        "repeats:number",
    )
    assert "first_token_kl:target" in _aim().costs, "where there is nothing else to move it on"
