"""Algebra of steering vectors: what holds, what is refused, and what is remembered."""

import math

import pytest
import torch
from tests.builders import build_vector

from shiftlens.activations import tokens
from shiftlens.activations.site import Site
from shiftlens.concepts.vectors import SteeringVector
from shiftlens.core.errors import SteeringError


def test_sum_of_many_begins_with_nothing() -> None:
    many = [build_vector(seed=seed) for seed in range(4)]
    expected = torch.stack([one.direction for one in many]).sum(dim=0)
    torch.testing.assert_close(sum(many, start=0 * many[0]).direction, expected)
    total = sum(many)
    assert isinstance(total, SteeringVector)
    torch.testing.assert_close(total.direction, expected)
    with pytest.raises(SteeringError, match="3 and the vector 'random 0' do not add up"):
        3 + many[0]


def test_without_another_leaves_nothing_along_it() -> None:
    a, b = build_vector(seed=1), build_vector(seed=3, length=1e-3)
    left = a.without(b)
    assert abs(a.cosine(b)) > 0.01
    assert left.cosine(b) == pytest.approx(0, abs=1e-6)
    torch.testing.assert_close(a.without(-5.0 * b).direction, left.direction)
    assert left.norm**2 + (a.cosine(b) * a.norm) ** 2 == pytest.approx(a.norm**2, rel=1e-5)
    assert a.without(a).norm == pytest.approx(0, abs=1e-5)
    assert left.name == "random 1 without random 3"


def test_cosine_and_length() -> None:
    a, b = build_vector(seed=1), build_vector(seed=2)
    assert a.cosine(3.0 * a) == pytest.approx(1)
    assert a.cosine(-a) == pytest.approx(-1)
    assert a.cosine(b) == b.cosine(a)
    tiny = a.scaled_to(1e-3)
    assert tiny.norm == pytest.approx(1e-3, rel=1e-6)
    assert tiny.cosine(a) == pytest.approx(1, abs=1e-6)
    for length in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(SteeringError, match="the length"):
            a.scaled_to(length)


def test_a_vector_of_length_0_has_no_direction() -> None:
    a, nothing = build_vector(seed=1), 0.0 * build_vector(seed=1)
    for use in (a.cosine, a.without, nothing.cosine):
        with pytest.raises(SteeringError, match="length 0, and so no direction"):
            use(nothing)
    with pytest.raises(SteeringError, match="length 0"):
        nothing.scaled_to(1.0)
    assert nothing.without(a).norm == 0


def test_numbers_that_are_none_are_refused() -> None:
    vector = build_vector()
    for factor in (math.nan, math.inf):
        with pytest.raises(SteeringError, match=f"times {factor}"):
            vector * factor
        with pytest.raises(SteeringError, match=f"divided by {factor}"):
            vector / factor
    with pytest.raises(SteeringError, match="divided by 0"):
        vector / 0
    with pytest.raises(SteeringError, match="not finite"):
        vector * 1e300


def test_only_vectors_of_one_place_combine() -> None:
    a = build_vector(provenance={"model": {"weights": "a"}})
    for use in (a.cosine, a.without, a.__add__, a.__sub__):
        with pytest.raises(SteeringError, match=r"at layer 1 .* at layer 2"):
            use(build_vector(layer=2))
        with pytest.raises(SteeringError, match="different models"):
            use(build_vector(provenance={"model": {"weights": "b"}}))
    beside = build_vector(site=Site(1, tokens.mean_image(), tower="vision"))
    with pytest.raises(SteeringError, match="at layer 1 of the vision tower with 32 entries"):
        a + beside


def test_a_sum_remembers_its_parts() -> None:
    model = {"weights": "a"}
    a = build_vector(seed=1, provenance={"model": model, "data": "x"}, state_norm=2.0)
    b = build_vector(seed=2, provenance={"model": model, "data": "y"}, state_norm=4.0, kind="other")
    total = a - (b + 2.0 * a)
    assert total.name == "random 1 - (random 2 + 2 x (random 1))"
    assert total.provenance["model"] == model
    assert "data" not in total.provenance
    parts = total.provenance["parts"]
    assert [part["name"] for part in parts] == ["random 1", "random 2", "2 x (random 1)"]
    assert [part["provenance"]["data"] for part in parts] == ["x", "y", "x"]
    assert (b + a).kind == "combination"
    assert (b + a).state_norm == 3
    assert (a + a).kind == "test"


def test_what_is_no_direction_is_refused() -> None:
    with pytest.raises(SteeringError, match="mean length nan"):
        build_vector(state_norm=math.nan)
    with pytest.raises(SteeringError, match="mean length -1"):
        build_vector(state_norm=-1.0)
    with pytest.raises(SteeringError, match=r"has the shape \(0,\)"):
        SteeringVector(torch.zeros(0), Site(1), "none", "test", 1.0)
