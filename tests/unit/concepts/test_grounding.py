"""Words and pictures of concepts: read through the model's own norm and head."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.builders import WORDS, build_store
from torch import nn

from shiftlens.activations.site import Site
from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.grounding.ground import ground
from shiftlens.concepts.grounding.images import top_images
from shiftlens.concepts.grounding.words import (
    contrast,
    direction_scores,
    state_scores,
    top_words,
    word_tokens,
)
from shiftlens.core.errors import GroundingError, MismatchError
from shiftlens.data.sample import Sample
from shiftlens.models.generation import forward
from shiftlens.models.hooks import record
from shiftlens.models.model import Model
from shiftlens.models.prompts import encode
from shiftlens.models.readout import Readout


@pytest.fixture
def lopsided(tiny: Model) -> Readout:
    """The readout of ``tiny`` with a norm that weighs its axes very differently."""
    norm = nn.RMSNorm(32)
    with torch.no_grad():
        norm.weight.copy_(torch.logspace(-2, 2, 32))
    ours = tiny.readout
    return Readout(norm, ours.head, ours.tokenizer, ours.enter)


def _random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _concepts(vectors: torch.Tensor, kind: str = "centroid", layer: int = 0) -> Concepts:
    return Concepts(vectors, kind, Site(layer), (1,) * len(vectors))


def test_the_words_of_a_state_are_what_the_model_would_say(
    tiny: Model, questions: list[Sample]
) -> None:
    inputs = encode(tiny, questions)
    with record(tiny, [-1]) as seen:
        output = forward(tiny, inputs)
    states = next(iter(seen.states.values()))[0][:, -1]
    scores = state_scores(tiny.readout, states)
    expected = torch.log_softmax(output.logits[:, -1].float(), dim=-1)
    torch.testing.assert_close(scores, expected, atol=1e-4, rtol=1e-4)


def test_the_final_norm_is_applied(lopsided: Readout) -> None:
    states = _random(3, 32)
    scores = state_scores(lopsided, states)
    assert lopsided.norm is not None
    torch.testing.assert_close(scores.exp().sum(dim=1), torch.ones(3))
    with torch.no_grad():
        by_hand = lopsided.head(lopsided.norm(states))
    torch.testing.assert_close(scores, torch.log_softmax(by_hand, dim=-1))


def test_twin_without_the_norm_the_words_are_others(lopsided: Readout) -> None:
    states = _random(3, 32)
    bare = Readout(None, lopsided.head, lopsided.tokenizer, lopsided.enter)
    words = [top_words(one, state_scores(one, states), n=5) for one in (lopsided, bare)]
    assert words[0] != words[1]


def test_a_direction_is_read_around_the_mean(lopsided: Readout) -> None:
    directions, mean = _random(2, 32), _random(32, seed=1) * 10
    scores = direction_scores(lopsided, directions, mean)
    expected = lopsided.logits(mean + directions) - lopsided.logits(mean[None])
    torch.testing.assert_close(scores, expected)
    # Twin: read as if it were a state, it says something else.
    alone = top_words(lopsided, state_scores(lopsided, directions), n=5)
    assert top_words(lopsided, scores, n=5) != alone


def test_nothing_added_raises_nothing(lopsided: Readout) -> None:
    mean = _random(32)
    scores = direction_scores(lopsided, torch.zeros(2, 32), mean)
    # Two rows and one row may be multiplied in another order: a rounding of the logits, no more.
    assert float(scores.abs().max()) < 1e-5 * float(lopsided.logits(mean[None]).abs().max())


def test_contrast_takes_off_what_all_concepts_say(tiny: Model) -> None:
    common = 100.0 * torch.nn.functional.one_hot(torch.tensor(10), len(tiny.tokenizer))
    own = torch.zeros(3, len(tiny.tokenizer))
    for row, token in enumerate((30, 31, 32)):
        own[row, token] = 5.0
    scores = own + common
    plain = top_words(tiny.readout, scores, n=2)
    apart = top_words(tiny.readout, contrast(scores), n=1)
    names = tiny.tokenizer.convert_ids_to_tokens([30, 31, 32])
    assert apart == tuple((name,) for name in names)
    assert contrast(scores).mean(dim=0).abs().max() < 1e-4
    assert plain != apart


def test_words_are_real_words_in_order_without_stop_words(tiny: Model) -> None:
    scores = _random(2, len(tiny.tokenizer))
    lists = top_words(tiny.readout, scores, n=8, stop_words={"the", "a"})
    ids = tiny.tokenizer.convert_tokens_to_ids
    for row, words in enumerate(lists):
        assert len(words) == len(set(words)) == 8
        assert not {"the", "a"} & set(words)
        assert set(words) <= {word for word in WORDS if word.isalpha()}
        values = [float(scores[row, ids(word)]) for word in words]
        assert values == sorted(values, reverse=True)
    best = top_words(tiny.readout, scores, n=1)
    eligible = [word for word in WORDS if word.isalpha()]
    for row, (word,) in enumerate(best):
        assert word == max(eligible, key=lambda one: float(scores[row, ids(one)]))


def test_no_mark_and_no_special_token_is_a_word(tiny: Model) -> None:
    words = set(word_tokens(tiny.tokenizer).values())
    assert words == {word for word in WORDS if word.isalpha()}


@pytest.mark.parametrize("n", [0, -1])
def test_no_words_at_all_is_refused(tiny: Model, n: int) -> None:
    with pytest.raises(GroundingError, match=f"cannot list {n} words"):
        top_words(tiny.readout, torch.zeros(1, len(tiny.tokenizer)), n=n)


def test_images_are_the_nearest_rows_of_the_concept_and_none_twice(tmp_path: Path) -> None:
    acts = torch.tensor([[0.0], [0.1], [0.2], [0.3], [9.0], [9.5], [4.0]])
    images = ["a.png", "a.png", "b.png", "c.png", "d.png", "e.png", "f.png"]
    store = build_store(tmp_path / "s", acts, images=images)
    concepts = _concepts(torch.tensor([[0.0], [9.0]]))
    assert top_images(concepts, store, n=3) == (("s0", "s2", "s3"), ("s4", "s5"))
    assert top_images(concepts, store, n=1) == (("s0",), ("s4",))


def test_images_of_a_direction_have_the_largest_codes(tmp_path: Path) -> None:
    acts = torch.tensor([[1.0, 0.0], [3.0, 0.0], [0.0, 2.0]])
    store = build_store(tmp_path / "s", acts)
    found = top_images(_concepts(torch.eye(2), "direction"), store, n=2)
    assert found == (("s1", "s0"), ("s2",)), "a row that a concept is not active on is no image"


@pytest.mark.parametrize("kind", ["centroid", "direction"])
def test_ground_gives_words_and_images(tiny: Model, tmp_path: Path, kind: str) -> None:
    store = build_store(tmp_path / "s", _random(20, 32))
    options: dict[str, Any] = {"n_words": 4, "n_images": 2, "stop_words": ("the",)}
    found = ground(_concepts(_random(3, 32, seed=1), kind), store, tiny.readout, **options)
    assert [len(words) for words in found.words] == [4] * 3
    assert [len(words) for words in found.contrastive] == [4] * 3
    assert all(len(ids) <= 2 for ids in found.images)
    assert found.words != found.contrastive


def test_concepts_of_another_layer_are_refused(tiny: Model, tmp_path: Path) -> None:
    store = build_store(tmp_path / "s", _random(20, 32))
    with pytest.raises(MismatchError, match=r"layer 3, the store holds \[0\]"):
        ground(_concepts(_random(3, 32), layer=3), store, tiny.readout)
