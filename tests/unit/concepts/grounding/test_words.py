"""Words through the head: what is normed, scaled and capped, which words are listed, and how fast
nothing: lists equal those of a full sort."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from tests.theorems.whole_word_tokenizers import tokenizer_of
from torch import Tensor, nn

from shiftlens.activations.site import Site
from shiftlens.concepts.grounding import words as module
from shiftlens.concepts.grounding.whole_words import Lexicon
from shiftlens.concepts.grounding.words import (
    Choice,
    contrast,
    direction_scores,
    in_parts,
    random_words,
    reading,
    state_scores,
    top_words,
    word_tokens,
    words_of,
)
from shiftlens.core.errors import DataError, GroundingError
from shiftlens.models.readout import Readout

D = 8


def random(*shape: int, seed: int = 0) -> Tensor:
    """Normal numbers."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def whole(*words: str) -> Any:
    """A tokenizer of one token a word."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    index = {one: number for number, one in enumerate(("<unk>", *words))}
    tokenizer = Tokenizer(models.WordLevel(index, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")


def readout_of(tokenizer: Any, *, norm: bool = True, **options: Any) -> Readout:
    """A head of random weights; the norm weighs its axes very differently."""
    final, head = nn.RMSNorm(D), nn.Linear(D, len(tokenizer), bias=False)
    with torch.no_grad():
        final.weight.copy_(torch.logspace(-1, 1, D))
        head.weight.copy_(random(len(tokenizer), D, seed=5) * 3)
    return Readout(final if norm else None, head, tokenizer, nullcontext, **options)


WORDS = ("dog", "cat", "snow", "beach", "street", "man", "woman", "red", "blue", "skier")


@pytest.fixture
def plain() -> Readout:
    """A head over ten whole words."""
    return readout_of(whole(*WORDS))


def spread(readout: Readout, **scores: float) -> Tensor:
    """One row of scores: of some tokens by what they say, and far less for all others."""
    row = torch.full((1, len(readout.tokenizer)), -50.0)
    for word, score in scores.items():
        row[0, readout.tokenizer.convert_tokens_to_ids(word)] = score
    return row


# The head.


def test_scale_and_soft_cap_are_those_of_the_model(plain: Readout) -> None:
    states = random(4, D)
    assert plain.norm is not None
    logits = plain.head(plain.norm(states)).detach()
    scaled = readout_of(plain.tokenizer, scale=0.25)
    torch.testing.assert_close(state_scores(scaled, states), (logits * 0.25).log_softmax(dim=1))
    capped = readout_of(plain.tokenizer, soft_cap=2.0)
    expected = (2 * torch.tanh(logits / 2)).log_softmax(dim=1)
    torch.testing.assert_close(state_scores(capped, states), expected)
    mean = random(D, seed=3)
    rise = direction_scores(scaled, states, mean)
    torch.testing.assert_close(rise, direction_scores(plain, states, mean) / 4)


def test_a_cap_keeps_the_order_of_plain_words_and_not_of_risen_ones(plain: Readout) -> None:
    states, mean = random(6, D), random(D, seed=3)
    capped = readout_of(plain.tokenizer, soft_cap=20.0)
    plainly = [top_words(one, state_scores(one, states), n=3) for one in (plain, capped)]
    assert plainly[0] == plainly[1]
    risen = [top_words(one, direction_scores(one, states, mean), n=3) for one in (plain, capped)]
    assert risen[0] != risen[1]
    apart = [top_words(one, contrast(state_scores(one, states)), n=3) for one in (plain, capped)]
    assert apart[0] != apart[1]


def test_states_behind_the_norm_are_not_normed_twice(plain: Readout) -> None:
    states = random(5, D)
    assert plain.norm is not None
    normed = plain.norm(states).detach()
    read = reading(plain, Site(-1, normed=True))
    assert read.norm is None
    torch.testing.assert_close(state_scores(read, normed), state_scores(plain, states))
    assert reading(plain, Site(-1)) is plain
    # Twin: normed twice they say something else.
    assert not torch.allclose(state_scores(plain, normed), state_scores(plain, states), atol=0.1)


def test_the_words_of_a_vocabulary_are_found_once(
    plain: Readout, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []
    original = module.vocabulary_of
    monkeypatch.setattr(module, "vocabulary_of", lambda one: made.append(one) or original(one))
    for _ in range(3):
        top_words(plain, random(2, len(plain.tokenizer)), n=2)
    assert words_of(reading(plain, Site(-1, normed=True))) is words_of(plain)
    assert made == [plain.tokenizer]


# Which words.


@pytest.mark.parametrize("n", [1, 3, 10, 99])
def test_lists_are_those_of_a_full_sort(plain: Readout, n: int) -> None:
    scores = random(5, len(plain.tokenizer), seed=2)
    named = word_tokens(plain.tokenizer)
    for row, words in zip(scores, top_words(plain, scores, n=n), strict=True):
        order = [named[one] for one in row.argsort(descending=True).tolist() if one in named]
        assert list(words) == order[:n]


def test_spellings_of_one_word_are_one_word() -> None:
    spelled = ("dog", "Dog", "dOg", "doG", "DOg", "DoG", "dOG", "DOG")
    readout = readout_of(whole(*spelled, "cat"))
    scores = torch.arange(10.0, 0.0, -1.0)[None]
    # Twice as many spellings as are looked at first: the second word is found all the same.
    assert top_words(readout, scores, n=2) == (("dog", "cat"),)


def test_stop_words_in_any_spelling_and_by_language(plain: Readout) -> None:
    scores = spread(plain, dog=3.0, cat=2.0, snow=1.0)
    assert top_words(plain, scores, n=2, stop_words=("DOG",)) == (("cat", "snow"),)
    tokenizer = whole("the", "dog", "der", "hund", "über")
    readout = readout_of(tokenizer)
    scores = torch.arange(6.0, 0.0, -1.0)[None]
    assert top_words(readout, scores, n=5, stop_words="en") == (("dog", "der", "hund", "über"),)
    assert top_words(readout, scores, n=5, stop_words="en, de") == (("dog", "hund"),)
    assert top_words(readout, scores, n=5, stop_words="") == top_words(readout, scores, n=5)
    with pytest.raises(DataError, match="no stop words for 'xx'"):
        top_words(readout, scores, stop_words="xx")


def test_only_the_words_that_are_asked_for(plain: Readout) -> None:
    scores = spread(plain, dog=3.0, cat=2.0, snow=1.0)
    assert top_words(plain, scores, n=2, words=["Snow", "cat", "beach"]) == (("cat", "Snow"),)
    assert top_words(plain, scores, words=["cat", "snow"], stop_words=["cat"]) == (("snow",),)


def test_words_that_begin_with_one_token_are_one_entry() -> None:
    """A head reads one token from a state: nothing in it tells "surfer" from "surfboard"."""
    readout = readout_of(tokenizer_of("unigram"))
    known = words_of(readout)
    first, second = known.first_tokens(["surfer", "surfboard"])
    assert first == second
    assert first is not None
    scores = torch.zeros(1, len(readout.tokenizer))
    scores[0, first] = 5.0
    asked = ["surfboard", "כלב", "surfer"]
    assert top_words(readout, scores, n=1, words=asked) == (("surfboard/surfer",),)
    # Twin: the sum over a word's tokens would call the longer word less likely, from this state.
    ids = [readout.tokenizer.encode(f" {one}", add_special_tokens=False) for one in asked]
    assert scores.log_softmax(1)[0, ids[0]].sum() != scores.log_softmax(1)[0, ids[2]].sum()


def test_every_spelling_of_an_entry_counts() -> None:
    readout = readout_of(whole("surf", "Surf", "dog"))
    scores = torch.tensor([[0.0, 1.0, 9.0, 5.0]])
    assert top_words(readout, scores, n=2, words=["surf", "dog"]) == (("surf", "dog"),)


def test_texts_complete_pieces(plain: Readout) -> None:
    readout = readout_of(tokenizer_of("wordpiece"))
    number = words_of(readout).first_tokens(["собака"])[0]
    scores = torch.zeros(1, len(readout.tokenizer))
    scores[0, number] = 5.0
    assert top_words(readout, scores, n=1) == (("соба",),)
    lexicon = Lexicon.of(["собака собака собачка ."])
    assert top_words(readout, scores, n=1, lexicon=lexicon) == (("собака",),)
    assert top_words(plain, spread(plain, dog=1.0), n=1, lexicon=lexicon) == (("dog",),)


def test_a_head_narrower_than_its_tokenizer_is_read_as_far_as_it_goes(plain: Readout) -> None:
    scores = random(2, len(plain.tokenizer))
    narrow = top_words(plain, scores[:, :4], n=9)
    assert all(set(words) == {"dog", "cat", "snow"} for words in narrow)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"n": 0}, "cannot list 0 words"),
        ({"stop_words": WORDS}, "the stop words leave none of 10 words"),
        ({"words": []}, "list nothing"),
        ({"words": "dog"}, "list nothing"),
        ({"words": ["dog", " "]}, "list nothing"),
        ({"words": ["dog", "zebra"]}, "begins 'zebra'"),
        ({"words": [f"zebra{one}" for one in "abcdefgh"]}, "and 3 more"),
    ],
)
def test_lists_that_cannot_be(plain: Readout, options: dict[str, Any], match: str) -> None:
    with pytest.raises(GroundingError, match=match):
        top_words(plain, torch.zeros(1, len(plain.tokenizer)), **options)


def test_a_vocabulary_without_words_is_named() -> None:
    with pytest.raises(GroundingError, match="no token of this vocabulary can stand as a word"):
        top_words(readout_of(whole("1", "2", ".")), torch.zeros(1, 4))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_scores_that_are_no_numbers_are_named(plain: Readout, value: float) -> None:
    scores = torch.zeros(2, len(plain.tokenizer))
    scores[1, 3] = value
    with pytest.raises(GroundingError, match="not finite"):
        top_words(plain, scores)


# Contrast, parts, chance.


def test_contrast_against_something_else_than_these(plain: Readout) -> None:
    scores, usual = random(3, len(plain.tokenizer)), random(len(plain.tokenizer), seed=4)
    torch.testing.assert_close(contrast(scores, usual), scores - usual)
    torch.testing.assert_close(contrast(scores), scores - scores.mean(dim=0))


def test_parts_are_small_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_VALUES", 100)
    vectors = random(23, D)
    parts = list(in_parts(vectors, 30))
    assert all(len(part) * 30 <= 100 for part in parts)
    assert torch.equal(torch.cat(parts), vectors)
    assert [len(part) for part in in_parts(vectors, 1000)] == [1] * 23


def _logits_seen(readout: Readout) -> tuple[Readout, list[int]]:
    seen: list[int] = []
    readout.head.register_forward_hook(lambda _m, _i, output: seen.append(output.numel()))
    return readout, seen


def test_words_of_random_directions(plain: Readout, monkeypatch: pytest.MonkeyPatch) -> None:
    mean = random(D, seed=3)
    found = random_words(plain, 6, 3, mean=mean, norm=2.0)
    assert [len(words) for words in found] == [3] * 6
    assert random_words(plain, 6, 3, mean=mean, norm=2.0) == found
    assert random_words(plain, 6, 3, mean=mean, norm=2.0, seed=1) != found
    assert random_words(plain, 6, 3, mean=mean) == random_words(
        plain, 6, 3, mean=mean, norm=float(mean.norm())
    )
    readout, seen = _logits_seen(plain)
    monkeypatch.setattr(module, "_VALUES", 30)
    assert random_words(readout, 6, 3, mean=mean, norm=2.0) == found
    assert max(seen) <= 30


def test_random_words_are_those_of_directions_of_that_length(plain: Readout) -> None:
    mean = random(D, seed=3)
    noise = torch.randn(4, D, generator=torch.Generator().manual_seed(7))
    directions = 2.5 * noise / noise.norm(dim=1, keepdim=True)
    expected = top_words(plain, direction_scores(plain, directions, mean), n=3)
    assert random_words(plain, 4, 3, mean=mean, norm=2.5, seed=7) == expected


@pytest.mark.parametrize(
    ("k", "n", "norm", "match"),
    [
        (0, 3, 1.0, "draw 0"),
        (3, 0, 1.0, "list 0 words"),
        (3, 3, 0.0, "length 0.0"),
        (3, 3, float("nan"), "length nan"),
    ],
)
def test_random_words_that_cannot_be(
    plain: Readout, k: int, n: int, norm: float, match: str
) -> None:
    with pytest.raises(GroundingError, match=match):
        random_words(plain, k, n, mean=random(D), norm=norm)


def test_a_choice_names_tokens_by_number(plain: Readout) -> None:
    choice = Choice.of(plain)
    names: Callable[[Sequence[int]], list[str]] = plain.tokenizer.convert_ids_to_tokens
    assert list(choice.words) == names(choice.ids.tolist())
