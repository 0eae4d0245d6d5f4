"""Choosing k: planted concepts are found, noise is undecided, rows of a picture stay together."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.builders import build_store
from torch import Tensor

from shiftlens.concepts.choice import Choice, Spread, TriedK, choose
from shiftlens.concepts.choosing import choose_k, pictures_of
from shiftlens.concepts.learners.baselines import RandomSamples
from shiftlens.concepts.learners.kmeans import KMeans
from shiftlens.concepts.learners.learner import Learned
from shiftlens.concepts.learners.pca import PCA
from shiftlens.concepts.learners.sparse_coding import SparseCoding
from shiftlens.concepts.trying import judge
from shiftlens.core.errors import LearnError, SiteError
from shiftlens.core.intervals import Interval


def _blobs(k: int, n: int = 320, d: int = 24, *, spread: float = 3.0, seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    centres = torch.randn(k, d, generator=random) * spread
    return centres[torch.arange(n) % k] + torch.randn(n, d, generator=random) + 2.0


def _noise(n: int = 320, d: int = 24) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(1))


def _chosen(states: Any, ks: Any = (2, 4, 8, 16), learner: Any = None, **options: Any) -> Choice:
    return choose_k(states, learner or KMeans(), ks, **{"n_seeds": 2, "draws": 200, **options})


def test_planted_concepts_are_counted() -> None:
    found = _chosen(_blobs(8), (4, 7, 8, 9))
    assert found.chosen == 8
    eight = next(one for one in found.tried if one.k == 8)
    assert eight.stability > 0.9
    assert eight.halves_agreement is not None
    assert eight.halves_agreement.mean > 0.99
    assert eight.reconstruction.low < eight.reconstruction.estimate < eight.reconstruction.high
    assert eight.random_reconstruction.estimate < eight.reconstruction.low


@pytest.mark.parametrize("learner", [KMeans(), SparseCoding(), PCA()], ids=lambda one: one.name)
def test_noise_is_undecided(learner: Any) -> None:
    found = _chosen(_noise(), (2, 8), learner)
    assert found.chosen is None
    assert found.reason.startswith("undecided: ")
    assert all(one.stability < 0.35 for one in found.tried)


def test_planted_directions_are_counted() -> None:
    random = torch.Generator().manual_seed(0)
    atoms = torch.nn.functional.normalize(torch.randn(6, 40, generator=random), dim=1)
    active = (torch.rand(300, 6, generator=random) < 0.25).float()
    codes = active * torch.rand(300, 6, generator=random) * 10
    states = codes @ atoms + 0.3 * torch.randn(300, 40, generator=random)
    assert _chosen(states, (3, 6, 9), SparseCoding()).chosen == 6


def test_samples_that_nobody_learned_are_not_chosen() -> None:
    """Concepts are there, but this learner does not find them again."""
    found = _chosen(_blobs(8), (4, 8, 16), RandomSamples())
    assert found.chosen is None
    assert all(abs(one.stability) < 0.05 for one in found.tried)


def test_explained_is_measured_on_the_other_half() -> None:
    """As many concepts as rows explain all of their own half, and little of noise elsewhere."""
    found = _chosen(_noise(n=80, d=64), (40,))
    assert found.tried[0].reconstruction.estimate < 0.0


def test_rows_of_a_picture_stay_in_one_half() -> None:
    """Each picture has two equal rows; apart, every row of noise would be known beforehand."""
    rows = _noise(n=60, d=64).repeat_interleave(2, dim=0)
    together = _chosen(rows, (28,), groups=[f"p{row // 2}" for row in range(120)])
    apart = _chosen(rows, (28,))
    assert together.groups == 60
    assert together.tried[0].reconstruction.estimate < 0.0
    assert apart.tried[0].reconstruction.estimate > 0.1


def test_a_store_knows_its_pictures(tmp_path: Path) -> None:
    states = _blobs(4, n=120)
    images = [f"{row // 2}.png" if row < 100 else "" for row in range(120)]
    store = build_store(tmp_path / "s", {3: states, 5: states * 2}, images=images, shards=3)
    assert len(set(pictures_of(store))) == 50 + 20
    found = _chosen(store, (2, 4), layer=3)
    assert (found.chosen, found.groups, found.n, found.of) == (4, 70, 120, 120)
    same = _chosen(states, (2, 4), groups=pictures_of(store))
    assert found.to_dict() == same.to_dict()
    with pytest.raises(SiteError, match="holds several layers: name one"):
        _chosen(store, (2, 4))


def test_of_many_rows_a_sample_of_pictures_is_measured() -> None:
    groups = [row // 4 for row in range(320)]
    found = _chosen(_blobs(4), (2, 4), groups=groups, most_rows=101)
    assert (found.n, found.of, found.groups) == (100, 320, 25)
    assert found.chosen == 4
    assert found.to_dict()["rows"] == {"measured": 100, "of": 320, "pictures": 25}


def test_the_same_seed_gives_the_same_choice() -> None:
    states, before = _blobs(4), _blobs(4)
    first, again = _chosen(states, (2, 4)), _chosen(states, (2, 4))
    assert first.to_dict() == again.to_dict()
    assert torch.equal(states, before)
    other = _chosen(states, (2, 4), seed=1)
    assert other.to_dict() != first.to_dict()


def test_k_are_tried_in_order_each_once() -> None:
    found = _chosen(_blobs(4), [8, 2, 4, 2])
    assert [one.k for one in found.tried] == [2, 4, 8]
    assert found.chosen == 4


def test_overlap_of_words_stands_beside_that_of_random_samples() -> None:
    """Words are the signs of a concept's first coordinates: the same for two of one sign."""

    def words(learned: Learned) -> tuple[tuple[str, ...], ...]:
        return tuple(tuple(f"{i}{v > 0}" for i, v in enumerate(row[:3])) for row in learned.vectors)

    found = _chosen(_blobs(4), (2, 4), words_of=words)
    assert all(0.0 <= float(one.overlap or 0.0) <= 1.0 for one in found.tried)
    assert found.tried[0].random_overlap is not None
    same = _chosen(_blobs(4), (4,), words_of=lambda learned: (("a", "b"),) * len(learned.vectors))
    assert (same.tried[0].overlap, same.tried[0].random_overlap) == (1.0, 1.0)
    assert _chosen(_blobs(4), (4,)).tried[0].overlap is None


