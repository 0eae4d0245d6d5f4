"""Words of content in responses, in any script, without the words of grammar."""

import pytest
from tests.theorems.word_tokenizers import decoder_of, tokenizer_of

from shiftlens.activations.words.folding import fold
from shiftlens.activations.words.stop_words import STOP_WORDS, is_grammar
from shiftlens.activations.words.suggesting import said_words
from shiftlens.core.errors import DataError
from shiftlens.models.model import Response


def _said(*texts: str, kind: str = "bytes") -> list[Response]:
    encode = tokenizer_of(kind).encode
    return [Response(text, tuple(encode(text, add_special_tokens=False)), False) for text in texts]


def _words(*texts: str) -> dict[str, int]:
    found, _ = said_words(_said(*texts), decoder_of("bytes"))
    return {one.word: one.samples for one in found}


def test_words_of_content_are_counted_and_those_of_grammar_left_out() -> None:
    texts = ("A dog and a dog on the Street", "the dogs", "the dog on the street", "x 12 dog_1 -")
    found, grammar = said_words(_said(*texts), decoder_of("bytes"))
    dog, street, dogs = found
    assert (dog.word, dog.occurrences, dog.samples) == ("dog", 3, 2)
    assert dog.near == ("dogs",)
    assert (dog.share.estimate, dog.share.low > 0, dog.share.high < 1) == (0.5, True, True)
    assert (street.word, street.samples, dogs.samples) == ("street", 2, 1)
    assert grammar == ["the", "on", "and"]
    assert dog.to_dict()["share"]["estimate"] == 0.5


def test_at_most_so_many_words() -> None:
    found, _ = said_words(_said("red green blue"), decoder_of("bytes"), most=2)
    assert [one.word for one in found] == ["blue", "green"]


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (("ein Hund läuft", "Der HUND"), {"Hund": 2, "läuft": 1}),
        (("собака на улице",), {"собака": 1, "улице": 1}),
        (("كلب في الشارع",), {"كلب": 1, "الشارع": 1}),
        (("एक कुत्ता है",), {"कुत्ता": 1}),
        (("개가 달린다", "개는 공원에"), {"개": 2, "공원에": 1, "달린다": 1}),
        (("공원에서", "공원은"), {"공원": 2}),
        (("cafe\u0301", "café"), {"café": 2}),
    ],
)
def test_words_of_many_scripts(texts: tuple[str, ...], words: dict[str, int]) -> None:
    assert _words(*texts) == words


def test_scripts_without_spaces_are_cut_as_the_tokens_are() -> None:
    """A tokenizer that knows 街道 and 狗 as pieces; the words of grammar are left out."""
    pieces = ["街道", "上有", "一只", "狗", "。dog"]
    text = "".join(pieces)
    said = [Response(text, tuple(range(5)), False)]
    found, grammar = said_words(said, lambda ids: "".join(pieces[i] for i in ids))
    assert {one.word for one in found} == {"街道", "上有", "一只", "狗", "dog"}
    assert grammar == []


def test_tokens_do_not_cut_what_is_one_word_or_one_character() -> None:
    """Katakana runs are words, and a mark stays with its letter, however the tokens lie."""
    pieces = ["ホット", "ドッグ", "が", "ไก", "่"]
    said = [Response("".join(pieces), tuple(range(5)), False)]
    found, grammar = said_words(said, lambda ids: "".join(pieces[i] for i in ids))
    assert {one.word for one in found} == {"ホットドッグ", "ไก่"}
    assert grammar == ["が"]


def test_a_language_that_no_table_knows_is_told_by_a_rule() -> None:
    texts = ["mbwa na paka na mtu", "mtu na mti na jua", "ua na mtu na paka"]
    found, grammar = said_words(_said(*texts), decoder_of("bytes"))
    assert grammar == ["na"]
    assert found[0].word == "mtu"


def test_twin_a_word_that_is_said_once_in_each_response_is_content() -> None:
    assert is_grammar("na", 6, 3, 3)
    assert not is_grammar("mtu", 3, 3, 3)
    assert not is_grammar("person", 6, 3, 3), "a person and a person: long words are not grammar"


def test_the_table_is_folded() -> None:
    assert all(fold(word).text == word for word in STOP_WORDS)
    assert {"the", "für"} & STOP_WORDS == {"the"}, "the umlaut is decomposed"
    assert fold("FÜR").text in STOP_WORDS


def test_responses_that_are_not_what_their_tokens_say_are_refused() -> None:
    with pytest.raises(DataError, match="the tokens decode to"):
        said_words([Response("狗", (0,), False)], lambda ids: "犬")
