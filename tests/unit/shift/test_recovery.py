"""Recovery on held-out samples: planted changes are found, and nothing else is."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
import torch
from tests.builders import plant_shift

from shiftlens.concepts.learners.kmeans import KMeans
from shiftlens.core.errors import LearnError
from shiftlens.core.intervals import Interval
from shiftlens.core.progress import Silent
from shiftlens.shift.halves import Halves, Pairs
from shiftlens.shift.judging import judge
from shiftlens.shift.recovery import Recovery, _refits, recover

LEARNER = KMeans(k=4)


def _recover(draws: int = 40, **planted: float) -> Recovery:
    base, tuned, _ = plant_shift(**planted)
    return recover(base, tuned, _ids(len(base)), LEARNER, draws=draws)


def _ids(n: int, rows: int = 1) -> list[str]:
    return [f"s{i // rows}" for i in range(n)]


@pytest.mark.parametrize("seed", [0, 1])
def test_planted_shifts_beat_the_global_one(seed: int) -> None:
    found = _recover(seed=seed)
    for control in ("global", "shuffled", "permuted", "random", "partition"):
        assert found.differences[f"concept_minus_{control}"].low > 0, control
    curve = found.centred_cosine["concept"]
    assert max(curve) == curve[found.strengths.index(1.0)]
    assert found.concepts_judged == 4


@pytest.mark.parametrize("seed", [0, 1])
def test_twin_one_shift_for_all_beats_nothing(seed: int) -> None:
    found = _recover(seed=seed, own=0.0)
    gap = found.differences["concept_minus_global"]
    # A shift of its own is noisier than one for all, and nothing makes up for that here.
    assert gap.low < 0
    assert -0.005 < gap.estimate < 0.001
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
    same = judge(Halves(base, tuned, base, tuned), LEARNER, (1.0,), rng)
    assert same.curves["concept"][0] == pytest.approx(1.0, abs=1e-4)
    halves = Halves(base[:30], tuned[:30], base[30:], tuned[30:])
    held_out = judge(halves, LEARNER, (1.0,), rng)
    assert held_out.curves["concept"][0] < 0.99


def test_a_sample_never_judges_itself_in_a_refit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Resamples repeat samples within a half, never across the halves."""
    seen: list[tuple[set[float], set[float]]] = []

    def spy(pairs: Pairs, halves: tuple[np.ndarray, np.ndarray], *rest: object) -> list[object]:
        first, second = (pairs.base[torch.from_numpy(half), 0].tolist() for half in halves)
        seen.append((set(first), set(second)))
        raise KeyboardInterrupt if len(seen) == 10 else LearnError("next")

    monkeypatch.setattr("shiftlens.shift.recovery._both_ways", spy)
    states = torch.arange(30.0).repeat_interleave(2)[:, None].expand(-1, 3)
    for seed in range(10):
        pairs = Pairs.of(states, states, _ids(60, 2))
        with pytest.raises((LearnError, KeyboardInterrupt)):
            _refits(pairs, LEARNER, np.random.default_rng(seed), 10, Silent())
    assert len(seen) == 10
    assert all(not a & b for a, b in seen)
    assert all(len(a | b) < 30 for a, b in seen), "some samples are drawn twice, others never"


@pytest.mark.slow
def test_intervals_have_no_length_without_noise_and_more_draws_do_not_shrink_them() -> None:
    exact = _recover(own=0.0, noise=0.0).differences["concept_minus_global"]
    assert exact.high - exact.low < 1e-5
    few, many = _recover(draws=60), _recover(draws=160)
    widths = [one.differences["concept_minus_global"] for one in (few, many)]
    ratio = (widths[1].high - widths[1].low) / (widths[0].high - widths[0].low)
    assert 0.5 < ratio < 1.6


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


def test_rows_of_one_sample_do_not_count_as_many() -> None:
    base, tuned, _ = plant_shift(n=80)
    with pytest.raises(LearnError, match="8 samples are too few"):
        recover(base, tuned, _ids(80, 10), LEARNER, draws=2)


def test_every_interval_holds_its_estimate() -> None:
    """Refits lose different samples and recover less: as they stand they miss the estimate."""
    found = _recover(n=80, noise=2.0, draws=20)
    for name, gap in found.differences.items():
        assert gap.low <= gap.estimate <= gap.high, name
    assert found.best is not None
    assert found.best.gain.low <= found.best.gain.estimate <= found.best.gain.high


