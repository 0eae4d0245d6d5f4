"""Theorems of effects and verdicts, each with a twin that must fail."""

import pytest
import torch
from tests.unit.shift.verdict_data import D, K, noise, planted

from shiftlens.concepts.learners.kmeans import KMeans
from shiftlens.shift.margins import Margins
from shiftlens.shift.matching import jaccard, shared, shared_partners
from shiftlens.shift.refits import Split
from shiftlens.shift.verdicts import judge, measured


@pytest.fixture(params=[0, 1, 2])
def split(request: pytest.FixtureRequest) -> Split:
    return planted(400, moved={0: 0.5, 2: 0.2}, seed=request.param)[0]


def _sorted(values) -> torch.Tensor:
    return torch.from_numpy(values).sort(dim=0).values


def _turned(split: Split, turn: torch.Tensor, delta: torch.Tensor | None = None) -> Split:
    also = turn if delta is None else delta
    return Split(
        split.base @ turn, split.delta @ also, split.groups,
        split.judging_base @ turn, split.judging_delta @ also, split.judging_groups,
    )  # fmt: skip


def test_turning_both_models_alike_changes_no_effect(split: Split) -> None:
    turn, _ = torch.linalg.qr(noise(D, D, seed=9))
    before = measured(split, KMeans(k=K).fit(split.base))
    turned = _turned(split, turn)
    after = measured(turned, KMeans(k=K).fit(turned.base))
    torch.testing.assert_close(_sorted(before), _sorted(after), atol=1e-4, rtol=1e-4)
    # Twin: turn the tuned model alone, and everything has moved.
    tuned = (split.base + split.delta) @ turn - split.base
    judging = (split.judging_base + split.judging_delta) @ turn - split.judging_base
    alone = split.with_delta(tuned, judging)
    assert measured(alone, KMeans(k=K).fit(split.base)).min() > before.max()


def test_the_order_of_rows_changes_no_effect(split: Split) -> None:
    order = torch.randperm(len(split.judging_base), generator=torch.Generator().manual_seed(1))
    other = Split(
        split.base, split.delta, split.groups,
        split.judging_base[order], split.judging_delta[order], split.judging_groups[order],
    )  # fmt: skip
    learned = KMeans(k=K).fit(split.base)
    left, right = (torch.from_numpy(measured(one, learned)) for one in (split, other))
    torch.testing.assert_close(left, right)
    torn = other.with_delta(split.delta, split.judging_delta)  # twin: changes of other samples
    assert not torch.allclose(torch.from_numpy(measured(torn, learned)), left, atol=1e-2)


def test_moving_everything_by_one_vector_moves_no_concept_apart(split: Split) -> None:
    learned = KMeans(k=K).fit(split.base)
    push = noise(D, seed=4)
    pushed = split.with_delta(split.delta + push, split.judging_delta + push)
    own, there = (torch.from_numpy(measured(one, learned)[:, 1]) for one in (split, pushed))
    torch.testing.assert_close(own, there, atol=1e-3, rtol=1e-3)
    moved = torch.from_numpy(measured(pushed, learned)[:, 0])  # twin: but it has moved them
    assert float((moved - torch.from_numpy(measured(split, learned)[:, 0])).min()) > 0.1


def test_the_same_bits_are_zero_everywhere_and_stable() -> None:
    split, _ = planted(400, wobble=0.0)
    learner = KMeans(k=K)
    judged = judge(split, learner, learner.fit(split.base), Margins.named(0.01), draws=20)
    for concept in judged.concepts:
        for verdict in concept.values():
            assert (verdict.estimate, verdict.low, verdict.high) == (0.0, 0.0, 0.0)
            assert verdict.verdict == "stable"
    moved, _ = planted(400, wobble=0.0, moved={0: 0.02})  # twin
    again = judge(moved, learner, learner.fit(moved.base), Margins.named(0.01), draws=20)
    assert "changed" in [concept["moved"].verdict for concept in again.concepts]


def test_renaming_concepts_renames_their_partners() -> None:
    labels, others = torch.arange(60) % K, (torch.arange(60) + 1) % K
    partners, overlap = shared_partners(shared(labels, others, K, K))
    assert partners == [1, 2, 3, 0]
    assert overlap.tolist() == [1.0] * K
    rename = torch.tensor([2, 0, 3, 1])
    renamed, _ = shared_partners(shared(labels, rename[others], K, K))
    assert renamed == [int(rename[partner]) for partner in (1, 2, 3, 0)]
    mixed = torch.randint(0, K, (60,), generator=torch.Generator().manual_seed(0))
    assert float(jaccard(shared(labels, mixed, K, K)).max()) < 0.5  # twin: chance has no partner
