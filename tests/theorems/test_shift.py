"""Theorems of shift vectors, each with a twin that must fail."""

import inspect
import math

import pytest
import torch
from tests.builders import plant_shift

from shiftlens.concepts.learners.kmeans import KMeans
from shiftlens.core.errors import MismatchError
from shiftlens.shift.matching import bijective
from shiftlens.shift.text_and_weights import shares
from shiftlens.shift.vectors import consistency, differences, magnitude, shift_vectors


def _random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(params=[0, 1, 2])
def case(request: pytest.FixtureRequest) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Base and tuned states, and an uneven assignment that leaves concept 4 empty."""
    base, tuned, _ = plant_shift(seed=request.param)
    labels = torch.arange(240).sqrt().long() % 4
    return base, tuned, labels + (labels == 3)


def _weighted(vectors: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return (vectors * torch.bincount(labels, minlength=len(vectors))[:, None]).sum(dim=0)


def test_weighted_by_size_the_shifts_sum_to_the_whole_change(case) -> None:
    base, tuned, labels = case
    vectors = shift_vectors(base, tuned, labels, 6)
    whole = (tuned - base).sum(dim=0)
    torch.testing.assert_close(_weighted(vectors, labels), whole, atol=1e-2, rtol=1e-4)
    assert vectors[3].abs().max() == 0, "a concept without samples has not moved"
    with pytest.raises(AssertionError):  # twin: without the sizes they do not
        torch.testing.assert_close(vectors.mean(dim=0) * 240, whole, atol=1e-2, rtol=1e-4)


def test_with_k_means_base_centroid_plus_shift_is_the_tuned_mean() -> None:
    base, tuned, _ = plant_shift()
    found = KMeans(k=4, tol=0.0).fit(base)
    labels = torch.cdist(base, found.vectors).argmin(dim=1)
    means = torch.stack([tuned[labels == k].mean(dim=0) for k in range(4)])
    shifted = found.vectors + shift_vectors(base, tuned, labels, 4)
    torch.testing.assert_close(shifted, means, atol=1e-3, rtol=1e-3)
    with pytest.raises(AssertionError):  # twin: any other vectors than the means of the members
        torch.testing.assert_close(shifted + 0.1 * found.vectors, means, atol=1e-3, rtol=1e-3)


def test_a_store_against_itself_has_not_moved(case) -> None:
    base, tuned, labels = case
    assert shift_vectors(base, base, labels, 6).abs().max() == 0
    assert shift_vectors(base, tuned, labels, 6).abs().max() > 0


def test_the_way_back_is_the_opposite(case) -> None:
    base, tuned, labels = case
    there, back = (shift_vectors(a, b, labels, 6) for a, b in ((base, tuned), (tuned, base)))
    assert there.equal(-back)
    assert not there.equal(back)


def test_renaming_concepts_renames_their_shifts_and_their_matches(case) -> None:
    base, tuned, labels = case
    order = torch.tensor([2, 0, 5, 1, 4, 3])
    vectors = shift_vectors(base, tuned, labels, 6)
    renamed = shift_vectors(base, tuned, order[labels], 6)
    torch.testing.assert_close(renamed[order], vectors)
    assert not renamed.equal(vectors)
    other = _random(6, 16)
    filled = vectors + _random(6, 16, seed=1)
    match, permuted = bijective(filled, other), bijective(filled[order], other)
    assert permuted == [match[i] for i in order.tolist()]
    assert permuted != match


@pytest.mark.parametrize("n", [3, 10, 50])
def test_noise_is_consistent_with_nothing(n: int) -> None:
    """Leave-one-out: 0 for pure noise, whatever the size of the concepts."""
    k, d = 400, 64
    base, noise = torch.zeros(k * n, d), _random(k * n, d)
    labels = torch.arange(k * n) % k
    alone, inclusive = consistency(base, noise, labels, k)
    assert abs(float(alone.mean())) < 0.01
    # Twin: the published figure keeps the sample in its own mean, and rewards small concepts.
    assert float(inclusive.mean()) == pytest.approx(1 / math.sqrt(n), abs=0.02)


def test_samples_that_move_alike_are_consistent() -> None:
    base = _random(40, 8)
    labels = torch.arange(40) % 4
    tuned = base + _random(4, 8, seed=1)[labels]
    alone, inclusive = consistency(base, tuned, labels, 5)
    torch.testing.assert_close(alone[:4], torch.ones(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(inclusive[:4], torch.ones(4), atol=1e-4, rtol=0)
    assert torch.isnan(alone[4]), "nothing is known of a concept without samples"


def test_one_sample_alone_has_no_consistency() -> None:
    alone, _ = consistency(_random(3, 4), _random(3, 4, seed=1), torch.tensor([0, 0, 1]), 2)
    assert torch.isfinite(alone[0])
    assert torch.isnan(alone[1])


def test_half_precision_is_summed_in_single() -> None:
    """4,096 changes of 1 sum to 4,096; in half precision the sum would stop at 2,048."""
    n = 4096
    base = torch.zeros(n, 1, dtype=torch.float16)
    labels = torch.zeros(n, dtype=torch.long)
    found = shift_vectors(base, base + 1, labels, 1)
    assert found.dtype == torch.float32
    assert float(found) == 1.0
    narrow = torch.zeros(1, dtype=torch.float16)
    for _ in range(n):
        narrow += 1
    assert float(narrow) == 2048.0


def test_magnitude_is_the_length() -> None:
    assert magnitude(torch.tensor([[3.0, 4.0], [0.0, 0.0]])).tolist() == [5.0, 0.0]


def test_weights_and_text_and_their_cross_term_are_the_whole(case) -> None:
    base, tuned, labels = case
    own = tuned + _random(240, 16, seed=9)[labels]
    found = shares(base, tuned, own, labels, 6)
    assert found.weights + found.text + found.cross == pytest.approx(1.0)
    assert found.text > 0
    only_weights = shares(base, tuned, tuned, labels, 6)
    assert (only_weights.weights, only_weights.text, only_weights.cross) == (1.0, 0.0, 0.0)
    only_text = shares(base, base, tuned, labels, 6)
    assert (only_text.weights, only_text.text, only_text.cross) == (0.0, 1.0, 0.0)
    nothing = shares(base, base, base, labels, 6)
    assert (nothing.weights, nothing.text, nothing.cross) == (0.0, 0.0, 0.0)


def test_parts_that_work_against_each_other_exceed_the_whole(case) -> None:
    base, tuned, labels = case
    back = base + 0.1 * (tuned - base)
    found = shares(base, tuned, back, labels, 6)
    assert found.weights > 1
    assert found.cross < 0


def test_other_samples_are_refused(case) -> None:
    base, tuned, _ = case
    # Unwrapped: in tests, and only there, the shapes are checked before the function runs.
    with pytest.raises(MismatchError, match="keep the samples that both models answered"):
        inspect.unwrap(differences)(base, tuned[1:])
