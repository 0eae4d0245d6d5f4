"""The first pass: figures as numpy's, and what a person is told."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.builders import build_store

from shiftlens.concepts import rows as rows_module
from shiftlens.concepts.learners.survey import Survey, count_different, space_of, survey
from shiftlens.concepts.rows import MemoryRows, Rows, StoreRows
from shiftlens.core.errors import LearnError

CPU = torch.device("cpu")


def _normal(n: int, d: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def _survey(acts: torch.Tensor) -> Survey:
    return survey(MemoryRows(acts), CPU)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_different_rows_are_counted_up_to_as_many_as_matter(size: int) -> None:
    def count(states: torch.Tensor, most: int, *, on_sphere: bool = False) -> int:
        return count_different(
            ((None, one) for one in states.split(size)), most, on_sphere=on_sphere
        )

    few = _normal(3, 8).repeat(40, 1)
    assert [count(few, most) for most in (2, 3, 5)] == [2, 3, 3]
    few[-1, -1] += 1e-3
    assert count(few, 5) == 4, "also in the last row"
    lengths = 1 + torch.arange(120.0)[:, None] / 7
    sphere = torch.nn.functional.normalize(_normal(3, 8).repeat(40, 1) * lengths, dim=1)
    assert count(sphere, 5, on_sphere=True) == 3
    assert count(sphere, 5) == 5, "the twin: rounding alone makes more of them"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("mean", [0.0, 300.0])
def test_figures_are_those_of_float64(dtype: torch.dtype, mean: float) -> None:
    acts = (_normal(500, 40) + mean).to(dtype)
    found, exact = _survey(acts), acts.double().numpy()
    assert found.n == 500
    np.testing.assert_allclose(found.mean.numpy(), exact.mean(0), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found.variance.numpy(), exact.var(0), rtol=1e-4)
    assert found.norm == pytest.approx(np.linalg.norm(exact, axis=1).mean(), rel=1e-6)


def test_blocks_and_shards_decide_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    acts = _normal(211, 9) * 5 + 40
    whole = _survey(acts)
    monkeypatch.setattr(rows_module, "BLOCK_VALUES", 9 * 7)
    monkeypatch.setattr(rows_module, "CHUNK_VALUES", 9 * 20)
    cut = survey(StoreRows(build_store(tmp_path, acts, shards=4)), CPU)
    torch.testing.assert_close(cut.mean, whole.mean, rtol=1e-6, atol=0)
    torch.testing.assert_close(cut.variance, whole.variance, rtol=1e-5, atol=0)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_rows_that_are_not_finite_are_counted(bad: float) -> None:
    acts = _normal(30, 5)
    acts[0, 0], acts[7, 4], acts[7, 1] = bad, bad, bad
    with pytest.raises(LearnError, match="2 of 30 states are not finite"):
        _survey(acts)


def test_squares_that_overflow_are_no_silent_infinity() -> None:
    acts = _normal(30, 5)
    acts[3] = 1e25
    with pytest.raises(LearnError, match="1 of 30 states are not finite"):
        _survey(acts)
    with pytest.raises(LearnError, match="30 of 30"):
        _survey(_normal(30, 5).double() * 1e300)
    overflown = (_normal(30, 5) * 1e6).half()
    with pytest.raises(LearnError, match="float16 ends at 65,504"):
        _survey(overflown)


@pytest.mark.parametrize("value", [0.0, 0.1, 1234.567, -1e-3])
def test_a_constant_dimension_has_no_variance_at_all(value: float) -> None:
    acts = _normal(1000, 6) + value
    acts[:, [1, 4]] = value
    found = _survey(acts)
    assert found.variance[[1, 4]].tolist() == [0.0, 0.0]
    assert found.constant == 2
    assert found.report() == {"constant_dimensions": 2}


def test_twin_a_dimension_that_varies_a_little_is_not_constant() -> None:
    acts = torch.full((1000, 2), 1000.0)
    acts[::2, 0] += 0.0625
    found = _survey(acts)
    assert found.variance[0] == pytest.approx(0.03125**2, rel=1e-3)
    assert found.constant == 1


def test_rows_of_zeros_are_counted() -> None:
    acts = _normal(20, 5)
    acts[[2, 9]] = 0
    assert _survey(acts).report() == {"zero_rows": 2}


@pytest.mark.parametrize("n", [2, 3, 5, 10, 50, 400])
@pytest.mark.parametrize("d", [32, 64, 256, 4096])
def test_no_dimension_dominates_where_all_are_alike(n: int, d: int) -> None:
    for seed in range(3 if d == 4096 else 20):
        assert _survey(_normal(n, d, seed)).dominant == ()


@pytest.mark.parametrize("d", [64, 160, 1024, 4096])
@pytest.mark.parametrize("many", [1, 2, 4])
@pytest.mark.parametrize("n", [12, 300])
def test_massive_dimensions_are_named_largest_first(d: int, many: int, n: int) -> None:
    acts = _normal(n, d)
    planted = torch.randperm(d, generator=torch.Generator().manual_seed(1))[:many]
    acts[:, planted] *= 200.0 * 2.0 ** -torch.arange(many)
    found = _survey(acts)
    assert found.dominant, "half of the variance lies in them"
    assert set(found.dominant) <= set(planted.tolist())
    assert (
        list(found.dominant)
        == found.variance.argsort(descending=True)[: len(found.dominant)].tolist()
    )
    assert found.report()["dominant_share"] >= 0.5


def test_many_massive_dimensions_of_a_wide_state() -> None:
    acts = _normal(300, 1024)
    acts[:, 100:116] *= 30
    assert set(_survey(acts).dominant) <= set(range(100, 116))
    assert len(_survey(acts).dominant) >= 8


@pytest.mark.parametrize(
    "scales",
    [
        lambda d: torch.arange(1, d + 1).float() ** -0.25,
        lambda d: torch.linspace(1, 5, d),
        lambda d: torch.where(torch.arange(d) < d // 2, 20.0, 1.0),
    ],
)
def test_twin_uneven_dimensions_do_not_dominate(scales: Callable[[int], torch.Tensor]) -> None:
    assert _survey(_normal(300, 256) * scales(256)).dominant == ()


def test_a_large_mean_is_not_a_large_variance() -> None:
    acts = _normal(300, 64)
    acts[:, 3] += 5000
    assert _survey(acts).dominant == ()


def test_few_dimensions_that_vary_among_constant_ones_do_not_dominate() -> None:
    acts = torch.zeros(100, 64)
    acts[:, :3] = _normal(100, 3)
    assert _survey(acts).dominant == ()


def test_narrow_states_have_no_dominant_dimension() -> None:
    acts = _normal(100, 16)
    acts[:, 0] *= 100
    assert _survey(acts).dominant == ()


def _whitened(acts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    rows: Rows = MemoryRows(acts)
    space = space_of("white", rows, survey(rows, CPU), CPU)
    points = space.into(acts)
    return points, space.out_of(points)


def test_white_rows_have_no_covariance() -> None:
    random = torch.Generator().manual_seed(0)
    turned = torch.linalg.qr(torch.randn(12, 12, generator=random)).Q
    acts = (_normal(4000, 12) * torch.linspace(1, 4, 12)) @ turned + 50
    points, back = _whitened(acts)
    covariance = np.cov(points.double().numpy().T, bias=True)
    np.testing.assert_allclose(covariance, np.eye(12), atol=0.05)
    torch.testing.assert_close(back, acts, rtol=1e-4, atol=1e-3)
    assert np.abs(np.cov(acts.double().numpy().T)).max() > 3, "the twin: they had one"


@pytest.mark.parametrize("shape", [(40, 12), (12, 40), (3, 64), (2, 5)])
def test_shrinkage_is_ledoit_and_wolfs(shape: tuple[int, int]) -> None:
    from sklearn.covariance import ledoit_wolf

    n, d = shape
    acts = _normal(n, d) * torch.logspace(0, 4, d) + 3
    rows: Rows = MemoryRows(acts)
    space = space_of("white", rows, survey(rows, CPU), CPU)
    assert space.whitening is not None
    assert space.colouring is not None
    exact = acts.double().numpy()
    scales = exact.std(axis=0)
    wanted, _ = ledoit_wolf(exact / scales)
    colouring = space.colouring.double().numpy() / scales
    np.testing.assert_allclose(colouring, colouring.T, rtol=0, atol=1e-5)
    np.testing.assert_allclose(colouring @ colouring, wanted, rtol=1e-4, atol=1e-4)
    one = space.whitening.double() @ space.colouring.double()
    relative = one.numpy() * scales[:, None] / scales
    np.testing.assert_allclose(relative, np.eye(d), rtol=0, atol=1e-4)


@pytest.mark.parametrize(("n", "d"), [(5, 30), (2, 8), (1, 4), (30, 5)])
def test_white_is_finite_and_goes_back(n: int, d: int) -> None:
    acts = _normal(n, d) + 10
    acts[:, 0] = 10.0
    points, back = _whitened(acts)
    assert bool(torch.isfinite(points).all())
    torch.testing.assert_close(back, acts, rtol=1e-3, atol=1e-3)


def test_white_tames_a_massive_dimension() -> None:
    acts = _normal(500, 64)
    acts[:, 5] *= 300
    points, _ = _whitened(acts)
    assert float(points.var(dim=0).max() / points.var(dim=0).median()) < 2


def test_white_in_shards_is_white_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    acts = _normal(101, 7) * torch.arange(1, 8) + 4
    rows: Rows = MemoryRows(acts)
    whole = space_of("white", rows, survey(rows, CPU), CPU)
    monkeypatch.setattr(rows_module, "BLOCK_VALUES", 7 * 3)
    stored = StoreRows(build_store(tmp_path, acts, shards=3))
    cut = space_of("white", stored, survey(stored, CPU), CPU)
    torch.testing.assert_close(cut.whitening, whole.whitening, rtol=1e-4, atol=1e-5)


def test_standard_leaves_constant_dimensions_alone() -> None:
    acts = _normal(100, 5) * torch.arange(1, 6) + 7
    acts[:, 2] = 7.5
    rows: Rows = MemoryRows(acts)
    points = space_of("standard", rows, survey(rows, CPU), CPU).into(acts)
    varied = points[:, [0, 1, 3, 4]].var(dim=0, correction=0)
    torch.testing.assert_close(varied, torch.ones(4), rtol=1e-4, atol=0)
    torch.testing.assert_close(points[:, 2], torch.zeros(100), rtol=0, atol=1e-6)


def test_an_unknown_space_is_refused() -> None:
    rows: Rows = MemoryRows(_normal(5, 3))
    with pytest.raises(LearnError, match="there is no space 'whitened'"):
        space_of("whitened", rows, survey(rows, CPU), CPU)
