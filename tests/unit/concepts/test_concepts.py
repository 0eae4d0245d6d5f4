"""``Concepts``: assignment, finding by word, files."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tests.builders import build_store

from shiftlens.activations.site import Site
from shiftlens.activations.tokens import word
from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.learners.kmeans import KMeans
from shiftlens.concepts.learning import learn
from shiftlens.concepts.quality.agreement import agreement
from shiftlens.concepts.quality.reconstruction import explained
from shiftlens.concepts.vectors import SteeringVector
from shiftlens.core.errors import GroundingError, LearnError, SiteError, StoreError

WORDS = (("dog", "a", "red"), ("cat", "a", "red"), ("bus", "a", "blue"))
CONTRASTIVE = (("dog", "bone"), ("cat", "bone"), ("bus", "dog"))


def _random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _concepts(**fields: object) -> Concepts:
    return Concepts(
        **{
            "vectors": _random(3, 8),
            "kind": "centroid",
            "site": Site(2, word("dog", alignment="read")),
            "sizes": (3, 2, 1),
            "learner": {"name": "kmeans", "k": 3},
            "provenance": {"model": {"weights": "w"}},
            "words": WORDS,
            "contrastive": CONTRASTIVE,
            "images": (("s1", "s2"), (), ("ä",)),
            **fields,
        }
    )


def test_a_row_belongs_to_the_nearest_centroid() -> None:
    concepts, acts = _concepts(), _random(50, 8, seed=1)
    expected = [
        min(range(3), key=lambda k: float((row - concepts.vectors[k]).square().sum()))
        for row in acts
    ]
    assert concepts.assign(acts).tolist() == expected
    assert concepts.encode(acts).argmax(dim=1).tolist() == expected
    assert concepts.encode(acts).sum(dim=1).tolist() == [1.0] * 50


@pytest.mark.parametrize("kind", ["centroid", "direction"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_rows_that_are_not_finite_belong_to_nothing(kind: str, bad: float) -> None:
    concepts, acts = _concepts(kind=kind), _random(5, 8)
    acts[2, 3] = bad
    for use in (concepts.assign, concepts.encode, concepts.learned.assign, concepts.learned.encode):
        with pytest.raises(LearnError, match="1 of 5 states are not finite"):
            use(acts)
    assert len(concepts.assign(acts[:2])) == 2


def test_a_centroid_that_lies_far_away_does_not_blur_the_others() -> None:
    vectors = _random(3, 8).repeat(2, 1)
    vectors[5] *= 1e8
    sizes: tuple[int, ...] = (1,) * 6
    concepts = _concepts(vectors=vectors, sizes=sizes, words=(), contrastive=(), images=())
    acts = _random(3, 8).repeat(20, 1)  # more than 25 rows may be compared in another way
    assert concepts.assign(acts).tolist() == [0, 1, 2] * 20  # of equals the first
    assert torch.equal(
        torch.cat([concepts.assign(row[None]) for row in acts]), concepts.assign(acts)
    )


def test_twin_directions_assign_by_largest_code() -> None:
    """A direction's length does not count, a centroid's does."""
    vectors = torch.tensor([[10.0, 0.0], [0.0, 1.0]])
    acts = torch.tensor([[2.0, 1.0]])
    fields = {"vectors": vectors, "sizes": (1, 1), "words": (), "contrastive": (), "images": ()}
    assert _concepts(kind="direction", **fields).assign(acts).tolist() == [0]
    assert _concepts(**fields).assign(acts).tolist() == [1]
    assert _concepts(kind="direction", **fields).encode(acts).tolist() == [[2.0, 1.0]]


def test_encoding_some_rows_is_some_rows_of_the_encoding() -> None:
    for kind in ("centroid", "direction"):
        concepts, acts = _concepts(kind=kind), _random(20, 8, seed=1)
        torch.testing.assert_close(concepts.encode(acts[3:9]), concepts.encode(acts)[3:9])


def test_another_width_is_refused() -> None:
    with pytest.raises(LearnError, match=r"shape \(4, 7\)") as caught:
        _concepts().assign(torch.zeros(4, 7))
    assert "(n, 8)" in str(caught.value)


def test_unknown_kinds_and_missing_sizes_are_refused() -> None:
    with pytest.raises(LearnError, match="unknown kind of concepts 'cluster'"):
        _concepts(kind="cluster")
    with pytest.raises(LearnError, match="3 concepts with 2 sizes"):
        _concepts(sizes=(1, 2))


def test_a_concept_is_found_by_number_and_by_word() -> None:
    concepts = _concepts()
    assert concepts.find(2) == 2
    assert concepts.find("dog") == 0, "it heads the list of 0, and merely stands in that of 2"
    assert concepts.find("blue") == 2, "a plain word of one concept"


@pytest.mark.parametrize(
    ("concept", "message"),
    [
        (3, "there is no concept 3"),
        (-1, "there is no concept -1"),
        ("train", "no concept says 'train'"),
        ("bone", "2 concepts say 'bone'"),
        ("a", "3 concepts say 'a'"),
    ],
)
def test_a_concept_that_is_not_there_is_refused(concept: int | str, message: str) -> None:
    with pytest.raises(GroundingError, match=message) as caught:
        _concepts().find(concept)
    assert isinstance(concept, int) or "0: dog, bone" in str(caught.value)


def test_learning_from_a_store(tmp_path: Path) -> None:
    states = {0: _random(30, 4), 2: _random(30, 4, seed=1)}
    store = build_store(tmp_path / "s", states, shards=2)
    found = learn(store, KMeans(k=3, seed=5), layer=2)
    assert found.vectors.equal(KMeans(k=3, seed=5).fit(states[2]).vectors)
    assert (found.site.layer, found.k, found.d, sum(found.sizes)) == (2, 3, 4, 30)
    assert found.learner["seed"] == 5
    assert found.provenance["rows"] == 30
    assert found.provenance["store"] == store.fingerprint
    with pytest.raises(SiteError, match=r"layers \[0, 2\]"):
        learn(store, KMeans(k=3))
    with pytest.raises(LearnError, match="no rows"):
        learn(store.where(lambda row: False), KMeans(k=3), layer=2)


def test_files_give_back_every_field(tmp_path: Path) -> None:
    concepts = _concepts()
    concepts.save(tmp_path / "folder" / "c.v2")
    assert sorted(p.name for p in (tmp_path / "folder").iterdir()) == [
        "c.v2.json",
        "c.v2.safetensors",
    ]
    found = Concepts.load(tmp_path / "folder" / "c.v2")
    assert found.vectors.equal(concepts.vectors)
    fields = "kind site sizes learner provenance words contrastive images".split()
    assert all(getattr(found, name) == getattr(concepts, name) for name in fields)


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(bytes(data))


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


@pytest.mark.parametrize(
    ("damage", "ending"),
    [
        (_flip, ".safetensors"),
        (_cut, ".safetensors"),
        (Path.unlink, ".safetensors"),
        (_cut, ".json"),
        (Path.unlink, ".json"),
        (lambda path: path.write_text("[]"), ".json"),
    ],
    ids=["flipped", "cut", "no tensors", "cut json", "no json", "other json"],
)
def test_a_damaged_file_is_refused(
    tmp_path: Path, damage: Callable[[Path], object], ending: str
) -> None:
    _concepts().save(tmp_path / "c")
    damage(tmp_path / f"c{ending}")
    with pytest.raises(StoreError):
        Concepts.load(tmp_path / "c")


def test_two_halves_of_different_results_are_refused(tmp_path: Path) -> None:
    _concepts().save(tmp_path / "a")
    _concepts(vectors=_random(3, 8, seed=1)).save(tmp_path / "b")
    (tmp_path / "a.safetensors").replace(tmp_path / "b.safetensors")
    with pytest.raises(StoreError, match="not the one that"):
        Concepts.load(tmp_path / "b")


def test_concepts_are_no_steering_vector(tmp_path: Path) -> None:
    _concepts().save(tmp_path / "c")
    with pytest.raises(StoreError, match="holds 'concepts' of schema 2") as caught:
        SteeringVector.load(tmp_path / "c")
    assert "'steering vector' of schema 1" in str(caught.value)


def test_agreement_with_a_known_factor() -> None:
    factor = ["beach", "snow", "street"] * 40
    perfect = torch.tensor([2, 0, 1] * 40)
    assert agreement(perfect, factor) == pytest.approx(1.0)
    chance = torch.randint(20, (120,), generator=torch.Generator().manual_seed(0))
    assert abs(agreement(chance, factor)) < 0.1, "many concepts win nothing by chance"
    with pytest.raises(LearnError, match="120 rows with 3 values"):
        agreement(perfect, factor[:3])


def test_explained_variance() -> None:
    states = torch.cat([_random(40, 8) * 0.1 + 3, _random(40, 8, seed=1) * 0.1 - 3])
    fields = {"sizes": (40, 40), "words": (), "contrastive": (), "images": ()}
    good = _concepts(vectors=torch.stack([states[:40].mean(0), states[40:].mean(0)]), **fields)
    none = _concepts(vectors=states.mean(dim=0).expand(2, -1).clone(), **fields)
    assert explained(good, states) > 0.99
    assert explained(none, states) == pytest.approx(0.0, abs=1e-5)
