"""Spectra of shifts, and sums that hold whatever type the store has."""

import math
from pathlib import Path

import pytest
import torch
from tests.builders import build_store

from shiftlens.activations.store import ActivationStore
from shiftlens.concepts.learners.kmeans import KMeans
from shiftlens.concepts.learning import learn
from shiftlens.shift.vectors import consistency, shift_vectors, spectrum


def test_shifts_on_one_line_have_one_direction() -> None:
    line = torch.tensor([[1.0], [2.0], [-3.0]]) * torch.tensor([[0.6, 0.8, 0.0]])
    found = spectrum(line)
    assert found.first_share == pytest.approx(1.0)
    assert found.effective_rank == pytest.approx(1.0, abs=1e-6)
    assert found.values[0] == pytest.approx(math.sqrt(14))


@pytest.mark.parametrize("k", [2, 5])
def test_equal_orthogonal_shifts_have_as_many_directions_as_there_are(k: int) -> None:
    found = spectrum(3 * torch.eye(k, 7))
    assert found.effective_rank == pytest.approx(k)
    assert found.first_share == pytest.approx(1 / k)


def test_squared_values_are_the_squared_lengths() -> None:
    vectors = torch.randn(6, 9, generator=torch.Generator().manual_seed(0))
    found = spectrum(vectors)
    assert sum(v**2 for v in found.values) == pytest.approx(float(vectors.square().sum()))
    assert list(found.values) == sorted(found.values, reverse=True)
    # Neither order nor rotation counts; another length does.
    turned, _ = torch.linalg.qr(torch.randn(9, 9, generator=torch.Generator().manual_seed(1)))
    other = spectrum(vectors[torch.randperm(6)] @ turned)
    assert other.effective_rank == pytest.approx(found.effective_rank, abs=1e-4)
    longer = vectors.clone()
    longer[0] *= 5
    assert spectrum(longer).effective_rank < found.effective_rank


def test_nothing_moved_has_no_directions() -> None:
    found = spectrum(torch.zeros(3, 4))
    assert (found.first_share, found.effective_rank) == (0.0, 0.0)


_ROWS, _FAR = 4000, 8.0


@pytest.fixture(params=[torch.float16, torch.bfloat16], ids=["float16", "bfloat16"])
def stores(
    request: pytest.FixtureRequest, tmp_path: Path
) -> tuple[ActivationStore, ActivationStore]:
    """4,000 rows in half precision: a change of 1 in every entry of every row."""
    base = torch.full((_ROWS, 4), _FAR)
    base[::2] = -_FAR
    narrow = (states.to(request.param) for states in (base, base + 1))
    return tuple(build_store(tmp_path / str(i), one) for i, one in enumerate(narrow))  # pyright: ignore[reportReturnType]


def test_half_precision_stores_are_summed_in_single(
    stores: tuple[ActivationStore, ActivationStore],
) -> None:
    base, tuned = stores
    concepts = learn(base, KMeans(k=2))
    labels = concepts.assign(base.states())
    found = shift_vectors(base.states(), tuned.states(), labels, 2)
    assert found.dtype == torch.float32
    assert found.equal(torch.ones(2, 4))
    assert concepts.vectors.abs().equal(torch.full((2, 4), _FAR))
    alone, _ = consistency(base.states(), tuned.states(), labels, 2)
    torch.testing.assert_close(alone, torch.ones(2))


def test_twin_sums_in_the_store_s_own_type_are_wrong(
    stores: tuple[ActivationStore, ActivationStore],
) -> None:
    base, tuned = (store.states() for store in stores)
    total = torch.zeros(4, dtype=base.dtype)
    for row in tuned - base:
        total += row
    assert abs(float(total[0]) / _ROWS - 1.0) > 0.4
