"""Whole words and pieces, over five kinds of tokenizers and ten scripts.

A token that a tokenizer begins a word of the texts with stands for a word of the texts, or for
nothing: never for a piece. Each theorem has a twin: the same claim about an easier rule is false.
"""

import unicodedata
from collections import Counter
from typing import Any

import pytest
from tests.theorems.whole_word_tokenizers import (
    KINDS,
    SCRIPTS,
    UNSPACED,
    sentences,
    tokenizer_of,
)

from shiftlens.activations.words.folding import fold
from shiftlens.concepts.grounding.whole_words import (
    Lexicon,
    Vocabulary,
    is_word,
    key_of,
    listed,
    vocabulary_of,
)

SPACED = {script: words for script, words in SCRIPTS.items() if script not in UNSPACED}
SAID = {listed(word) for words in SPACED.values() for word in words} | {"공원", "the", "a"}
CUT = ("byte-level", "sentencepiece", "unigram", "wordpiece")


def _begun(known: Vocabulary, label: tuple[str, ...]) -> dict[str, str]:
    """What the first token of every word of the texts is listed as, where it is letters at all."""
    words = [word for some in SPACED.values() for word in some]
    firsts = dict(zip(words, known.first_tokens(words), strict=True))
    places = {word: known.places[one] for word, one in firsts.items() if one in known.places}
    return {word: label[place] for word, place in places.items()}


@pytest.mark.parametrize("kind", CUT)
def test_a_token_that_begins_a_word_stands_for_a_word_or_for_nothing(kind: str) -> None:
    known = vocabulary_of(tokenizer_of(kind))
    found = _begun(known, known.words(Lexicon.of(sentences())))
    assert len(found) >= 6
    assert set(found.values()) <= SAID | {""}
    assert any(found.values())


@pytest.mark.parametrize("kind", ["unigram", "wordpiece"])
def test_twin_without_the_texts_pieces_pass_for_words(kind: str) -> None:
    known = vocabulary_of(tokenizer_of(kind))
    assert not set(_begun(known, known.words()).values()) <= SAID | {""}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("script", SPACED)
def test_a_word_of_one_token_is_listed_as_it_is_written(kind: str, script: str) -> None:
    tokenizer = tokenizer_of(kind)
    known = vocabulary_of(tokenizer)
    labels = dict(zip(known.ids, known.words(Lexicon.of(sentences())), strict=True))
    for word in SPACED[script]:
        ids = tokenizer.encode(f"the {word}", add_special_tokens=False)
        (first,) = known.first_tokens([word])
        alone = tokenizer.decode(ids[-1:]).strip() == word
        if first is not None and alone and first == ids[-1]:
            assert labels[first] in (listed(word), "공원"), (word, labels[first])


def test_every_script_has_words_in_some_kind() -> None:
    found: set[str] = set()
    for kind in KINDS:
        found |= set(vocabulary_of(tokenizer_of(kind)).words(Lexicon.of(sentences())))
    for script, words in SCRIPTS.items():
        assert found & {listed(word) for word in words}, script
    # Twin: ``str.isalpha`` knows no marks, and most words of Hindi have one.
    assert not any(word.isalpha() for word in ("कुत्ता", "सड़क", "क्‍या", "مُتَزَلِّج"))
    assert {"सड़क", "क्\u200dया", "مُتَزَلِّج"} <= {unicodedata.normalize("NFC", one) for one in found}


@pytest.mark.parametrize("kind", CUT)
def test_nothing_that_continues_a_word_is_listed(kind: str) -> None:
    tokenizer = tokenizer_of(kind)
    known = vocabulary_of(tokenizer)
    assert known.continues
    inside: set[int] = set()
    for word in (one for words in SPACED.values() for one in words):
        ids = tokenizer.encode(f"the {word}", add_special_tokens=False)
        first = known.first_tokens([word])[0]
        if first in known.places:
            inside |= set(ids[ids.index(first) + 1 :])
    assert inside
    assert not inside & set(known.ids)
    # Twin: the letters alone do not tell what continues.
    assert any(is_word(tokenizer.decode([one]).strip().removeprefix("##")) for one in inside)


def test_no_token_is_a_piece_where_none_continues() -> None:
    known = vocabulary_of(tokenizer_of("whole"))
    assert not known.continues
    assert "a" in known.alone  # one letter, and a word all the same
    assert known.words(Lexicon.of(["nothing of this vocabulary is said ."])) == known.alone


