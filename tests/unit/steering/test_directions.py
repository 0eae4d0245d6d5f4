"""Where vectors come from: means, shifts, concepts, chance; and what can be done with them."""

from pathlib import Path

import pytest
import torch
from tests.builders import build_store, build_vector

from shiftlens.activations.site import Site
from shiftlens.activations.store import ActivationStore
from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.learners.kmeans import KMeans
from shiftlens.concepts.learning import learn
from shiftlens.concepts.vectors import SteeringVector
from shiftlens.core.errors import MismatchError, SiteError, SteeringError, StoreError
from shiftlens.steering.directions import (
    between_concepts,
    mean_difference,
    mean_shift,
    random_like,
)
from shiftlens.steering.operators import Add

D = 6


def _states(n: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, D, generator=torch.Generator().manual_seed(seed)) + 3


@pytest.fixture
def store(tmp_path: Path) -> ActivationStore:
    """Twenty rows: six say yes, eight say no, six something else."""
    answers = ["yes"] * 6 + ["no"] * 8 + ["two"] * 6
    labels = [{"answer": answer} for answer in answers]
    return build_store(tmp_path / "a", {1: _states(20), 3: _states(20, 1)}, labels=labels, shards=3)


def test_mean_difference_is_target_minus_source(store: ActivationStore) -> None:
    vector = mean_difference(
        store,
        source=lambda row: row.labels["answer"] == "yes",
        target=lambda row: row.labels["answer"] == "no",
        layer=3,
        name="yes to no",
    )
    states = _states(20, 1)
    torch.testing.assert_close(vector.direction, states[6:14].mean(0) - states[:6].mean(0))
    assert (vector.layer, vector.name, vector.kind) == (3, "yes to no", "mean difference")
    assert vector.state_norm == pytest.approx(float(states[:14].norm(dim=1).mean()), rel=1e-5)
    assert vector.provenance["rows"] == {"source": 6, "target": 8}
    assert vector.provenance["model"] == {"weights": "weights"}


def test_the_way_back_is_the_opposite(store: ActivationStore) -> None:
    flags = [row.labels["answer"] == "yes" for row in store.rows]
    others = [row.labels["answer"] == "no" for row in store.rows]
    there = mean_difference(store, source=flags, target=others, layer=1)
    back = mean_difference(store, source=others, target=flags, layer=1)
    assert there.direction.equal(-back.direction)
    assert not there.direction.equal(back.direction)


def test_few_rows_and_rows_on_both_sides_are_refused(store: ActivationStore) -> None:
    yes = [row.labels["answer"] == "yes" for row in store.rows]
    with pytest.raises(SteeringError, match="only 4 of 20 rows are target") as caught:
        mean_difference(store, source=yes, target=[i >= 16 for i in range(20)], layer=1)
    assert "responses are " in caught.value.allowed  # a misspelt answer is seen from what is said
    with pytest.raises(SteeringError, match="1 rows are source and target at once"):
        mean_difference(store, source=yes, target=[i >= 5 for i in range(20)], layer=1)
    with pytest.raises(MismatchError, match="3 booleans for 20 rows"):
        mean_difference(store, source=[True] * 3, target=yes, layer=1)
    with pytest.raises(SiteError, match="layers"):
        mean_difference(store, source=yes, target=[not one for one in yes])


def test_mean_shift_is_over_the_samples_in_common(tmp_path: Path) -> None:
    before, after = _states(9), _states(9, 1)
    names = [f"s{i}" for i in range(9)]
    base = build_store(tmp_path / "base", before, ids=names)
    kept = [8, 2, 4, 0, 6, 7]  # the tuned model lost three, and its rows lie in another order
    tuned = build_store(tmp_path / "tuned", after[kept], ids=[names[i] for i in kept])
    vector = mean_shift(base, tuned)
    torch.testing.assert_close(vector.direction, (after[kept] - before[kept]).mean(0))
    with pytest.raises(AssertionError):  # twin: all rows of both sides are not the same samples
        torch.testing.assert_close(vector.direction, after[kept].mean(0) - before.mean(0))
    assert vector.provenance["rows"] == {"rows": 6}


def test_mean_shift_of_a_store_against_itself_is_zero(store: ActivationStore) -> None:
    assert mean_shift(store, store, layer=1).norm == 0


