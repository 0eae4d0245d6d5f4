"""Shares of non-zero codes and Hoyer's sparseness."""

import numpy as np
import pytest
import torch

from shiftlens.concepts.quality.figures import Figure
from shiftlens.concepts.quality.sparsity import hoyer, sparsity
from shiftlens.core.errors import LearnError


def _named(codes: torch.Tensor, **options) -> dict[str, Figure]:
    return {one.name: one for one in sparsity(codes, **options)}


def test_one_active_code_is_as_sparse_as_can_be() -> None:
    found = _named(torch.eye(4)[torch.arange(20) % 4])
    assert found["active concepts a row"].value.estimate == 1
    assert found["non-zero codes"].value.estimate == 0.25
    assert found["Hoyer sparseness"].value.estimate == pytest.approx(1)
    # Twin: codes that are all alike are as dense as can be.
    dense = _named(torch.full((20, 4), -0.5))
    assert dense["active concepts a row"].value.estimate == 4
    assert dense["Hoyer sparseness"].value.estimate == pytest.approx(0, abs=1e-12)


def test_hoyer_follows_its_formula() -> None:
    codes = torch.tensor([[3.0, 4.0, 0.0, 0.0]])
    expected = (2 - 7 / 5) / (2 - 1)
    np.testing.assert_allclose(hoyer(codes), [expected])


def test_rows_without_a_code_are_counted_and_do_not_count() -> None:
    codes = torch.tensor([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]])
    found = _named(codes)
    assert found["active concepts a row"].value.estimate == 1
    assert found["Hoyer sparseness"].value.estimate == pytest.approx(0.5)
    assert found["Hoyer sparseness"].counts["left out"] == 1
    assert all(one.counts["rows without a code"] == 1 for one in found.values())


def test_codes_that_are_all_zero_have_no_sparseness_and_no_nan() -> None:
    found = _named(torch.zeros(5, 3))
    assert set(found) == {"non-zero codes", "active concepts a row"}
    assert found["non-zero codes"].value.estimate == 0


def test_a_single_concept_has_no_sparseness() -> None:
    assert "Hoyer sparseness" not in _named(torch.ones(5, 1))
    with pytest.raises(LearnError, match="single code"):
        hoyer(torch.ones(5, 1))


def test_beside_other_codes_of_the_same_rows() -> None:
    sparse, dense = torch.eye(4)[torch.arange(20) % 4], torch.ones(20, 4)
    found = _named(sparse, baselines={"dense": [dense, dense]})["Hoyer sparseness"]
    difference = found.beside("dense").difference
    assert difference is not None
    assert difference.estimate == pytest.approx(1)


def test_a_baseline_that_is_never_active_costs_no_figure() -> None:
    codes = torch.eye(4)[torch.arange(20) % 4]
    found = _named(codes, baselines={"silent": [torch.zeros(20, 4)], "dense": [torch.ones(20, 4)]})
    assert found["active concepts a row"].beside("silent").value.estimate == 0
    assert [one.name for one in found["Hoyer sparseness"].baselines] == ["dense"]


def test_bad_codes_are_refused() -> None:
    with pytest.raises(LearnError, match="codes are not finite"):
        sparsity(torch.tensor([[float("nan"), 1.0]]))
    with pytest.raises(LearnError, match="no rows"):
        sparsity(torch.zeros(0, 3))
