"""Rows chosen by answer, label and what is said; concepts by picture; stores against stores."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.builders import build_store

from shiftlens.activations.site import Site
from shiftlens.activations.store import ActivationStore, Row
from shiftlens.concepts.concepts import Concepts
from shiftlens.core.errors import GroundingError, MismatchError, SteeringError
from shiftlens.steering.directions import (
    answers,
    between_concepts,
    between_stores,
    concept_of_image,
    labelled,
    mean_difference,
    mean_shift,
    saying,
)

D = 6
RESPONSES = ["Yes."] * 5 + ["yes"] + ["no"] * 8 + ["not now, a woman"] * 6


def _states(n: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, D, generator=torch.Generator().manual_seed(seed)) + 3


@pytest.fixture
def store(tmp_path: Path) -> ActivationStore:
    """Six rows say yes, eight no, six something that holds "no" within a word."""
    labels = [{"gender": "woman" if row % 2 else "man", "evident": row > 9} for row in range(20)]
    return build_store(tmp_path / "a", _states(20), responses=RESPONSES, labels=labels, shards=3)


def _chosen(store: ActivationStore, choose: Callable[[Row], bool]) -> list[int]:
    return [index for index, row in enumerate(store.rows) if choose(row)]


def test_rows_by_answer_are_exact_answers(store: ActivationStore) -> None:
    assert _chosen(store, answers("yes")) == list(range(6))
    assert _chosen(store, answers("no")) == list(range(6, 14))  # and not "not now"
    assert _chosen(store, answers("yes", "no")) == list(range(14))
    assert _chosen(store, saying("now", "yes")) == [*range(6), *range(14, 20)]
    assert _chosen(store, saying("wom")) == []


def test_rows_by_label(store: ActivationStore) -> None:
    assert _chosen(store, labelled("gender", "woman")) == list(range(1, 20, 2))
    assert _chosen(store, labelled("gender", "woman", "man")) == list(range(20))
    assert _chosen(store, labelled("evident")) == list(range(10, 20))
    with pytest.raises(SteeringError, match=r"no label 'sex'\n  labels: evident, gender"):
        _chosen(store, labelled("sex", "woman"))


def test_a_direction_from_one_answer_to_another(store: ActivationStore) -> None:
    vector = mean_difference(store, source=answers("yes"), target=answers("no"))
    states = _states(20)
    torch.testing.assert_close(vector.direction, states[6:14].mean(0) - states[:6].mean(0))
    with pytest.raises(SteeringError, match=r"only 0 of 20 rows are target\n  at least 5"):
        mean_difference(store, source=answers("yes"), target=answers("maybe"))


def test_states_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    states = _states(20)
    states[7, 2] = float("inf")
    store = build_store(tmp_path / "inf", states, responses=RESPONSES)
    with pytest.raises(SteeringError, match="yes to no: states have entries that are not finite"):
        mean_difference(store, source=answers("yes"), target=answers("no"), name="yes to no")
    with pytest.raises(SteeringError, match="not finite"):
        mean_shift(store, store)


def test_two_prompts_on_one_set_of_pictures_are_paired(tmp_path: Path) -> None:
    first = build_store(tmp_path / "a", _states(12), data="one")
    kept = [11, 3, 0, 5, 6, 7, 8]  # the other prompt lost five, and its rows lie in another order
    ids = [f"s{row}" for row in kept]
    second = build_store(tmp_path / "b", _states(12, 1)[kept], ids=ids, data="two")
    vector = between_stores(first, second)
    expected = (_states(12, 1)[kept] - _states(12)[kept]).mean(0)
    torch.testing.assert_close(vector.direction, expected)
    unpaired = _states(12, 1)[kept].mean(0) - _states(12).mean(0)
    with pytest.raises(AssertionError):  # twin: all rows of both are not the same pictures
        torch.testing.assert_close(vector.direction, unpaired)
    assert vector.provenance["rows"] == {"source": 7, "target": 7, "paired": 1}
    assert vector.provenance["data"] == "one"
    assert vector.provenance["target"]["data"] == "two"
    assert vector.provenance["target"]["store"] == second.fingerprint
    back = between_stores(second, first)
    torch.testing.assert_close(back.direction, -vector.direction)


def test_two_data_sets_whose_ids_agree_by_chance_are_not_paired(tmp_path: Path) -> None:
    first = build_store(tmp_path / "a", _states(12))
    pictures = [f"other/{row}.png" for row in range(9)]
    second = build_store(tmp_path / "b", _states(9, 1), images=pictures)
    vector = between_stores(first, second)
    expected = _states(9, 1).mean(0) - _states(12).mean(0)
    torch.testing.assert_close(vector.direction, expected)
    assert vector.provenance["rows"] == {"source": 12, "target": 9, "paired": 0}
    lengths = torch.cat([_states(12), _states(9, 1)]).norm(dim=1)
    assert vector.state_norm == pytest.approx(float(lengths.mean()), rel=1e-6)


def test_stores_that_do_not_compare_are_refused(tmp_path: Path) -> None:
    store = build_store(tmp_path / "a", _states(9))
    other = build_store(tmp_path / "b", _states(9), model={"weights": "other"})
    with pytest.raises(MismatchError, match=r"different models\n.*\n  use mean_shift"):
        between_stores(store, other)
    deeper = build_store(tmp_path / "c", {3: _states(9)})
    for compare in (between_stores, mean_shift):
        with pytest.raises(MismatchError, match=r"at Site\(layer=0.*at Site\(layer=3"):
            compare(store, deeper)
    few = build_store(tmp_path / "d", _states(3), ids=["x", "y", "z"])
    with pytest.raises(SteeringError, match="only 3 of 3 rows are target"):
        between_stores(store, few)


def _concepts() -> Concepts:
    return Concepts(
        vectors=_states(3),
        kind="centroid",
        site=Site(2),
        sizes=(8, 1, 1),
        words=(("man",), ("dog",), ("cat",)),
        contrastive=(("man",), ("dog",), ("cat",)),
        images=(("s1", "s2"), ("s3", "s4"), ("s5", "s2")),
    )


def test_a_concept_is_chosen_by_its_picture() -> None:
    concepts = _concepts()
    assert concept_of_image(concepts, "s4") == 1
    vector = between_concepts(concepts, concept_of_image(concepts, "s5"), "man")
    torch.testing.assert_close(vector.direction, concepts.vectors[0] - concepts.vectors[2])
    with pytest.raises(GroundingError, match=r"no concept shows 's9'\n  0: s1, s2; 1: s3, s4"):
        concept_of_image(concepts, "s9")
    with pytest.raises(GroundingError, match=r"concepts \[0, 2\] all show 's2'"):
        concept_of_image(concepts, "s2")
    with pytest.raises(GroundingError, match="know no pictures"):
        concept_of_image(replace(concepts, images=()), "s1")


def test_the_states_behind_concepts_count_by_their_rows() -> None:
    lengths = _states(3).norm(dim=1)
    expected = float((8 * lengths[0] + lengths[1] + lengths[2]) / 10)
    assert between_concepts(_concepts(), 0, 1).state_norm == pytest.approx(expected)


def test_concepts_that_are_no_states_are_refused() -> None:
    with pytest.raises(SteeringError, match="kind 'direction' are no states"):
        between_concepts(replace(_concepts(), kind="direction"), 0, 1)
