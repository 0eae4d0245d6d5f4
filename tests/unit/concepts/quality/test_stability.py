"""Refits over seeds and halves, beside random dictionaries."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from tests.builders import build_store
from tests.unit.concepts.quality.planted import blobs, centroids

from shiftlens.activations.site import Site
from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.learners.kmeans import KMeans
from shiftlens.concepts.learners.learner import ConceptLearner, Fitting, Learned, View
from shiftlens.concepts.quality.figures import Figure
from shiftlens.concepts.quality.stability import learner_of, matched_cosines, stability
from shiftlens.concepts.rows import StoreRows
from shiftlens.core.errors import LearnError


@dataclass(frozen=True)
class Turned(ConceptLearner):
    """The principal directions with random signs: as stable as can be, up to sign."""

    name: ClassVar[str] = "turned"
    kind: ClassVar[str] = "direction"
    k: int = 2
    seed: int = 0

    def begin(self, view: View) -> "_Turning":
        return _Turning(self)


class _Turning(Fitting):
    def __init__(self, options: Turned) -> None:
        self._options, self._rows = options, []

    def update(self, states: torch.Tensor, numbers: torch.Tensor) -> None:
        self._rows.append(states)

    def end_pass(self) -> bool:
        return False

    def learned(self) -> Learned:
        rows = torch.cat(self._rows)
        right = torch.linalg.svd(rows - rows.mean(dim=0), full_matrices=False).Vh
        signs = np.random.default_rng(self._options.seed).choice([-1.0, 1.0], self._options.k)
        vectors = right[: self._options.k] * torch.tensor(signs)[:, None].float()
        return Learned(vectors, "direction", (), {})


def _named(*arguments, **options) -> dict[str, Figure]:
    return {one.name: one for one in stability(*arguments, **options)}


def test_planted_groups_are_found_again() -> None:
    states, _ = blobs()
    found = _named(KMeans(k=3, n_starts=4), states, n_refits=3)
    assert len(found) == 8
    for name, figure in found.items():
        assert figure.value.estimate > 0.98, name
        difference = figure.beside("random samples").difference
        assert difference is not None
        assert difference.estimate > 0, name


def test_twin_noise_has_no_groups_to_find() -> None:
    noise = torch.randn(120, 12, generator=torch.Generator().manual_seed(0)) + 5
    found = _named(KMeans(k=6, n_starts=1), noise, n_refits=3)
    assert found["AMI of refits over halves"].value.estimate < 0.4
    # The common mean flatters the plain cosine; the centred one shows that nothing is stable.
    plain = found["matched cosine over halves"].value.estimate
    assert plain > 0.95
    assert found["matched cosine, centred over halves"].value.estimate < plain - 0.3


def test_directions_are_matched_up_to_sign_and_are_not_centred() -> None:
    states, _ = blobs(k=3, noise=0.1)
    found = _named(Turned(k=2), states, n_refits=3)
    assert found["matched cosine over seeds"].value.estimate == pytest.approx(1, abs=1e-5)
    assert found["matched cosine over halves"].value.estimate > 0.95
    assert not any("centred" in name for name in found)
    random = found["matched cosine over halves"].beside("random directions")
    assert random.difference is not None
    assert random.difference.low > 0


def test_cosines_are_matched_one_to_one_for_the_largest_sum() -> None:
    ours = torch.tensor([[1.0, 0.0], [0.8, 0.6]])
    theirs = torch.tensor([[1.0, 0.1], [1.0, 0.0]])
    nearest = (
        torch.nn.functional.normalize(ours, dim=1) @ torch.nn.functional.normalize(theirs, dim=1).T
    )
    assert (nearest.argmax(dim=1) == torch.tensor([1, 0])).all()
    both = [nearest[0, 0] + nearest[1, 1], nearest[0, 1] + nearest[1, 0]]
    assert matched_cosines(ours, theirs).sum() == pytest.approx(float(max(both)), abs=1e-6)
    permuted = torch.randn(5, 8, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(matched_cosines(permuted, permuted.flip(0)), 1, atol=1e-6)
    np.testing.assert_allclose(matched_cosines(permuted, -permuted, signed=False), 1, atol=1e-6)
    with pytest.raises(LearnError, match="width 8 cannot be matched with width 2"):
        matched_cosines(permuted, ours)


def test_rows_of_a_picture_fall_into_one_half() -> None:
    """One row a picture decides nothing, six copies of it would: halves must not share pictures."""
    random = torch.Generator().manual_seed(0)
    pictures = torch.randn(16, 12, generator=random)
    states = pictures.repeat_interleave(6, dim=0)
    groups = [f"p{row // 6}" for row in range(96)]
    learner = KMeans(k=8, n_starts=2)
    name = "matched cosine, centred over halves"
    together = _named(learner, states, n_refits=3, groups=groups)[name]
    # Twin: with rows cut freely, both halves see every picture.
    apart = _named(learner, states, n_refits=3)[name]
    assert apart.value.estimate - together.value.estimate > 0.3


def test_a_store_in_shards_gives_what_memory_gives(tmp_path: Path) -> None:
    states, _ = blobs(n=60)
    store = build_store(tmp_path / "s", states, shards=3)
    learner = KMeans(k=3)
    for one, other in zip(
        stability(learner, states, n_refits=2),
        stability(learner, StoreRows(store), n_refits=2),
        strict=True,
    ):
        assert one.value.estimate == pytest.approx(other.value.estimate, abs=1e-5)


def test_the_learner_is_made_again_from_what_concepts_say() -> None:
    states, labels = blobs()
    learner = KMeans(k=3, seed=4, n_starts=2)
    said = {**learner.options(), "report": {"objective": 1.0}}
    assert learner_of(centroids(states, labels, learner=said)) == learner
    assert learner_of(centroids(states, labels)) is None
    with pytest.raises(LearnError, match="'kmeans' cannot be made again"):
        learner_of(centroids(states, labels, learner={"name": "kmeans", "wings": 2}))


def test_bad_input_is_refused() -> None:
    states, _ = blobs()
    with pytest.raises(LearnError, match="stability from 1 refits"):
        stability(KMeans(k=3), states, n_refits=1)
    with pytest.raises(LearnError, match="cannot learn 4 concepts from 3 rows"):
        stability(KMeans(k=4), states[:6], n_refits=2)


def test_one_concept_is_always_found_again() -> None:
    states, _ = blobs()
    found = _named(KMeans(k=1), states, n_refits=2)
    assert found["matched cosine over seeds"].value.estimate == pytest.approx(1)
    assert all(np.isfinite(one.value.estimate) for one in found.values())


def test_the_first_fit_may_be_given() -> None:
    states, _ = blobs()
    learner = KMeans(k=3)
    first = replace(learner.fit(states), report={})
    concepts = Concepts(first.vectors, "centroid", Site(0), first.sizes)
    given = stability(learner, states, n_refits=2, like=concepts)
    assert [one.value for one in given] == [
        one.value for one in stability(learner, states, n_refits=2)
    ]
