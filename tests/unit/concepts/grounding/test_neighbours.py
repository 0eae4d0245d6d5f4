"""Words by neighbouring states: planted words are found, chance finds none, shards are alike."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.builders import build_store
from torch import Tensor

from shiftlens.activations import tokens
from shiftlens.activations.harvesting import harvest
from shiftlens.activations.site import Site
from shiftlens.activations.store import ActivationStore
from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.grounding import neighbours as module
from shiftlens.concepts.grounding.neighbours import (
    neighbour_words,
    neighbours_of,
    word_states,
)
from shiftlens.concepts.grounding.said import said_in
from shiftlens.core.errors import DataError, GroundingError, MismatchError
from shiftlens.data.sample import Sample, Samples
from shiftlens.models.model import Model

PLACES = ("beach", "snow", "street", "park")
D = 24


def planted(
    path: Path, n: int = 120, *, shards: int = 3, rows: Sequence[str] = PLACES
) -> tuple[ActivationStore, Concepts]:
    """States around one centre a place, whose responses name the place; all share a large mean."""
    random = torch.Generator().manual_seed(0)
    centres = 4 * torch.randn(len(rows), D, generator=random)
    common = 20 * torch.randn(D, generator=random)
    place = torch.arange(n) % len(rows)
    states = common + centres[place] + torch.randn(n, D, generator=random)
    others = ("red", "blue", "tall", "small", "old")
    said = [f"a {others[at * 7 % 5]} person at the {rows[one]}." for at, one in enumerate(place)]
    store = build_store(path, states, responses=said, shards=shards)
    vectors = torch.stack([states[place == one].mean(dim=0) for one in range(len(rows))])
    return store, Concepts(vectors, "centroid", store.site_at(), (n // len(rows),) * len(rows))


def test_the_nearest_word_of_a_place_is_its_name(tmp_path: Path) -> None:
    store, concepts = planted(tmp_path / "s")
    found = neighbour_words(concepts, store, n=3)
    assert tuple(words[0] for words in found) == PLACES
    # What all say ("person", "a", "at", "the") tells nothing apart, and is not listed.
    assert not {"person", "a", "at", "the"} & {one for words in found for one in words}
    assert neighbour_words(concepts, store, n=1, stop_words=["Snow"])[1] != ("snow",)


def test_directions_are_taken_as_they_are(tmp_path: Path) -> None:
    store, concepts = planted(tmp_path / "s")
    mean = store.states().mean(dim=0)
    turned = Concepts(concepts.vectors - mean, "direction", concepts.site, concepts.sizes)
    assert neighbour_words(turned, store, n=2) == neighbour_words(concepts, store, n=2)


def test_twin_uncentred_every_word_is_as_near(tmp_path: Path) -> None:
    store, concepts = planted(tmp_path / "s")
    states = word_states(store)
    raw = torch.nn.functional.cosine_similarity(concepts.vectors[:, None], states.means, dim=2)
    assert float(raw.min()) > 0.9


def test_words_of_a_place_stand_out_from_chance(tmp_path: Path) -> None:
    store, concepts = planted(tmp_path / "s")
    states = word_states(store)
    found = neighbours_of(concepts, states, n=2)
    assert all(cosines[0] > 0.9 for cosines in found.cosines)
    assert all(beyond[0] > 3 for beyond in found.beyond_chance)
    # Twin: words that were dealt at random lie as near as the dimensions allow, and by chance only.
    dealt = replace(states, means=states.dealt)
    every = neighbours_of(concepts, dealt, beyond=0)
    assert max(one for beyond in every.beyond_chance for one in beyond) < 3
    listed = neighbours_of(concepts, dealt)
    assert sum(map(len, listed.words)) < sum(map(len, every.words)) / 4


def test_means_are_those_of_the_rows_that_say_the_word(tmp_path: Path) -> None:
    store, _ = planted(tmp_path / "s")
    acts, states = store.states(), word_states(store)
    torch.testing.assert_close(states.mean, acts.mean(dim=0), atol=1e-4, rtol=1e-4)
    assert set(states.words) == {*PLACES, "red", "blue", "tall", "small", "old"}
    for word, count, mean in zip(states.words, states.counts, states.means, strict=True):
        said = [word in row.response.replace(".", "").split() for row in store.rows]
        assert count == sum(said)
        torch.testing.assert_close(mean, acts[torch.tensor(said)].mean(dim=0), atol=1e-4, rtol=1e-4)


def test_shards_and_seeds_do_not_matter_to_words(tmp_path: Path) -> None:
    one, concepts = planted(tmp_path / "one", shards=1)
    five, _ = planted(tmp_path / "five", shards=5)
    a, b = word_states(one, seed=0), word_states(five, seed=1)
    assert (a.words, a.counts) == (b.words, b.counts)
    torch.testing.assert_close(a.means, b.means, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(a.dealt, b.dealt)
    assert torch.equal(word_states(five, seed=1).dealt, b.dealt)
    assert neighbour_words(concepts, one, n=5) == neighbour_words(concepts, five, n=5)


def test_rows_of_a_view_keep_their_words(tmp_path: Path) -> None:
    store, concepts = planted(tmp_path / "s")
    view = store.at_rows(list(range(len(store) - 1, -1, -1)))
    assert neighbour_words(concepts, view, n=3) == neighbour_words(concepts, store, n=3)


def test_the_store_is_never_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, concepts = planted(tmp_path / "s")

    def whole(*_: Any, **__: Any) -> Tensor:
        raise AssertionError("read whole")

    monkeypatch.setattr(ActivationStore, "states", whole)
    assert neighbour_words(concepts, store, n=1)[0] == ("beach",)


def test_parts_of_concepts_are_found_as_all_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, concepts = planted(tmp_path / "s")
    states = word_states(store)
    expected = neighbours_of(concepts, states)
    monkeypatch.setattr("shiftlens.concepts.grounding.words._VALUES", 10)
    again = neighbours_of(concepts, states)
    assert again.words == expected.words
    for one, other in zip(again.beyond_chance, expected.beyond_chance, strict=True):
        assert one == pytest.approx(other, rel=1e-4)


def test_several_rows_of_a_sample_count_once(tmp_path: Path) -> None:
    """Ten states of one response are no ten responses."""
    acts = torch.randn(20, 4, generator=torch.Generator().manual_seed(0))
    ids = ["one"] * 10 + ["two"] * 10
    said = ["a dog ."] * 10 + ["a cat ."] * 10
    store = build_store(tmp_path / "s", acts, ids=ids, responses=said)
    assert word_states(store, at_least=2).words == ()
    assert set(word_states(store, at_least=1).words) == {"dog", "cat"}
    assert word_states(store, at_least=1).counts == (1, 1)


@pytest.mark.parametrize("n", [0, -2])
def test_no_words_are_refused(tmp_path: Path, n: int) -> None:
    store, concepts = planted(tmp_path / "s")
    with pytest.raises(GroundingError, match=f"cannot list {n} words"):
        neighbour_words(concepts, store, n=n)
    with pytest.raises(GroundingError, match="words of 0 rows"):
        neighbour_words(concepts, store, at_least=0)


def test_words_that_are_too_rare_are_named(tmp_path: Path) -> None:
    store, concepts = planted(tmp_path / "s", 8)
    with pytest.raises(GroundingError, match="no word is said in 5 of the states"):
        neighbour_words(concepts, store)
    assert neighbour_words(concepts, store, at_least=2)[0][0] == "beach"
    assert neighbours_of(concepts, word_states(store)).words == ((),) * 4


def test_broken_states_and_other_widths_are_named(tmp_path: Path) -> None:
    store, _ = planted(tmp_path / "s")
    narrow = Concepts(torch.ones(1, D - 1), "centroid", store.site_at(), (1,))
    with pytest.raises(MismatchError, match="width 23 beside states of width 24"):
        neighbour_words(narrow, store)
    acts = store.states().clone()
    acts[5, 2] = float("nan")
    broken = build_store(tmp_path / "b", acts, responses=[row.response for row in store.rows])
    with pytest.raises(GroundingError, match="a state of the store is not finite"):
        word_states(broken)


# What rows are about, in stores of a model.

TEXTS = (
    "the man standing on the beach",
    "a dog on the street",
    "the woman and the dog in snow",
    "a surfer running",
)


def _asked(pictures: list[Path]) -> Samples:
    return Samples(
        [
            Sample(f"s{at}", "what is in this picture ?", (str(pictures[at]),), response=text)
            for at, text in enumerate(TEXTS)
        ]
    )


@pytest.mark.parametrize("alignment", ["predict", "read"])
def test_states_of_every_token_are_about_the_word_of_that_token(
    tiny: Model, pictures: list[Path], tmp_path: Path, alignment: Any
) -> None:
    site = Site(1, tokens.response(alignment=alignment))
    store = harvest(tiny, _asked(pictures), site, tmp_path / "s", response="given")
    said = said_in(store, tiny.tokenizer)
    assert list(said.unit) == list(range(len(store)))
    for row, words in zip(store.rows, said.words, strict=True):
        # One token a word: position p emits word p, and has read word p - 1.
        text = row.response.split()
        at = row.position if alignment == "predict" else row.position - 1
        assert words == ({text[at]} if at < len(text) else set()), row


def test_inside_of_words_states_are_about_none(
    byte_model: Model, pictures: list[Path], tmp_path: Path
) -> None:
    """A token a byte: only the state before the first byte of a word emits the word."""
    site = Site(1, tokens.response())
    samples = Samples([Sample("s", "what", (str(pictures[0]),), response="a köpek 개가 dog")])
    store = harvest(byte_model, samples, site, tmp_path / "s", response="given")
    said = said_in(store, byte_model.tokenizer)
    about = {row.position: set(words) for row, words in zip(store.rows, said.words, strict=True)}
    text = store.rows[0].response
    for word in ("a", "köpek", "개가", "dog"):
        at = len(text[: text.index(word)].encode())
        assert {said.spelling[one] for one in about.pop(at)} == {word}
    assert set().union(*about.values()) == set()


def test_without_the_tokenizer_every_token_is_about_its_whole_response(
    tiny: Model, pictures: list[Path], tmp_path: Path
) -> None:
    site = Site(1, tokens.response())
    store = harvest(tiny, _asked(pictures), site, tmp_path / "s", response="given")
    said = said_in(store)
    assert len(said.words) == len(TEXTS)
    assert said.words[0] == {"the", "man", "standing", "on", "beach"}


def test_rows_of_different_words_say_which(
    tiny: Model, pictures: list[Path], tmp_path: Path
) -> None:
    site = Site(1, tokens.word("dog", "woman", "man", every=True))
    store = harvest(tiny, _asked(pictures), site, tmp_path / "s", response="given")
    said = said_in(store)
    assert [set(words) for words in said.words] == [{row.word} for row in store.rows]
    # Twin: where every response has one of them only, they are about the rest of the response.
    some = store.where(lambda row: row.sample_id != "s2")
    assert said_in(some).words[0] > {"man"}


def test_scripts_without_spaces_are_cut_where_tokens_end(
    byte_model: Model, pictures: list[Path], tmp_path: Path
) -> None:
    samples = Samples([Sample("s", "what", (str(pictures[0]),), response="图片 dog")])
    site = Site(1, tokens.last_prompt())
    store = harvest(byte_model, samples, site, tmp_path / "s", response="given")
    assert said_in(store).words == ({"dog"},)
    assert said_in(store, byte_model.tokenizer).words == ({"图", "片", "dog"},)


def test_another_tokenizer_is_named(
    tiny: Model, byte_model: Model, pictures: list[Path], tmp_path: Path
) -> None:
    site = Site(1, tokens.response())
    store = harvest(tiny, _asked(pictures), site, tmp_path / "s", response="given")
    with pytest.raises(DataError, match="the tokens decode to"):
        said_in(store, byte_model.tokenizer)
    assert module.word_states(store, tokenizer=tiny.tokenizer, at_least=2).words