def test_mean_shift_needs_samples_in_common(tmp_path: Path) -> None:
    base = build_store(tmp_path / "a", _states(9))
    other = build_store(tmp_path / "b", _states(9), ids=[f"t{i}" for i in range(9)])
    with pytest.raises(MismatchError, match="share no sample"):
        mean_shift(base, other)
    some = build_store(tmp_path / "c", _states(4))
    with pytest.raises(SteeringError, match="only 4 samples in common"):
        mean_shift(base, some)


def _concepts() -> Concepts:
    return Concepts(
        vectors=_states(3),
        kind="centroid",
        site=Site(2),
        sizes=(1, 1, 1),
        words=(("man", "a"), ("dog", "a"), ("cat", "a")),
        contrastive=(("man",), ("dog",), ("cat",)),
        provenance={"model": {"weights": "weights"}},
    )


def test_between_concepts_leads_from_one_to_the_other() -> None:
    concepts = _concepts()
    vector = between_concepts(concepts, "dog", 0)
    torch.testing.assert_close(concepts.vectors[1] + vector.direction, concepts.vectors[0])
    assert (vector.layer, vector.name) == (2, "concept 1 to concept 0")
    assert vector.state_norm == pytest.approx(float(concepts.vectors.norm(dim=1).mean()))
    with pytest.raises(SteeringError, match="same concept, number 1"):
        between_concepts(concepts, "dog", 1)


def test_a_vector_between_learned_concepts_remembers_the_weights(store: ActivationStore) -> None:
    """So that ``steer`` can refuse another model, as for every other vector."""
    concepts = learn(store, KMeans(k=2), layer=1)
    assert between_concepts(concepts, 0, 1).provenance["model"] == {"weights": "weights"}


def test_random_like_has_the_length_and_nothing_else_in_common() -> None:
    vector = build_vector(512, length=7.0)
    control = random_like(vector, seed=1)
    assert control.norm == pytest.approx(7.0, rel=1e-5)
    cosine = torch.nn.functional.cosine_similarity(control.direction, vector.direction, dim=0)
    assert abs(float(cosine)) < 0.2
    assert control.direction.equal(random_like(vector, seed=1).direction)
    assert not control.direction.equal(random_like(vector, seed=2).direction)


def test_arithmetic_of_vectors() -> None:
    a, b = build_vector(seed=1), build_vector(seed=2)
    torch.testing.assert_close((a + b - b).direction, a.direction)
    torch.testing.assert_close((2.0 * a / 2.0).direction, a.direction)
    assert (-a).direction.equal(-a.direction)
    assert (a + b).name == "random 1 + random 2"
    assert a.norm == pytest.approx(6.0, rel=1e-6)


def test_vectors_of_different_places_do_not_add() -> None:
    vector = build_vector(provenance={"model": {"weights": "a"}})
    with pytest.raises(SteeringError, match=r"layer 1 with 32 entries.*at layer 2"):
        vector + build_vector(layer=2)
    with pytest.raises(SteeringError, match="at layer 1 with 16"):
        vector - build_vector(16)
    with pytest.raises(SteeringError, match="different models"):
        vector + build_vector(provenance={"model": {"weights": "b"}})


def test_a_vector_without_a_place_or_with_nan_is_refused() -> None:
    with pytest.raises(SteeringError, match="has the layer -1"):
        build_vector(layer=-1)
    with pytest.raises(SteeringError, match="not finite"):
        build_vector(length=float("nan"))


def test_a_vector_survives_its_file(tmp_path: Path) -> None:
    vector = build_vector(provenance={"model": {"weights": "ä"}}, name="yes → no")
    vector.save(tmp_path / "v")
    found = SteeringVector.load(tmp_path / "v")
    assert found.direction.equal(vector.direction)
    fields = ("site", "name", "kind", "state_norm", "provenance")
    assert all(getattr(found, one) == getattr(vector, one) for one in fields)
    with pytest.raises(StoreError, match=r"nothing.json does not exist"):
        SteeringVector.load(tmp_path / "nothing")


def test_add_is_exact_in_half_precision_and_changes_no_input() -> None:
    states = torch.full((2, 4), 1.0, dtype=torch.float16)
    kept = states.clone()
    direction = torch.full((4,), 100_000.0)  # more than half precision can hold
    steered = Add().apply(states, direction, 1e-5)
    assert steered.dtype == torch.float16
    torch.testing.assert_close(steered, torch.full_like(states, 2.0))
    assert states.equal(kept)
    assert torch.isinf(direction.half()).all()
