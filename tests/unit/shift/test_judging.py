"""One half judged by the other: cosines at every strength, ceilings, a strength chosen apart."""

import numpy as np
import pytest
import torch
from tests.builders import plant_shift

from shiftlens.concepts.learners.kmeans import KMeans
from shiftlens.shift.halves import Halves, Pairs
from shiftlens.shift.judging import choose_strength, cosine_curve, fit_half, judge

LEARNER = KMeans(k=4)


def _halves(n: int = 240, **planted: float) -> Halves:
    base, tuned, _ = plant_shift(n=n, **planted)
    middle = n // 2
    return Halves(base[:middle], tuned[:middle], base[middle:], tuned[middle:])


@pytest.mark.parametrize("repeats", [1, 3])
def test_the_curve_is_the_cosine_of_what_was_added(repeats: int) -> None:
    random = torch.Generator().manual_seed(0)
    starts, shifts, targets = (
        torch.randn(size, 5, 7, generator=random) for size in (1, repeats, 1)
    )
    kept = torch.tensor([True, False, True, True, True])
    strengths = (0.0, 0.7, 2.0)
    found = cosine_curve(starts, shifts, targets, kept, strengths)
    cosine = torch.nn.functional.cosine_similarity
    for strength, value in zip(strengths, found, strict=True):
        slow = cosine(starts + strength * shifts, targets, dim=-1)[:, kept].mean()
        assert value == pytest.approx(float(slow), abs=1e-6)
    assert len(set(found)) == 3


def test_nothing_kept_is_not_a_number() -> None:
    zeros = torch.zeros(1, 2, 3)
    nothing = torch.zeros(2, dtype=torch.bool)
    assert np.isnan(cosine_curve(zeros, zeros, zeros, nothing, (1.0,))).all()


def test_targets_are_the_judging_half_s_tuned_means() -> None:
    halves = _halves()
    fitted = fit_half(halves, LEARNER)
    labels = torch.cdist(halves.judging_base, fitted.vectors).argmin(dim=1)
    for k in range(4):
        mean = halves.judging_tuned[labels == k].mean(dim=0) - halves.tuned.mean(dim=0)
        torch.testing.assert_close(fitted.targets[k], mean, atol=1e-4, rtol=1e-4)


def test_a_concept_without_three_judging_rows_is_not_kept() -> None:
    halves = _halves()
    labels = torch.cdist(halves.judging_base, fit_half(halves, LEARNER).vectors).argmin(dim=1)
    few = torch.cat([torch.nonzero(labels != 0).flatten(), torch.nonzero(labels == 0)[:2, 0]])
    less = Halves(halves.base, halves.tuned, halves.judging_base[few], halves.judging_tuned[few])
    fitted = fit_half(less, LEARNER)
    assert fitted.kept.tolist() == [False, True, True, True]
    assert judge(less, LEARNER, (1.0,), np.random.default_rng(0)).kept == 3


def test_random_groups_recover_nothing() -> None:
    """Twin of the concepts: the same procedure on a random partition of equal sizes."""
    found = judge(_halves(n=2000), LEARNER, (0.0, 1.0), np.random.default_rng(0))
    assert found.curves["concept"][1] > 0.9
    assert abs(found.curves["partition"][1]) < 0.35
    assert found.curves["shuffled"][1] > 0.5, "which keeps concepts and targets"


@pytest.mark.parametrize("noise", [0.5, 1.0])
def test_the_oracle_is_what_the_true_mean_scores(noise: float) -> None:
    """One group, a known mean: its cosine with the mean of few rows, averaged over many draws."""
    random = torch.Generator().manual_seed(0)
    d, rows, centre = 24, 12, torch.zeros(24)
    truth = torch.nn.functional.normalize(torch.randn(d, generator=random), dim=0) * 2
    true: list[float] = []
    oracles: list[float] = []
    for _ in range(60):
        judging = truth + noise * torch.randn(rows, d, generator=random)
        # An estimation half whose tuned mean is zero, so that centring changes nothing.
        base = torch.randn(8, d, generator=random)
        tuned = torch.cat([base[:4], -base[:4]]) + centre
        halves = Halves(base, tuned, torch.randn(rows, d, generator=random), judging)
        oracles.append(judge(halves, KMeans(k=1), (1.0,), np.random.default_rng(0)).oracle)
        cosine = torch.nn.functional.cosine_similarity(truth, judging.mean(dim=0), dim=0)
        true.append(float(cosine))
    assert np.mean(oracles) == pytest.approx(np.mean(true), abs=0.06)
    assert np.mean(true) < 0.99


def test_a_strength_is_chosen_without_the_judging_half() -> None:
    base, tuned, _ = plant_shift(noise=0.1)
    rows, grid = np.arange(120), [0.0, 0.5, 1.0, 1.5, 2.0]
    spoilt = tuned.clone()
    spoilt[120:] = torch.randn(120, 16) * 100
    ids = [f"s{i}" for i in range(240)]
    for states in (tuned, spoilt):
        pairs = Pairs.of(base, states, ids)
        assert choose_strength(pairs, rows, LEARNER, grid, np.random.default_rng(0)) == 1.0


def test_rows_that_cannot_be_cut_again_have_no_strength() -> None:
    base, tuned, _ = plant_shift(n=10)
    pairs = Pairs.of(base, tuned, [f"s{i}" for i in range(10)])
    rng = np.random.default_rng(0)
    assert choose_strength(pairs, np.arange(10), LEARNER, [0.0, 1.0], rng) is None
