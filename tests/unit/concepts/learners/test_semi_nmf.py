"""Semi-NMF: as low as Ding's updates run long, streams as in memory, bad input is told."""

from itertools import pairwise

import pytest
import torch
from tests.unit.concepts.learners.factor_rows import (
    PiecewiseRows,
    falling,
    golden,
    matched,
    planted,
)
from torch import Tensor

from shiftlens.concepts.learners import sampling
from shiftlens.concepts.learners.learner import Learned, learners
from shiftlens.concepts.learners.semi_nmf import SemiNMF
from shiftlens.core.errors import LearnError


def _objective(states: Tensor, learned: Learned) -> float:
    """Squared error in the space of the encoder."""
    space = learned.encoder.space
    rest = space.into(states) - learned.encode(states) @ space.directions_into(learned.vectors)
    return float(rest.double().square().sum())


@pytest.mark.parametrize("case", ["planted", "falling", "far"])
def test_no_higher_than_the_multiplicative_updates_of_ding(case: str) -> None:
    """The best of 8 starts of 20,000 updates each, by an independent script."""
    known = golden()[case]
    states = torch.tensor(known["states"])
    found = SemiNMF(k=known["k"]).fit(states)
    assert _objective(states, found) <= known["multiplicative"] * (1 + 1e-6)


def test_where_all_states_lie_on_one_side_the_error_is_that_of_an_svd() -> None:
    states = falling(200, 20, mean=2.0)
    found = SemiNMF(k=4, tol=1e-9).fit(states)
    floor = float(torch.linalg.svdvals(states.double())[4:].square().sum())
    assert floor <= found.report["objective"] * (1 + 1e-6)
    assert found.report["objective"] == pytest.approx(floor, rel=1e-3)


def test_the_report_tells_what_codes_and_vectors_are() -> None:
    states, _ = planted()
    found = SemiNMF(k=5).fit(states)
    report, codes = found.report, found.encode(states)
    assert report["objective"] == pytest.approx(_objective(states, found), rel=1e-4)
    share = (report["objective"] / float(states.double().square().sum())) ** 0.5
    assert report["relative_error"] == pytest.approx(share, rel=1e-4)
    assert report["zero_codes"] == pytest.approx(float((codes == 0).double().mean()), abs=0.01)
    assert len(report["start_objectives"]) == 3
    assert report["iterations"] > 0
    torch.testing.assert_close(found.vectors.norm(dim=1), torch.ones(5))
    assert list(found.sizes) == torch.bincount(found.assign(states), minlength=5).tolist()


def test_few_iterations_are_reported_as_not_converged() -> None:
    assert not SemiNMF(k=4, max_iter=2, max_passes=1).fit(falling(200, 20)).report["converged"]
    assert SemiNMF(k=5, tol=1e-4).fit(planted()[0]).report["converged"]


@pytest.mark.parametrize("size", [7, 100])
def test_rows_in_pieces_give_what_rows_in_memory_give(size: int) -> None:
    states, _ = planted()
    whole = SemiNMF(k=5, max_iter=50).fit(states)
    pieces = SemiNMF(k=5, max_iter=50).fit(PiecewiseRows(states.half(), size))
    objective = pytest.approx(whole.report["objective"], rel=1e-2)
    assert pieces.report["objective"] == objective
    assert matched(pieces.vectors, whole.vectors) > 0.98


def test_a_small_sample_is_made_up_for_by_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    states = falling(1200, 20)
    whole = SemiNMF(k=5, max_iter=100).fit(states)
    monkeypatch.setattr(sampling, "SAMPLE_VALUES", 100 * 20)
    found = SemiNMF(k=5, max_iter=100).fit(states)
    assert found.report["sampled_rows"] == 100
    assert found.report["passes"] > 1
    assert found.report["objective"] <= 1.01 * whole.report["objective"]
    history = found.report["history"]
    assert history[-1] < history[0]
    assert all(after <= before for before, after in pairwise(history))
    one = SemiNMF(k=5, max_iter=100, max_passes=1).fit(states)
    assert one.report["objective"] > found.report["objective"]