def test_signed_codes_have_no_assignment_to_agree_on() -> None:
    (one,) = _chosen(_blobs(4), (4,), PCA()).tried
    assert one.halves_agreement is None
    assert one.seeds.mean == pytest.approx(1.0, abs=1e-5)


def test_a_dominant_dimension_is_told_and_scaled_away() -> None:
    states = torch.cat([_blobs(4, n=160, d=63, spread=1.5), 500 * _noise(160, 1)], dim=1)
    raw = _chosen(states, (2, 4), KMeans())
    assert raw.dominant["dominant_dimensions"] == [63]
    assert raw.chosen != 4 or raw.tried[1].halves_agreement is not None
    scaled = _chosen(states, (2, 4), KMeans(space="standard"))
    assert scaled.chosen == 4
    # The twin: of the residual stream as it is, k-means finds slices of that dimension.
    fours = [choice.tried[1].halves_agreement for choice in (raw, scaled)]
    assert fours[0] is not None and fours[1] is not None  # noqa: PT018
    assert fours[1].mean > fours[0].mean + 0.1


def test_reconstruction_is_judged_in_the_learner_s_space() -> None:
    """A dimension of 500 times the spread would otherwise be all that counts."""
    states = torch.cat([_blobs(4, n=160, d=63, spread=1.5), 500 * _noise(160, 1)], dim=1)
    learned = KMeans(k=4, space="standard").fit(states)
    points = learned.encoder.space.into(states)
    found = judge(learned, states, points.mean(dim=0), torch.device("cpu"))
    share = 1 - found.rest.sum() / found.whole.sum()
    back = learned.encoder.reconstruct(learned.encode(states), learned.vectors)
    plain = (states - back).square().sum() / (states - states.mean(0)).square().sum()
    assert share > 0.5
    assert 1 - float(plain) < 0.1


def test_random_directions_are_seen_from_the_space_s_origin() -> None:
    """With a large common mean, samples as they stand all point one way, and match perfectly."""
    states = _blobs(4, n=160, spread=1.0) + 40.0
    learner = SparseCoding(n_starts=1, max_iter=50, space="centred")
    centred, raw = (
        _chosen(states, (4,), one, draws=20).tried[0].random_halves.mean
        for one in (learner, replace(learner, space="raw"))
    )
    assert raw > 0.99
    assert centred < 0.7


class _Counted:
    """A listener that counts."""

    def __init__(self) -> None:
        self.total = self.done = self.stopped = 0

    def start(self, label: str, total: int) -> None:
        self.total = total

    def advance(self, n: int = 1) -> None:
        self.done += n

    def stop(self) -> None:
        self.stopped += 1


def test_progress_counts_fits() -> None:
    listener = _Counted()
    _chosen(_blobs(4), (2, 4), progress=listener)
    assert (listener.total, listener.done, listener.stopped) == (8, 8, 1)


def test_rows_that_repeat_do_not_count_twice() -> None:
    states = _noise(n=6).repeat(20, 1)
    with pytest.raises(LearnError, match=r"k = 7 with a half of [56] different rows \(60 in all\)"):
        _chosen(states, (2, 7))
    assert [one.k for one in _chosen(states, (2, 5)).tried] == [2, 5], "the twin"


