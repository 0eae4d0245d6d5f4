"""Every direction as an arm."""

from pathlib import Path

import pytest
import torch
from tests.builders import build_store

from shiftlens.activations.store import ActivationStore
from shiftlens.core.errors import SteeringError
from shiftlens.steering.directions import labelled
from shiftlens.steering.evaluating import direction_arms
from shiftlens.steering.evaluating.directions import WAYS
from shiftlens.steering.operators import Ablate, MoveTo

D = 6
SOURCE, TARGET = labelled("what", "a"), labelled("what", "b")


@pytest.fixture
def store(tmp_path: Path) -> ActivationStore:
    """Thirty rows, a third of each class; b lies above a along the first axis, c between."""
    states = torch.randn(30, D, generator=torch.Generator().manual_seed(0)) + 5
    labels = [{"what": "abc"[row % 3]} for row in range(30)]
    states[:, 0] += torch.tensor([{"a": -3.0, "b": 3.0, "c": 0.0}[one["what"]] for one in labels])
    return build_store(tmp_path / "s", states, labels=labels)


def test_every_way_is_an_arm_with_the_same_settings(store: ActivationStore) -> None:
    arms = direction_arms(store, source=SOURCE, target=TARGET, strength=0.5, scope="all")
    assert [arm.name for arm in arms] == list(WAYS)
    ones = [arm.interventions[0] for arm in arms]
    assert {one.strength for one in ones} == {0.5}
    assert {one.scope for one in ones} == {"all"}
    assert isinstance(ones[2].operator, Ablate)
    moved = ones[3].operator
    assert isinstance(moved, MoveTo)
    unit = ones[0].vector.direction / ones[0].vector.norm  # pyright: ignore
    there = store.where(TARGET).states() @ unit
    assert moved.target == pytest.approx(float(there.mean()), rel=1e-4)
    assert [one.vector.kind for one in ones[-2:]] == ["LEACE", "affine switch"]


def test_some_of_them(store: ActivationStore) -> None:
    (arm,) = direction_arms(store, source=SOURCE, target=TARGET, ways=["LEACE"])
    assert arm.name == "LEACE"
    with pytest.raises(SteeringError, match="made by 'magic'"):
        direction_arms(store, source=SOURCE, target=TARGET, ways=["magic"])


def test_what_cannot_be_fitted_is_an_error_and_not_left_out(store: ActivationStore) -> None:
    both = store.where(labelled("what", "a", "b"))
    with pytest.raises(SteeringError, match="only 0 of 20 rows are neutral"):
        direction_arms(both, source=SOURCE, target=TARGET)
    ways = [way for way in WAYS if way != "affine switch"]
    assert len(direction_arms(both, source=SOURCE, target=TARGET, ways=ways)) == len(ways)
