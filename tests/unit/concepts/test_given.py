"""What callers hand over: paths are opened, and what stands in the wrong place is told so.

Runtime checks of types, which are on in tests only, would speak first: ``plain`` takes them off.
"""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.builders import build_store

import shiftlens as sl
from shiftlens.activations.store import ActivationStore
from shiftlens.concepts.choosing import choose_k
from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.given import concepts_given, counts_given, store_given
from shiftlens.concepts.learners.kmeans import KMeans
from shiftlens.concepts.learners.pca import PCA
from shiftlens.concepts.learning import learn
from shiftlens.concepts.rows import MemoryRows, rows_of
from shiftlens.core.errors import LearnError, ShiftLensError, StoreError


def plain(checked: Callable[..., Any]) -> Callable[..., Any]:
    """The function as a user calls it, without the checks of types."""
    return inspect.unwrap(checked)


def _states(n: int = 60) -> torch.Tensor:
    random = torch.Generator().manual_seed(0)
    centres = torch.randn(4, 8, generator=random) * 6
    return centres[torch.arange(n) % 4] + torch.randn(n, 8, generator=random)


@pytest.fixture
def store(tmp_path: Path) -> ActivationStore:
    return build_store(tmp_path / "store", _states())


@pytest.mark.parametrize("kind", [str, Path])
def test_the_path_of_a_store_is_the_store(store: ActivationStore, kind: Any) -> None:
    path = kind(store.path)
    assert store_given(path).fingerprint == store.fingerprint
    assert learn(path, KMeans(k=4)).vectors.equal(learn(store, KMeans(k=4)).vectors)
    options: dict[str, Any] = {"n_seeds": 2, "draws": 50}
    one, other = (choose_k(given, KMeans(), [2, 4], **options) for given in (path, store))
    assert one.to_dict() == other.to_dict()
    assert one.groups == 60, "its pictures are known, as those of an open store"


def test_the_path_of_concepts_is_the_concepts(store: ActivationStore, tmp_path: Path) -> None:
    concepts = learn(store, KMeans(k=4))
    assert concepts_given(concepts) is concepts
    concepts.save(tmp_path / "kept")
    assert concepts_given(str(tmp_path / "kept")).vectors.equal(concepts.vectors)
    with pytest.raises(LearnError, match=r"KMeans\(.* is not concepts"):
        concepts_given(KMeans())


def test_a_path_without_a_store_is_the_store_s_own_error(tmp_path: Path) -> None:
    for verb in (learn, choose_k):
        with pytest.raises(StoreError, match="nothing"):
            verb(tmp_path / "nothing", KMeans(), *([[2, 4]] if verb is choose_k else []))


@pytest.mark.parametrize("verb", [learn, choose_k], ids=["learn", "choose_k"])
@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("learner", "store"), r"(?s) is not a .*comes? first, the learner after"),
        (("store", "class"), r"(?s)the class PCA is not a learner.*PCA\(k=20\)"),
        (("store", "name"), r"(?s)'kmeans' is not a learner.*for example KMeans\(k=20\)"),
        (("store", "store"), r"(?s)is not a learner.*states come first, the learner after them"),
        (("none", "learner"), r"(?s)None is not a store of states.*ActivationStore, or the path"),
        (("array", "learner"), r"(?s)an array of shape \(3, 2\) is not a store.*torch.from_numpy"),
    ],
)
def test_what_stands_in_the_wrong_place_is_told_so(
    verb: Callable[..., Any], given: tuple[str, str], message: str, store: ActivationStore
) -> None:
    things = {"learner": KMeans(), "store": store, "class": PCA, "name": "kmeans", "none": None}
    states, learner = ((things | {"array": np.zeros((3, 2))})[one] for one in given)
    with pytest.raises(LearnError, match=message):
        plain(verb)(states, learner, *([[2, 4]] if verb is choose_k else []))


def test_states_in_memory_are_not_learned_from_by_name_of_a_site() -> None:
    with pytest.raises(LearnError, match=r"(?s)a tensor of shape \(60, 8\).*\.fit\(states\)"):
        plain(learn)(_states(), KMeans())


@pytest.mark.parametrize(
    ("ks", "message"),
    [
        (4, r"(?s)cannot choose among k = 4\n.*such as \[5, 10, 20, 40\]\n.*\[4\] tries it alone"),
        ("5,10", "cannot choose among k = '5,10'"),
        (None, "cannot choose among k = None"),
        ([4, 8.0], "8.0 is not a whole number of concepts"),
        ([4, True], "True is not a whole number"),
        (["4"], "'4' is not a whole number"),
    ],
)
def test_numbers_of_concepts_that_are_none(ks: Any, message: str) -> None:
    with pytest.raises(LearnError, match=message):
        plain(choose_k)(_states(), KMeans(), ks)


@pytest.mark.parametrize(
    "ks", [[8, 4, 8], (4, 8), range(4, 9, 4), {4, 8}, np.array([4, 8]), torch.tensor([8, 4])]
)
def test_whatever_holds_whole_numbers_will_do(ks: Any) -> None:
    found = counts_given(ks)
    assert found == [4, 8]
    assert all(type(one) is int for one in found), "what JSON can hold"


def test_a_k_of_numpy_is_kept_as_a_number(store: ActivationStore, tmp_path: Path) -> None:
    learner = KMeans()
    object.__setattr__(learner, "k", np.int64(4))  # as ``KMeans(k=np.int64(4))`` sets it
    learner.__post_init__()
    assert type(learner.k) is int
    concepts = learn(store, learner)
    concepts.save(tmp_path / "kept")
    again = Concepts.load(tmp_path / "kept")
    assert again.learner["k"] == 4


@pytest.mark.parametrize("one", [1, np.int64(1), np.uint8(1), torch.tensor(1)])
def test_a_concept_is_found_by_any_whole_number(store: ActivationStore, one: Any) -> None:
    found = learn(store, KMeans(k=4)).find(one)
    assert found == 1
    assert type(found) is int


@pytest.mark.parametrize("one", [1.0, None, True, torch.tensor([1, 2])])
def test_a_concept_is_found_by_nothing_else(store: ActivationStore, one: Any) -> None:
    with pytest.raises(ShiftLensError, match=r"(?s)there is no concept .*0\.\.3, or a word"):
        plain(Concepts.find)(learn(store, KMeans(k=4)), one)


def test_rows_are_of_a_tensor_or_rows_already(store: ActivationStore) -> None:
    rows = MemoryRows(_states())
    assert rows_of(rows) is rows
    for given, remedy in ((store, "StoreRows"), (np.zeros((3, 2)), "from_numpy"), ([[0.0]], "")):
        with pytest.raises(LearnError, match=rf"(?s)not {type(given).__name__}.*{remedy}"):
            plain(rows_of)(given)


def test_the_public_names_are_these() -> None:
    assert (sl.learn, sl.choose_k) == (learn, choose_k)