def test_twin_refits_as_they_stand_lean_low_and_miss_the_estimate() -> None:
    (base, tuned, _), learner = plant_shift(n=60, noise=4.0), KMeans(k=8)
    refits = _refits(
        Pairs.of(base, tuned, _ids(60)), learner, np.random.default_rng(0), 60, Silent()
    )
    found = recover(base, tuned, _ids(60), learner, draws=2).differences["concept_minus_partition"]
    raw = (refits.values["concept"] - refits.values["partition"]).mean(axis=1)
    assert np.percentile(raw, 97.5) < found.estimate


def test_a_share_of_the_ceiling_is_one_for_k_means() -> None:
    """Base centroid + mean change is the tuned mean, on the same half: nothing is left to reach."""
    found = _recover()
    share, oracle = found.shares["tuned_mean"], found.shares["oracle"]
    assert share is not None
    assert oracle is not None
    assert share.estimate == pytest.approx(1.0, abs=0.02)
    assert found.centred_cosine["concept"][2] < found.ceilings["oracle"] < 1
    assert 0.5 < oracle.estimate < 1
    assert oracle.low <= oracle.estimate <= oracle.high


def test_twin_vectors_that_are_no_means_stay_below_the_ceiling() -> None:
    from shiftlens.concepts.learners.baselines import RandomSamples

    base, tuned, _ = plant_shift()
    found = recover(base, tuned, _ids(240), RandomSamples(k=4), draws=20)
    share = found.shares["tuned_mean"]
    assert share is None or share.estimate < 0.98
    assert found.centred_cosine["concept"][2] < found.ceilings["tuned_mean"]


def test_without_room_above_the_global_shift_there_is_no_share() -> None:
    found = _recover(own=0.0).to_dict()
    assert found["share_of_ceiling"] is None
    assert found["concept_minus_global"]["estimate"] < 0.01


def test_the_best_strength_is_one_where_shifts_are_planted_and_none_where_there_is_noise() -> None:
    planted = _recover(noise=0.1, draws=10).best
    noise = _recover(own=0.0, common=0.0, noise=4.0, draws=10).best
    assert planted is not None
    assert noise is not None
    assert planted.strength == pytest.approx(1.0, abs=0.11)
    assert planted.gain.low <= 0 <= planted.gain.high
    assert noise.strength < 0.5
    assert noise.gain.estimate > 0, "noise is better not added"


def test_too_few_samples_for_another_cut_have_no_best_strength() -> None:
    base, tuned, _ = plant_shift(n=14)
    found = recover(base, tuned, _ids(14), LEARNER, draws=4)
    assert found.best is None
    assert found.to_dict()["best"] is None


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_intervals_cover_what_the_procedure_gives_on_fresh_samples() -> None:
    """Sixty data sets with the same planted shifts: about 95 in 100 intervals hold the truth."""

    truths = [_fresh(1000 + seed, draws=2) for seed in range(150)]
    tries = [_fresh(seed, draws=80) for seed in range(60)]
    for name in ("concept_minus_global", "concept_minus_random"):
        truth = np.mean([one[name].estimate for one in truths])
        found = [one[name] for one in tries]
        held = np.mean([one.low <= truth <= one.high for one in found])
        assert held >= 0.85, name
        spread = np.std([one.estimate for one in found])
        width = np.mean([one.high - one.low for one in found])
        assert 2.9 < width / spread < 12, "neither far too narrow nor useless"


def _fresh(seed: int, *, draws: int, n: int = 160, d: int = 16) -> Mapping[str, Interval]:
    """New samples of one and the same population."""
    fixed, rows = (torch.Generator().manual_seed(one) for one in (0, seed))
    centres = 4 * torch.randn(4, d, generator=fixed)
    shifts = 0.5 * torch.randn(4, d, generator=fixed) + 0.5 * torch.randn(1, d, generator=fixed)
    labels = torch.randint(0, 4, (n,), generator=rows)
    base = centres[labels] + torch.randn(n, d, generator=rows)
    tuned = base + shifts[labels] + torch.randn(n, d, generator=rows)
    return recover(base, tuned, _ids(n), LEARNER, draws=draws).differences
