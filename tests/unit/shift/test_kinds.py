"""Kinds of change on blobs that were split, merged, scattered, or newly made."""

import pytest
import torch
from torch import Tensor

from shiftlens.concepts.learners.kmeans import KMeans
from shiftlens.shift.fates import KEPT, MERGED, SPLIT, VANISHED, fate
from shiftlens.shift.kinds import BORN, UNDECIDED, Kinds, kinds
from shiftlens.shift.refits import Split

N, BLOBS, D = 900, 6, 24


def _labels(*counts: tuple[int, int]) -> Tensor:
    return torch.cat([torch.full((many,), label) for label, many in counts])


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (_labels((0, 9), (1, 1), (1, 10)), KEPT),
        (_labels((0, 6), (2, 4), (1, 10)), SPLIT),
        (_labels((1, 10), (1, 10)), MERGED),
        (_labels((0, 4), (1, 3), (2, 3), (0, 10), (1, 10), (2, 10)), VANISHED),
        (_labels((0, 6), (1, 4), (0, 10), (1, 10)), MERGED),
        (_labels((0, 4), (1, 3), (2, 3), (1, 10), (2, 10)), "mixed"),
    ],
)
def test_the_fate_of_ten_rows(labels: Tensor, told: str) -> None:
    mine = torch.arange(len(labels)) < 10
    assert fate(mine, labels, 3) == told


def _case(change) -> tuple[Split, Tensor]:
    rng = torch.Generator().manual_seed(0)
    blobs = torch.arange(N) % BLOBS
    base = 3 * torch.randn(BLOBS, D, generator=rng)[blobs] + torch.randn(N, D, generator=rng)
    tuned = change(base.clone(), blobs, rng)
    half, numbers = N // 2, torch.arange(N // 2)
    delta = tuned - base
    split = Split(base[:half], delta[:half], numbers, base[half:], delta[half:], numbers)
    return split, blobs[half:]


def _run(split: Split, k_tuned: int) -> tuple[Kinds, Tensor, Tensor]:
    base = KMeans(k=BLOBS).fit(split.base)
    tuned = KMeans(k=k_tuned).fit(split.base + split.delta)
    found = kinds(split, KMeans(k=BLOBS), base, tuned, draws=16)
    return found, base.assign(split.judging_base), tuned.assign(
        split.judging_base + split.judging_delta
    )  # fmt: skip


def _scatter(states: Tensor, blobs: Tensor, rng: torch.Generator) -> Tensor:
    """Every member of blob 2 goes to live with one of the others."""
    mine = torch.nonzero(blobs == 2).flatten()
    means = torch.stack([states[blobs == i].mean(dim=0) for i in (0, 1, 3, 4, 5)])
    hosts = torch.randint(0, 5, (len(mine),), generator=rng)
    states[mine] += means[hosts] - states[mine].mean(dim=0)
    return states


def _gather(states: Tensor, _blobs: Tensor, rng: torch.Generator) -> Tensor:
    """One in six of everybody moves to a new place far away."""
    away = torch.rand(N, generator=rng) < 1 / 6
    states[away] = 4 * torch.randn(D, generator=rng) + torch.randn(
        int(away.sum()), D, generator=rng
    )
    return states


def test_a_scattered_concept_has_vanished() -> None:
    split, blobs = _case(_scatter)
    found, labels, _ = _run(split, BLOBS - 1)
    kind = found.base[int(labels[blobs == 2].mode().values)]
    assert kind.kind == VANISHED
    assert kind.agreement >= 0.8
    others = [found.base[int(labels[blobs == i].mode().values)].kind for i in (0, 1, 3, 4, 5)]
    assert VANISHED not in others


def test_a_gathered_concept_was_born() -> None:
    split, _ = _case(_gather)
    found, _, _ = _run(split, BLOBS + 1)
    assert [kind.kind for kind in found.tuned].count(BORN) == 1
    assert BORN not in [kind.kind for kind in found.base]


def test_twin_where_nothing_happened_nothing_is_born_split_merged_or_gone() -> None:
    split, _ = _case(lambda states, _blobs, rng: states + 0.1 * torch.randn(N, D, generator=rng))
    found, _, _ = _run(split, BLOBS)
    assert {kind.kind for kind in (*found.base, *found.tuned)} <= {KEPT, UNDECIDED}
    assert [kind.kind for kind in found.base].count(KEPT) >= 3


def test_kinds_can_be_written_down() -> None:
    split, _ = _case(_scatter)
    found, _, _ = _run(split, BLOBS)
    assert set(found.base[0].to_dict()) == {"kind", "agreement", "kept_at_home"}
