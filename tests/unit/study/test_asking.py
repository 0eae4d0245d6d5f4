"""Arms side by side: what is read back from an evaluation, and what is refused."""

import pytest

from shiftlens.core.errors import SteeringError
from shiftlens.core.intervals import wilson
from shiftlens.data.sample import Sample, Samples
from shiftlens.models.model import Model
from shiftlens.steering.applying import Intervention
from shiftlens.steering.directions import random_like
from shiftlens.steering.evaluating import Evaluation, Line
from shiftlens.study.asking import RANDOM, Judged, arms_of


def _line(arm: str, hits: int, n: int = 10, **rest: object) -> Line:
    value = wilson(hits, n)
    return Line(arm, "t", "moved", "moved", "effect", True, n, value, **rest)  # pyright: ignore[reportArgumentType]


def _judged(*lines: Line, receipts: dict[str, object] | None = None) -> Judged:
    samples = Samples([Sample(name, "q") for name in "abc"])
    rows = [{"id": s.id, "answers": {"unsteered": s.id, "x": s.id * 2}} for s in samples]
    found = Evaluation(lines, receipts={"t": receipts or {}}, examples={"t": rows[::-1]})
    return Judged("t", samples, found)


def test_answers_come_back_in_the_order_of_the_samples() -> None:
    assert _judged().texts("x") == ["aa", "bb", "cc"]
    assert _judged().texts() == ["a", "b", "c"]


def test_a_sample_is_open_where_any_gate_was() -> None:
    vectors = [
        {"gate": {}, "gate_open": [True, False, False]},
        {"gate": {}, "gate_open": [False, False, True]},
        {"gate": None, "gate_open": []},
    ]
    receipt = {"x": {"vectors": vectors, "summary": "one\ntwo"}}
    assert _judged(receipts=receipt).opened("x") == [True, False, True]
    assert _judged(receipts=receipt).receipts() == ["x, t: one", "x, t: two"]
    plain = {"x": {"vectors": vectors[2:], "summary": ""}}
    assert _judged(receipts=plain).opened("x") == [True, True, True]


def test_chance_is_the_random_arm_or_what_the_arm_is_above() -> None:
    above = wilson(7, 10)
    with_arm = _judged(_line("x", 9), _line(RANDOM, 1))
    assert with_arm.by_chance("x", "moved") == wilson(1, 10)
    with_controls = _judged(_line("x", 9, above_random=above))
    assert with_controls.by_chance("x", "moved") == wilson(2, 10)


def test_a_loss_is_the_change_turned_round_and_the_plain_arm_has_none() -> None:
    change = wilson(3, 10)
    judged = _judged(_line("unsteered", 5), _line("x", 8, change=change))
    loss = judged.loss("x", "moved")
    assert (loss.low, loss.estimate, loss.high) == (-change.high, -0.3, -change.low)
    with pytest.raises(SteeringError, match="others are held against"):
        judged.loss("unsteered", "moved")


def test_a_measure_without_samples_is_an_error_that_says_so() -> None:
    assert not _judged(_line("x", 1)).has("x", "accuracy")
    with pytest.raises(SteeringError, match="no sample of 't' to judge 'accuracy'"):
        _judged(_line("x", 1)).line("x", "accuracy")


def test_baselines_and_the_random_arm_are_added(pair: tuple[Model, Model]) -> None:
    import torch

    from shiftlens.activations import tokens
    from shiftlens.activations.site import Site
    from shiftlens.concepts.vectors import SteeringVector

    site = Site(layer=0, tokens=tokens.last_prompt())
    one = Intervention(SteeringVector(torch.ones(8), site, "v", "mean difference", 1.0))
    plain = arms_of({"x": [one]})
    assert [arm.name for arm in plain] == ["x"]
    arms = arms_of({"x": [one]}, randomised="x", instruction="Say no.", tuned=pair[1], seed=3)
    assert [arm.name for arm in arms] == ["x", RANDOM, "instruction", "fine-tuned"]
    random = arms[1].interventions[0].vector
    assert isinstance(random, SteeringVector)
    assert torch.equal(random.direction, random_like(one.vector, 3).direction)  # pyright: ignore[reportArgumentType]
    assert arms[3].model is pair[1]
