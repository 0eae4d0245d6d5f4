"""``ground`` on stores in shards: the same as by hand, in parts that fit memory, or an error."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.builders import WORDS, build_store
from tests.theorems.whole_word_tokenizers import tokenizer_of
from torch import Tensor, nn

from shiftlens.activations.site import Site
from shiftlens.activations.store import ActivationStore
from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.grounding.ground import ground
from shiftlens.concepts.grounding.whole_words import Lexicon
from shiftlens.concepts.grounding.words import (
    contrast,
    direction_scores,
    reading,
    state_scores,
    top_words,
)
from shiftlens.core.errors import DataError, GroundingError, MismatchError
from shiftlens.models.model import Model
from shiftlens.models.readout import Readout

D = 32
SAID = tuple(f"a {one} on the beach ." for one in ("dog", "cat", "bus", "surfer", "skier")) * 12


def random(*shape: int, seed: int = 0) -> Tensor:
    """Normal numbers."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def readout(tiny: Model) -> Readout:
    """The words of ``tiny``, a norm that weighs its axes, a head that favours nothing."""
    norm, head = nn.RMSNorm(D), nn.Linear(D, len(tiny.tokenizer), bias=False)
    with torch.no_grad():
        norm.weight.copy_(torch.logspace(-1, 1, D))
        head.weight.copy_(random(len(tiny.tokenizer), D, seed=9))
    return Readout(norm, head, tiny.tokenizer, nullcontext)


@pytest.fixture
def store(tmp_path: Path) -> ActivationStore:
    """Sixty rows in four shards, around a mean that is far from zero."""
    return build_store(tmp_path / "store", random(60, D) + 3, responses=SAID, shards=4)


def concepts_of(store: ActivationStore, kind: str = "centroid", k: int = 5) -> Concepts:
    """Random vectors at the store's site."""
    return Concepts(random(k, D, seed=1) * 2, kind, store.site_at(), (1,) * k)


def test_words_of_centroids_are_those_by_hand(store: ActivationStore, readout: Readout) -> None:
    concepts = concepts_of(store)
    found = ground(concepts, store, readout, n_words=6)
    scores = state_scores(readout, concepts.vectors)
    assert found.words == top_words(readout, scores, n=6)
    assert found.contrastive == top_words(readout, contrast(scores), n=6)
    assert found.decoded_with == readout.fingerprint
    assert torch.equal(found.vectors, concepts.vectors)
    assert concepts.words == ()


def test_words_of_directions_are_read_around_the_mean_state(
    store: ActivationStore, readout: Readout
) -> None:
    concepts = concepts_of(store, "direction")
    found = ground(concepts, store, readout, n_words=6)
    mean = store.states().double().mean(dim=0).float()
    scores = direction_scores(readout, concepts.vectors, mean)
    assert found.words == top_words(readout, scores, n=6)
    assert found.contrastive == top_words(readout, contrast(scores), n=6)
    # Twin: around nothing they would be others.
    alone = direction_scores(readout, concepts.vectors, torch.zeros(D))
    assert top_words(readout, alone, n=6) != found.words


@pytest.mark.parametrize("kind", ["centroid", "direction"])
def test_contrast_against_the_samples(store: ActivationStore, readout: Readout, kind: str) -> None:
    concepts = concepts_of(store, kind)
    found = ground(concepts, store, readout, n_words=6, against="samples")
    acts = store.states()
    usual = state_scores(readout, acts).double().mean(dim=0).float()
    shown = concepts.vectors if kind == "centroid" else acts.mean(dim=0) + concepts.vectors
    expected = top_words(readout, state_scores(readout, shown) - usual, n=6)
    assert found.contrastive == expected
    assert found.contrastive != ground(concepts, store, readout, n_words=6).contrastive


@pytest.mark.parametrize("kind", ["centroid", "direction"])
@pytest.mark.parametrize("against", ["concepts", "samples"])
def test_many_concepts_are_read_in_parts(
    store: ActivationStore,
    readout: Readout,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    against: Any,
) -> None:
    """Scores of k concepts over v tokens are never held at once, nor the states of a store."""
    concepts = concepts_of(store, kind, k=30)
    options: dict[str, Any] = {"n_words": 5, "n_images": 3, "against": against}
    expected = ground(concepts, store, readout, **options)
    most, v = 4, len(readout.tokenizer)
    seen: list[int] = []

    def whole(*_: Any, **__: Any) -> Tensor:
        raise AssertionError("the store was read whole")

    handle = readout.head.register_forward_hook(lambda _m, _i, out: seen.append(len(out)))
    monkeypatch.setattr("shiftlens.concepts.grounding.words._VALUES", most * v)
    monkeypatch.setattr(ActivationStore, "states", whole)
    found = ground(concepts, store, readout, **options)
    handle.remove()
    assert max(seen) <= most
    assert found.words == expected.words
    assert found.contrastive == expected.contrastive
    assert found.neighbours == expected.neighbours
    assert found.images == expected.images


def test_a_single_concept_has_no_others_to_be_told_from(
    store: ActivationStore, readout: Readout
) -> None:
    found = ground(concepts_of(store, k=1), store, readout)
    assert found.contrastive == ((),)
    assert found.words[0]
    told = ground(concepts_of(store, k=1), store, readout, against="samples")
    assert told.contrastive[0]


