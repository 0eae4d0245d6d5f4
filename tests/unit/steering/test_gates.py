"""Gates: the linear probe, and the nearest concept with and without whitening."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.builders import build_store

from shiftlens.activations.site import Site
from shiftlens.activations.store import ActivationStore
from shiftlens.concepts.concepts import Concepts
from shiftlens.core.errors import GroundingError, SteeringError
from shiftlens.steering.gates import LDA, LogisticProbe, NearestConcept, TwoPassGate
from shiftlens.steering.gates.fitting import folds_of
from shiftlens.steering.whitening import Whitening, shrunk_covariance

N, D = 160, 12


def _classes(
    gap: float, spread: float, *, seed: int = 0, n: int = N
) -> tuple[torch.Tensor, list[bool]]:
    """Two classes ``gap`` apart along the last axis, ``spread`` wide along the first one."""
    random = torch.Generator().manual_seed(seed)
    states = torch.randn(n, D, generator=random)
    truth = [row % 2 == 0 for row in range(n)]
    states[:, 0] *= spread
    states[:, -1] += torch.tensor([gap / 2 if flag else -gap / 2 for flag in truth])
    return states + 5.0, truth


def _store(path: Path, states: torch.Tensor, truth: list[bool]) -> ActivationStore:
    return build_store(path / "store", states, labels=[{"yes": flag} for flag in truth])


def _rates(decisions: torch.Tensor, truth: list[bool]) -> tuple[float, float]:
    """True and false positive rate."""
    yes = torch.tensor(truth)
    return float(decisions[yes].float().mean()), float(decisions[~yes].float().mean())


def test_lda_separates_two_classes_on_rows_it_never_saw(tmp_path: Path) -> None:
    gate = LDA.fit(_store(tmp_path, *_classes(6.0, 30.0)), lambda row: row.labels["yes"])
    states, truth = _classes(6.0, 30.0, seed=1)
    hits, alarms = _rates(gate.opens(states), truth)
    assert hits > 0.95
    assert alarms < 0.05
    assert gate.held_out.true_positive > 0.9
    assert gate.held_out.false_positive < 0.1
    assert gate.held_out.rows == N  # each row is scored by a probe that has not seen it
    assert gate.describe()["layer"] == gate.layer == 0


def test_twin_the_plain_difference_of_means_does_not(tmp_path: Path) -> None:
    """What the covariance is for: one wide axis drowns the difference of the means."""
    states, truth = _classes(6.0, 300.0)
    yes = torch.tensor(truth)
    plain = states[yes].mean(dim=0) - states[~yes].mean(dim=0)
    gate = LDA.fit(_store(tmp_path, states, truth), truth)
    fresh, labels = _classes(6.0, 300.0, seed=1)
    middle = float(((states[yes].mean(dim=0) + states[~yes].mean(dim=0)) / 2) @ plain)
    hits, alarms = _rates(fresh @ plain > middle, labels)
    ours = _rates(gate.opens(fresh), labels)
    assert hits - alarms < 0.5 < 0.8 < ours[0] - ours[1]


def test_lda_is_fisher_s_discriminant(tmp_path: Path) -> None:
    """With many rows the weights point along the inverse covariance times the difference."""
    states, truth = _classes(2.0, 3.0, n=4000)
    gate = LDA.fit(_store(tmp_path, states, truth), truth)
    expected = torch.zeros(D)
    expected[-1] = 2.0
    cosine = torch.nn.functional.cosine_similarity(gate.weights, expected, dim=0)
    assert float(cosine) > 0.99


def test_held_out_rates_are_of_rows_that_the_probe_has_not_seen(tmp_path: Path) -> None:
    """With fewer rows than axes a probe tells anything apart on its own rows, and nothing else."""
    random = torch.Generator().manual_seed(0)
    noise = torch.randn(40, 60, generator=random)
    truth = [row % 2 == 0 for row in range(40)]
    gate = LogisticProbe.fit(_store(tmp_path, noise, truth), truth)
    hits, alarms = _rates(gate.opens(noise), truth)
    assert hits - alarms > 0.9, "its own rows"
    assert gate.held_out.true_positive - gate.held_out.false_positive < 0.5


def test_rows_of_one_picture_are_in_one_fold() -> None:
    truth = np.array([row % 2 == 0 for row in range(40)])
    groups = [f"picture {row // 4}" for row in range(40)]
    number = folds_of(truth, groups, 5, 0)
    assert sorted(set(number.tolist())) == [0, 1, 2, 3, 4]
    for start in range(0, 40, 4):
        assert len(set(number[start : start + 4].tolist())) == 1
    alone = folds_of(truth, [str(row) for row in range(40)], 5, 0)  # twin: rows of their own
    assert any(len(set(alone[start : start + 4].tolist())) > 1 for start in range(0, 40, 4))
    with pytest.raises(SteeringError, match="5 folds of rows from 2 pictures"):
        folds_of(truth, [str(row // 20) for row in range(40)], 5, 0)


def test_lda_same_seed_same_gate(tmp_path: Path) -> None:
    store = _store(tmp_path, *_classes(1.0, 1.0))
    _, truth = _classes(1.0, 1.0)
    one, other = LDA.fit(store, truth), LDA.fit(store, truth)
    assert one.weights.equal(other.weights)
    assert one.threshold == other.threshold
    assert LDA.fit(store, truth, seed=1).threshold != one.threshold


def test_lda_with_shuffled_labels_is_no_gate(tmp_path: Path) -> None:
    """On held-out rows a gate for nothing is open for both classes alike."""
    states, _ = _classes(0.0, 1.0, n=600)
    truth = [row % 2 == 0 for row in range(600)]
    gate = LDA.fit(_store(tmp_path, states, truth), truth)
    fresh, labels = _classes(0.0, 1.0, seed=1, n=600)
    hits, alarms = _rates(gate.opens(fresh), labels)
    assert abs(hits - alarms) < 0.15


def test_a_constant_lda_is_refused(tmp_path: Path) -> None:
    store = _store(tmp_path, torch.ones(40, D), [row % 2 == 0 for row in range(40)])
    with pytest.raises(SteeringError, match="constant over its fitting rows"):
        LDA.fit(store, lambda row: row.labels["yes"])


@pytest.mark.parametrize("few", [True, False])
def test_a_class_of_few_rows_is_refused(tmp_path: Path, few: bool) -> None:
    states, _ = _classes(6.0, 1.0)
    truth = [(row < 7) == few for row in range(N)]
    name = "positive" if few else "negative"
    with pytest.raises(SteeringError, match=f"only 7 {name} rows"):
        LDA.fit(_store(tmp_path, states, truth), truth)


def _concepts(gap: float, **fields: object) -> Concepts:
    centres = torch.full((2, D), 5.0)
    centres[0, -1] += gap / 2
    centres[1, -1] -= gap / 2
    words = (("dog", "a"), ("cat", "a"))
    return Concepts(
        **{
            "vectors": centres,
            "kind": "centroid",
            "site": Site(0),
            "sizes": (1, 1),
            "words": words,
            "contrastive": (("dog",), ("cat",)),
            **fields,
        }
    )


def test_nearest_concept_opens_where_a_chosen_one_is_nearest() -> None:
    concepts = _concepts(6.0)
    gate = NearestConcept.of(concepts, ["dog"])
    assert gate.chosen == frozenset({0})
    assert gate.opens(concepts.vectors).tolist() == [True, False]
    assert NearestConcept.of(concepts, [1, "dog"]).opens(concepts.vectors).tolist() == [True, True]
    shown = gate.describe()
    assert (shown["concepts"], shown["whitened"]) == ([0], False)


def test_whitening_saves_the_nearest_concept_gate(tmp_path: Path) -> None:
    """Centroids are never exact; where states vary most, a small error decides in plain space."""
    states, truth = _classes(6.0, 40.0, n=600)
    concepts = _concepts(6.0)
    concepts.vectors[0, 0] += 4.0  # a tenth of a standard deviation off, along the wide axis
    plain = NearestConcept.of(concepts, [0])
    whitened = NearestConcept.of(concepts, [0], _store(tmp_path, states, truth))
    fresh, labels = _classes(6.0, 40.0, seed=1, n=600)
    bad, good = (_rates(gate.opens(fresh), labels) for gate in (plain, whitened))
    assert bad[0] - bad[1] < 0.2
    assert good[0] - good[1] > 0.6
    assert whitened.describe()["whitened"]


def test_a_gate_that_never_changes_its_mind_is_refused(tmp_path: Path) -> None:
    states, truth = _classes(0.1, 0.01)
    concepts = _concepts(6.0)
    concepts.vectors[1] += 1000.0
    with pytest.raises(SteeringError, match=f"open on every one of its {N} fitting rows"):
        NearestConcept.of(concepts, [0], _store(tmp_path, states, truth))
    with pytest.raises(SteeringError, match="closed on every one"):
        NearestConcept.of(concepts, [1], _store(tmp_path, states, truth))


def test_directions_and_unknown_concepts_are_refused() -> None:
    with pytest.raises(SteeringError, match="needs centroids"):
        NearestConcept.of(_concepts(1.0, kind="direction"), [0])
    with pytest.raises(GroundingError, match="no concept says 'bus'"):
        NearestConcept.of(_concepts(1.0), ["bus"])


def test_a_two_pass_gate_is_named_so_and_decides_as_its_inner_one() -> None:
    concepts = _concepts(6.0)
    gate = TwoPassGate(NearestConcept.of(concepts, ["dog"]))
    assert gate.inner.opens(concepts.vectors).tolist() == [True, False]
    assert gate.describe()["gate"] == "two-pass nearest concept"


def test_whitened_states_have_the_identity_as_covariance() -> None:
    states, _ = _classes(0.0, 9.0, n=5000)
    centred = states - states.mean(dim=0)
    white = Whitening.fit(centred).apply(centred)
    torch.testing.assert_close(white.T @ white / len(white), torch.eye(D), atol=0.05, rtol=0)
    covariance = centred.T @ centred / len(centred)
    with pytest.raises(AssertionError):
        torch.testing.assert_close(covariance, torch.eye(D), atol=0.05, rtol=0)


def test_shrunk_covariance_is_invertible_with_fewer_rows_than_axes() -> None:
    rows = torch.randn(5, 40, generator=torch.Generator().manual_seed(0))
    assert float(torch.linalg.eigvalsh(shrunk_covariance(rows)).min()) > 0
    assert torch.linalg.matrix_rank(rows.T @ rows) == 5
    assert bool(torch.isfinite(torch.linalg.inv(shrunk_covariance(torch.zeros(5, 3)))).all())