@pytest.mark.parametrize(
    ("ks", "options", "message"),
    [
        ([], {}, "choose among k = nothing"),
        ([0, 4], {}, "choose among k = 0, 4"),
        ([1, 4], {}, "one concept tells nothing apart"),
        ([4, 21], {}, "k = 21 with a half of 20 rows"),
        ([4], {"n_seeds": 1}, "1 seeds do not tell"),
        ([4], {"groups": ["a"] * 40}, "rows of one picture"),
        ([4], {"groups": ["a"] * 39}, "40 rows with 39 groups"),
        ([4], {"share": 0.0}, "share 0.0"),
        ([4], {"stable": 1.5}, "stable 1.5"),
    ],
)
def test_what_cannot_be_chosen_among(ks: list[int], options: Any, message: str) -> None:
    with pytest.raises(LearnError, match=message):
        _chosen(_noise(n=40), ks, **options)


def test_states_that_cannot_be_told_apart() -> None:
    bad = _noise(n=40)
    bad[7, 3] = torch.nan
    with pytest.raises(LearnError, match="1 of 40 states are not finite"):
        _chosen(bad, (2,))
    with pytest.raises(LearnError, match="all states are one"):
        _chosen(torch.ones(40, 8), (2,))
    with pytest.raises(LearnError, match="rows of one picture"):
        _chosen(torch.ones(1, 8), (2,))
    with pytest.raises(LearnError, match="k"):
        _chosen(_noise(n=40, d=4), (8,), PCA())


def test_duplicated_rows_and_constant_columns_give_numbers() -> None:
    states = torch.cat([_blobs(4, n=8).repeat(20, 1), torch.full((160, 3), 7.0)], dim=1)
    found = _chosen(states, (2, 4, 8))
    numbers = [one.reconstruction.estimate for one in found.tried]
    assert np.isfinite(numbers).all()
    assert numbers[-1] > 0.9


def _tried(k: int, explained: float, stability: float = 0.9, chance: float = 0.0) -> TriedK:
    estimate = Interval(explained, explained - 0.01, explained + 0.01)
    return TriedK(
        k,
        estimate,
        Interval(chance, chance, chance),
        seeds=Spread(1.0, 1.0, 1.0),
        halves=Spread(stability, stability, stability),
        random_halves=Spread(0.0, 0.0, 0.0),
    )


def _pick(*tried: TriedK, slack: float = 0.0) -> tuple[int | None, str]:
    table = np.full((len(tried), len(tried)), slack)
    return choose(list(tried), table, share=0.95, stable=0.5)


def test_the_rule() -> None:
    assert _pick(_tried(2, 0.5), _tried(4, 0.9), _tried(8, 0.91))[0] == 4
    # Just short of .95 of the best, but within a standard error of it.
    assert _pick(_tried(2, 0.85), _tried(4, 0.9))[0] == 4
    assert _pick(_tried(2, 0.85), _tried(4, 0.9), slack=0.01)[0] == 2
    # A k that does not come back neither is chosen nor sets the mark.
    assert _pick(_tried(2, 0.5), _tried(4, 0.9, stability=0.4))[0] == 2
    assert _pick(_tried(2, 0.5), _tried(4, 0.9, chance=0.95))[0] == 2


def test_the_largest_k_is_said_to_be_the_largest() -> None:
    """The rule cannot see that a larger one would explain more still."""
    end = "no larger k was tried, and one may explain more"
    chosen, why = _pick(_tried(2, 0.5), _tried(4, 0.9))
    assert chosen == 4
    assert why.endswith(end)
    # Twins: the curve is known beyond the chosen one, or there is no curve.
    assert end not in _pick(_tried(2, 0.5), _tried(4, 0.9), _tried(8, 0.91))[1]
    assert end not in _pick(_tried(2, 0.5), _tried(4, 0.9), _tried(8, 0.99, stability=0.1))[1]
    assert end not in _pick(_tried(4, 0.9))[1]


def test_why_none_is_chosen() -> None:
    nothing, why = _pick(_tried(2, 0.005), _tried(4, -0.2))
    assert nothing is None
    assert "no k explains rows of the other half" in why
    nothing, why = _pick(_tried(2, 0.5, stability=0.3), _tried(4, 0.5, stability=0.1))
    assert nothing is None
    assert "the nearest, 2, goes 30 % of the way" in why
    nothing, why = _pick(_tried(2, 0.5, stability=0.3), _tried(4, -0.1))
    assert nothing is None
    assert "the other way round" in why


def test_stability_is_beyond_chance() -> None:
    one = replace(_tried(4, 0.5, stability=0.9), random_halves=Spread(0.8, 0.8, 0.8))
    assert one.stability == pytest.approx(0.5)
    certain = replace(one, random_halves=Spread(1.0, 1.0, 1.0))
    assert certain.stability == 0.0