def test_words_of_normed_states_are_normed_once(tmp_path: Path, readout: Readout) -> None:
    assert readout.norm is not None
    acts = random(60, D) + 3
    site = Site(0, normed=True)
    store = build_store(tmp_path / "s", acts, responses=SAID)
    normed = readout.norm(acts).detach()
    vectors = normed[:4].clone()
    concepts = Concepts(vectors, "centroid", site, (1,) * 4)
    found = ground(concepts, store, readout, n_words=6)
    assert found.words == top_words(readout, state_scores(readout, acts[:4]), n=6)
    assert found.decoded_with == reading(readout, site).fingerprint != readout.fingerprint


def test_options_reach_every_list(store: ActivationStore, readout: Readout) -> None:
    concepts = concepts_of(store)
    asked = ["dog", "cat", "bus", "surfer"]
    found = ground(concepts, store, readout, words=asked, stop_words=["Cat"])
    for words in (*found.words, *found.contrastive):
        assert set(words) == {"dog", "bus", "surfer"}
    assert all("cat" not in words for words in found.neighbours)
    assert {one for words in found.neighbours for one in words} <= {"dog", "bus", "surfer", "skier"}
    plain = ground(concepts, store, readout, n_words=40, stop_words="en")
    assert not {"the", "a", "is", "on"} & {one for words in plain.words for one in words}
    assert set(plain.words[0]) < set(WORDS)


def test_neighbours_are_left_out_on_request_and_where_words_are_rare(
    store: ActivationStore, readout: Readout, tmp_path: Path
) -> None:
    acts = store.states().clone()
    dogs = torch.tensor(["dog" in row.response for row in store.rows])
    acts[dogs] += 5 * concepts_of(store).vectors[0]
    told = build_store(tmp_path / "told", acts, responses=SAID)
    assert ground(concepts_of(told), told, readout).neighbours[0][:1] == ("dog",)
    assert ground(concepts_of(store), store, readout, neighbours=False).neighbours == ()
    silent = build_store(tmp_path / "silent", random(20, D))
    assert ground(concepts_of(silent), silent, readout).neighbours == ((),) * 5


def test_the_texts_that_tell_pieces_are_the_stores_own_or_those_given(tmp_path: Path) -> None:
    tokenizer = tokenizer_of("wordpiece")
    head = nn.Linear(D, len(tokenizer), bias=False)
    with torch.no_grad():
        head.weight.copy_(random(len(tokenizer), D, seed=9))
    readout = Readout(None, head, tokenizer, nullcontext)
    place = tokenizer.convert_tokens_to_ids("соба")
    vectors = 30 * head.weight[place : place + 1].detach().clone()
    said = ["собака собака собачка ."] * 6
    store = build_store(tmp_path / "s", random(6, D), responses=said)
    concepts = Concepts(vectors, "centroid", store.site_at(), (6,))
    assert ground(concepts, store, readout, n_words=1).words == (("собака",),)
    other = Lexicon.of(["собачка собачка собака ."])
    assert ground(concepts, store, readout, n_words=1, lexicon=other).words == (("собачка",),)


def test_no_images_on_request(store: ActivationStore, readout: Readout) -> None:
    assert ground(concepts_of(store), store, readout, n_images=0).images == ((),) * 5


def test_grounded_concepts_are_kept_whole(
    store: ActivationStore, readout: Readout, tmp_path: Path
) -> None:
    found = ground(concepts_of(store), store, readout, n_words=4)
    found.save(tmp_path / "kept")
    again = Concepts.load(tmp_path / "kept")
    for name in ("words", "contrastive", "neighbours", "images", "decoded_with"):
        assert getattr(again, name) == getattr(found, name)
    again.require_same_readout(readout.fingerprint)
    with pytest.raises(MismatchError, match="another final norm and unembedding"):
        again.require_same_readout("else")


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"n_words": 0}, "cannot list 0 words"),
        ({"n_images": -1}, "and -1 images"),
        ({"against": "baseline"}, "apart from 'baseline'"),
        ({"words": []}, "list nothing"),
        ({"words": ["zebra"]}, "begins 'zebra'"),
        ({"stop_words": WORDS}, "the stop words leave none"),
    ],
)
def test_options_that_make_no_sense(
    store: ActivationStore, readout: Readout, options: dict[str, Any], match: str
) -> None:
    with pytest.raises(GroundingError, match=match):
        ground(concepts_of(store), store, readout, **options)


def test_languages_without_stop_words_are_named(store: ActivationStore, readout: Readout) -> None:
    with pytest.raises(DataError, match="no stop words for 'tlh'"):
        ground(concepts_of(store), store, readout, stop_words="tlh")


def test_concepts_and_stores_that_do_not_belong_together(
    store: ActivationStore, readout: Readout, tmp_path: Path
) -> None:
    narrow = Concepts(torch.ones(2, D - 1), "centroid", store.site_at(), (1, 1))
    with pytest.raises(MismatchError, match="width 31, a store of width 32"):
        ground(narrow, store, readout)
    elsewhere = Concepts(torch.ones(2, D), "centroid", Site(3), (1, 1))
    with pytest.raises(MismatchError, match="layer 3, the store holds"):
        ground(elsewhere, store, readout)
    broken = concepts_of(store)
    vectors = broken.vectors.clone()
    vectors[1, 1] = float("nan")
    with pytest.raises(GroundingError, match="not finite"):
        ground(Concepts(vectors, "centroid", broken.site, broken.sizes), store, readout)