@pytest.mark.parametrize("kind", CUT)
def test_special_tokens_and_single_bytes_are_no_words(kind: str) -> None:
    tokenizer = tokenizer_of(kind)
    known = vocabulary_of(tokenizer)
    assert not set(known.ids) & set(tokenizer.all_special_ids)
    assert not any("\N{REPLACEMENT CHARACTER}" in text or "0x" in text for text in known.texts)


@pytest.mark.parametrize("kind", KINDS)
def test_decoding_in_bulk_is_decoding_one_by_one(kind: str) -> None:
    tokenizer = tokenizer_of(kind)
    one, other = vocabulary_of(tokenizer), vocabulary_of(_Slow(tokenizer))
    assert (one.ids, one.texts, one.continues) == (other.ids, other.texts, other.continues)


def test_a_decoder_of_its_own_is_heeded() -> None:
    """The compiled part says one thing, the tokenizer another: the tokenizer is right."""

    class Shouting(_Slow):
        backend_tokenizer = tokenizer_of("whole").backend_tokenizer

        def decode(self, ids: list[int], **options: Any) -> str:
            return super().decode(ids, **options).replace("dog", "doggo")

    assert "doggo" in vocabulary_of(Shouting(tokenizer_of("whole"))).texts
    assert "dog" in vocabulary_of(tokenizer_of("whole")).texts


class _Slow:
    """A tokenizer without a compiled part."""

    def __init__(self, tokenizer: Any) -> None:
        self._own = tokenizer
        self.all_special_ids = tokenizer.all_special_ids

    def __len__(self) -> int:
        return len(self._own)

    def encode(self, text: str, **options: Any) -> list[int]:
        return self._own.encode(text, **options)

    def decode(self, ids: list[int], **options: Any) -> str:
        return self._own.decode(ids, **options)


def test_the_likeliest_word_of_a_piece_is_the_one_most_uses_are_about() -> None:
    known = vocabulary_of(tokenizer_of("wordpiece"))
    place = known.places[known.first_tokens(["собака"])[0] or 0]
    assert known.texts[place] == "соба"
    for texts, expected in (
        ("собака " * 3 + "собачка .", "собака"),
        ("собака " + "собачка " * 3 + ".", "собачка"),
        ("собака собачка .", ""),  # a draw tells nothing
        ("соба " + "собака " * 3 + ".", "собака"),
        ("соба " * 3 + "собака .", "соба"),
        ("соба собака собачка .", "соба"),  # it is said itself
        ("Собака СОБАКА .", "собака"),
    ):
        assert known.words(Lexicon.of([texts]))[place] == expected, texts


def test_a_word_that_was_cut_off_is_no_evidence() -> None:
    assert Lexicon.of(["a surfer on a surfb"]).counts == Counter({"a": 2, "surfer": 1, "on": 1})
    assert "surfb" in Lexicon.of(["a surfb."]).counts


def test_korean_nouns_are_listed_without_particles() -> None:
    two = Lexicon.of(["공원에서 공원이 나이 ."])
    assert two.words["공원에서"] == two.words["공원이"] == "공원"
    assert two.words["나이"] == "나이"  # age, not "I" with a particle
    # Twin: one form alone does not tell where the noun ends.
    assert Lexicon.of(["고양이 ."]).words == {"고양이": "고양이"}


def test_keys_are_those_of_folding() -> None:
    words = [word for some in SCRIPTS.values() for word in some]
    words += [
        "Straße",
        "ΣΊΣΥΦΟΣ",
        "Ärger",
        "A\u0308rger",
        "İzmir",
        "ﬁn",
        "Ǆ",
        "ʼn",
        "ẞ",
        "ǰ",
        "한국",
    ]
    for word in words:
        assert key_of(word) == fold(word).text, word
    assert key_of("Ärger") == key_of("a\u0308RGER")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dog", True), ("été", True), ("कुत्ता", True), ("क्\u200dया", True), ("สุนัข", True),
        ("", False), ("don't", False), ("dog2", False), ("्", False), ("\u200d", False),
        ("😀", False),        ("\N{REPLACEMENT CHARACTER}", False), ("ice cream", False),
    ],
)  # fmt: skip
def test_words_are_letters_with_their_marks(text: str, expected: bool) -> None:
    assert is_word(text) is expected


@pytest.mark.parametrize("kind", CUT)
def test_words_that_a_tokenizer_cannot_say_have_no_first_token(kind: str) -> None:
    tokenizer = tokenizer_of(kind)
    known = vocabulary_of(tokenizer)
    (number,) = known.first_tokens(["ქართული"])
    if tokenizer.unk_token_id in tokenizer.encode("the ქართული", add_special_tokens=False):
        assert number is None
    else:
        assert number not in known.places  # it begins with a byte, or with the mark of a space
    assert known.first_tokens([]) == []