def test_wide_rows_are_searched_in_few_directions_and_finished_in_all() -> None:
    """The directions of the search would be 64; the planted parts are found beyond any of them."""
    states, parts = planted(400, 200, 5)
    found = SemiNMF(k=5).fit(states)
    assert found.report["relative_error"] < 0.4
    _, _, right = torch.linalg.svd(states, full_matrices=False)
    inside = parts @ right[:5].T @ right[:5]
    assert float((inside - parts).norm(dim=1).max()) < 0.2
    floor = float(torch.linalg.svdvals(states.double())[5:].square().sum())
    assert found.report["objective"] <= 1.02 * floor


def test_same_seed_same_bits_and_the_global_state_decides_nothing() -> None:
    states, _ = planted()
    torch.manual_seed(1)
    one = SemiNMF(k=5, seed=3, max_iter=30).fit(states)
    torch.manual_seed(2)
    other = SemiNMF(k=5, seed=3, max_iter=30).fit(states)
    assert one.vectors.equal(other.vectors)
    assert (one.sizes, one.report) == (other.sizes, other.report)
    assert not SemiNMF(k=5, seed=4, max_iter=30).fit(states).vectors.equal(one.vectors)


@pytest.mark.parametrize("space", ["raw", "centred", "unit", "standard", "white"])
def test_every_space_and_the_way_back(space: str) -> None:
    states = falling(200, 12, mean=1.0)
    found = SemiNMF(k=4, space=space, max_iter=100).fit(states)
    assert found.encoder.space.name == space
    assert found.report["objective"] == pytest.approx(_objective(states, found), rel=2e-3)
    assert found.encode(states).min() >= 0


def test_as_many_concepts_as_rows_and_as_one() -> None:
    states = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    assert SemiNMF(k=6).fit(states).report["relative_error"] < 0.05
    alone = SemiNMF(k=1).fit(states[:1])
    assert alone.report["relative_error"] < 1e-5
    torch.testing.assert_close(alone.vectors[0], states[0] / states[0].norm())
    assert alone.sizes == (1,)


def test_duplicated_rows_and_constant_columns_stay_finite() -> None:
    states = torch.eye(3, 8).repeat(20, 1)
    states[:, 7] = 5.0
    found = SemiNMF(k=6).fit(states)
    assert bool(torch.isfinite(found.vectors).all())
    assert found.report["relative_error"] < 1e-2


def test_there_is_nothing_to_learn_from_zeros() -> None:
    with pytest.raises(LearnError, match="all 5 states are zero: no direction is active"):
        SemiNMF(k=1).fit(torch.zeros(5, 3))
    mean = r"(?s)all 5 states are the mean state: nothing is left .* 'centred'.*space=\"raw\""
    with pytest.raises(LearnError, match=mean):
        SemiNMF(k=1, space="centred").fit(torch.ones(5, 3))
    assert SemiNMF(k=1).fit(torch.ones(5, 3)).sizes == (5,), "the twin: raw keeps the mean"


def test_a_sample_of_zeros_is_not_said_to_be_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "SAMPLE_VALUES", 20 * 3)
    states = torch.zeros(4000, 3)
    states[7] = 1
    with pytest.raises(LearnError, match="20 of 4000 states were looked at, and all are zero"):
        SemiNMF(k=1).fit(states)


@pytest.mark.parametrize(
    "bad", [{"n_starts": 0}, {"max_iter": 0}, {"max_passes": 0}, {"tol": -1.0}, {"k": 0}]
)
def test_options_that_make_no_sense(bad: dict[str, float]) -> None:
    name = next(iter(bad))
    expected = "cannot learn 0 concepts" if name == "k" else f"{name} is {bad[name]}"
    with pytest.raises(LearnError, match=expected):
        SemiNMF(**{"k": 2, **bad}).fit(planted()[0])


def test_it_is_known_by_name_and_learns_directions() -> None:
    assert learners.get("semi-nmf") is SemiNMF
    assert SemiNMF.kind == SemiNMF(k=2, max_iter=2).fit(planted()[0]).kind == "direction"
