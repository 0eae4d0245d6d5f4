"""Recovery on held-out samples: planted changes are found, and nothing else is."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from tests.builders import plant_shift

from shiftlens.concepts.kmeans import KMeans
from shiftlens.core.errors import LearnError
from shiftlens.models.model import Model
from shiftlens.shift.published import recover_published
from shiftlens.shift.recovery import Halves, Recovery, _refits, curves, cut, recover

LEARNER = KMeans(k=4)


def _recover(draws: int = 40, **planted: float) -> Recovery:
    base, tuned, _ = plant_shift(**planted)
    return recover(base, tuned, _ids(len(base)), LEARNER, draws=draws)


def _ids(n: int, rows: int = 1) -> list[str]:
    return [f"s{i // rows}" for i in range(n)]


@pytest.mark.parametrize("seed", [0, 1])
def test_planted_shifts_beat_the_global_one(seed: int) -> None:
    found = _recover(seed=seed)
    for control in ("global", "shuffled", "permuted", "random"):
        assert found.differences[f"concept_minus_{control}"].low > 0, control
    curve = found.centred_cosine["concept"]
    assert max(curve) == curve[found.strengths.index(1.0)]
    assert found.concepts_judged == 4


@pytest.mark.parametrize("seed", [0, 1])
def test_twin_one_shift_for_all_beats_nothing(seed: int) -> None:
    found = _recover(seed=seed, own=0.0)
    gap = found.differences["concept_minus_global"]
    assert gap.low < 0 < gap.high
    assert found.differences["concept_minus_random"].low > 0, "it is a shift all the same"


def test_a_linear_map_is_not_called_concept_specific() -> None:
    base, _, _ = plant_shift()
    matrix = torch.eye(16) + 0.3 * torch.randn(16, 16, generator=torch.Generator().manual_seed(1))
    found = recover(base, base @ matrix, _ids(len(base)), LEARNER, draws=40)
    assert found.differences["concept_minus_global"].low > 0
    assert found.differences["concept_minus_affine"].low <= 0


def test_same_seed_same_numbers_and_the_input_stays() -> None:
    base, tuned, _ = plant_shift()
    kept = base.clone(), tuned.clone()
    options = {"draws": 5, "seed": 3}
    one = recover(base, tuned, _ids(240), LEARNER, **options).to_dict()
    assert recover(base, tuned, _ids(240), LEARNER, **options).to_dict() == one
    assert recover(base, tuned, _ids(240), LEARNER, draws=5, seed=4).to_dict() != one
    assert base.equal(kept[0])
    assert tuned.equal(kept[1])


def test_without_halves_noise_recovers_perfectly() -> None:
    """The trap: base centroid plus mean change *is* the tuned mean of the same rows."""
    base, tuned, _ = plant_shift(own=0.0, common=0.0, noise=4.0, n=60)
    rng = np.random.default_rng(0)
    same, _ = curves(Halves(base, tuned, base, tuned), LEARNER, (1.0,), rng)
    assert same["concept"][0] == pytest.approx(1.0, abs=1e-4)
    halves = Halves(base[:30], tuned[:30], base[30:], tuned[30:])
    held_out, _ = curves(halves, LEARNER, (1.0,), rng)
    assert held_out["concept"][0] < 0.99


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_halves_are_cut_by_sample(rows: int) -> None:
    ids = np.asarray(_ids(60, rows))
    for seed in range(20):
        first, second = cut(ids, np.random.default_rng(seed))
        assert not set(ids[first]) & set(ids[second])
        assert sorted([*first, *second]) == list(range(60))
        assert len(set(ids[first])) == 60 // rows // 2


def test_twin_halves_cut_by_row_would_share_samples() -> None:
    ids = np.asarray(_ids(60, 2))
    first, second = cut(np.arange(60), np.random.default_rng(0))
    assert set(ids[first]) & set(ids[second])


def test_a_sample_never_judges_itself_in_a_refit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Resamples repeat samples within a half, never across the halves."""
    seen: list[tuple[set[float], set[float]]] = []

    def spy(halves: Halves, *rest: object) -> tuple[dict[str, list[float]], int]:
        seen.append((set(halves.base[:, 0].tolist()), set(halves.judging_base[:, 0].tolist())))
        return {"concept": [0.0], "global": [0.0]}, 1

    monkeypatch.setattr("shiftlens.shift.recovery.curves", spy)
    samples = torch.arange(30.0).repeat_interleave(2)[:, None].expand(-1, 3)
    rng = np.random.default_rng(0)

    class Silent:
        def start(self, label: str, total: int) -> None: ...
        def advance(self, n: int = 1) -> None: ...
        def stop(self) -> None: ...

    _refits(samples, samples, np.asarray(_ids(60, 2)), LEARNER, rng, 10, Silent())
    assert len(seen) == 10
    assert all(not a & b for a, b in seen)
    assert any(len(a) < 15 for a, _ in seen), "some samples are drawn twice"


def test_intervals_have_no_length_without_noise_and_more_draws_do_not_shrink_them() -> None:
    exact = _recover(own=0.0, noise=0.0).differences["concept_minus_global"]
    assert exact.high - exact.low < 1e-5
    few, many = _recover(draws=30), _recover(draws=120)
    widths = [one.differences["concept_minus_global"] for one in (few, many)]
    ratio = (widths[1].high - widths[1].low) / (widths[0].high - widths[0].low)
    assert 0.6 < ratio < 1.7


@pytest.mark.parametrize(
    ("n", "strengths", "message"),
    [(8, (0.0, 1.0), "8 samples are too few"), (240, (0.0, 2.0), "lack 1")],
)
def test_too_few_samples_and_strengths_without_one_are_refused(
    n: int, strengths: Sequence[float], message: str
) -> None:
    base, tuned, _ = plant_shift(n=n)
    with pytest.raises(LearnError, match=message):
        recover(base, tuned, _ids(n), LEARNER, strengths=strengths, draws=2)


def test_rows_of_one_sample_do_not_count_as_many(monkeypatch: pytest.MonkeyPatch) -> None:
    base, tuned, _ = plant_shift(n=80)
    with pytest.raises(LearnError, match="8 samples are too few"):
        recover(base, tuned, _ids(80, 10), LEARNER, draws=2)


def test_the_published_way_is_flattered_by_matching_again(tiny: Model) -> None:
    """Raw cosines rise with the strength, and centred ones of random samples are high too."""
    base, tuned, _ = plant_shift(d=32, k=6, common=6.0)
    found = recover_published(base + 8, tuned + 8, _ids(240), KMeans(k=6), tiny.readout, n_words=5)
    assert set(found.cosine) == {"concept", "global", "shuffled", "samples"}
    at_one = found.strengths.index(1.0)
    assert found.cosine["concept"][at_one] > found.cosine["concept"][0]
    assert found.cosine["samples"][0] == found.cosine["samples"][at_one] > 0.5
    assert found.centred_cosine["concept"][at_one] <= found.cosine["concept"][at_one]
    for curve in found.t_overlap.values():
        assert all(0 <= value <= 1 for value in curve)
    assert found.t_overlap["concept"][at_one] > found.t_overlap["concept"][0]
