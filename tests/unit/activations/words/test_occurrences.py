"""Whole words in any script, forms of a word, and the tokens that cover them."""

import inspect
import unicodedata
from collections.abc import Sequence
from typing import Any

import pytest

from shiftlens.activations.words.matching import Match, find_inside, find_matches, forms_of
from shiftlens.activations.words.occurrences import find_words, word_spans
from shiftlens.activations.words.token_reach import reach_by_prefixes, reach_of
from shiftlens.core.errors import DataError


def _found(text: str, *words: str) -> list[str]:
    return [text[start:end] for start, end, _ in word_spans(text, words)]


@pytest.mark.parametrize(
    ("text", "word", "found"),
    [
        # Letter case, with offsets of the original although folding changes lengths.
        ("Die STRASSE, die Straße", "straße", ["STRASSE", "Straße"]),
        ("Fuß fassen", "fuss", ["Fuß"]),
        ("Fuß", "fus", []),
        ("ΣΚΎΛΟΣ σκύλος", "σκύλος", ["ΣΚΎΛΟΣ", "σκύλος"]),
        ("İSTANBUL istanbul", "istanbul", ["İSTANBUL", "istanbul"]),
        ("I\u0307STANBUL", "istanbul", ["I\u0307STANBUL"]),
        ("IRMAK ırmak", "ırmak", ["IRMAK", "ırmak"]),
        ("kır", "kir", []),
        ("KIR", "kır", ["KIR"]),
        # One text in two Unicode forms.
        ("cafe\u0301 café", "café", ["cafe\u0301", "café"]),
        ("café", "cafe\u0301", ["café"]),
        ("cafe\u0301", "cafe", []),
        ("a\u0323\u0307", "a\u0307\u0323", ["a\u0323\u0307"]),
        # Marks belong to their letter.
        ("कुत्ता दौड़ा", "कुत्ता", ["कुत्ता"]),
        ("कुत्ता", "कुत्त", []),
        ("कुत्ता", "त्ता", []),
        ("كلب كَلب الكلب", "كلب", ["كلب"]),
        ("\u200fكلب\u200f", "كلب", ["كلب"]),
        ("کتاب‌ها", "کتاب", []),
        # Scripts without spaces.
        ("街上有一只狗。", "狗", ["狗"]),
        ("一只dog在", "dog", ["dog"]),
        ("犬が走る犬", "犬", ["犬", "犬"]),
        ("ホットドッグ", "ドッグ", []),
        ("ドッグが", "ドッグ", ["ドッグ"]),
        ("カー", "カ", []),
        ("เห็นไก่วิ่ง", "ไก่", ["ไก่"]),
        ("ไก่", "ไก", []),
        # Korean particles, and words that only begin alike.
        ("개가 개는 개를 개 개들이 개입니다", "개", ["개", "개", "개", "개", "개", "개"]),
        ("개나리 개미 무지개", "개", []),
        ("나이", "나", []),
        ("사람이 사람으로", "사람", ["사람", "사람"]),
        ("사람로", "사람", []),
        ("교실로", "교실", ["교실"]),
        (unicodedata.normalize("NFD", "개가"), "개", [unicodedata.normalize("NFD", "개")]),
        (unicodedata.normalize("NFD", "각"), "가", []),
        # Apostrophes, hyphens, symbols.
        ("the dog's hot-dog", "dog", ["dog", "dog"]),
        ("I don’t", "don't", ["don’t"]),
        ("l’homme", "homme", ["homme"]),
        ("T‑shirt T-shirt", "t-shirt", ["T‑shirt", "T-shirt"]),
        ("a🐕 🐕‍🦺 🐕", "🐕", ["🐕", "🐕"]),
        ("👍🏽 👍", "👍", ["👍"]),
        ("I ❤️ it", "❤", ["❤️"]),
        ("C++ and C", "C++", ["C++"]),
        ("do\u00adg dog\u00adhouse", "dog", ["do\u00adg"]),
        # Expressions of several words.
        ("a traffic  light,\ntraffic\nlights", "traffic light", ["traffic  light"]),
        ("Traffic\u00a0Light", "traffic light", ["Traffic\u00a0Light"]),
        ("no no no", "no no", ["no no"]),
        ("xno no no", "no no", ["no no"]),
    ],
)
def test_whole_words_of_any_script(text: str, word: str, found: list[str]) -> None:
    assert _found(text, word) == found


def test_forms_stand_for_their_word() -> None:
    text = "Dogs and a puppy, a dog, a cat"
    words = {"dog": ("dogs", "puppy"), "cat": ()}
    assert find_matches(text, words) == [
        Match(0, 4, "dogs", "dog"),
        Match(11, 16, "puppy", "dog"),
        Match(20, 23, "dog", "dog"),
        Match(27, 30, "cat", "cat"),
    ]
    pieces = text.split(" ")
    said = [piece if at == 0 else f" {piece}" for at, piece in enumerate(pieces)]
    found = find_words(text, range(len(said)), lambda ids: "".join(said[i] for i in ids), words)
    assert [(one.form, one.word, one.first_token) for one in found] == [
        ("dogs", "dog", 0),
        ("puppy", "dog", 3),
        ("dog", "dog", 5),
        ("cat", "cat", 7),
    ]


def test_a_longer_form_takes_the_place_of_one_inside_of_it() -> None:
    assert _found("a hot dog and a dog", "dog", "hot dog") == ["hot dog", "dog"]
    assert _found("new york city", "new york", "york city") == ["new york", "york city"]
    assert _found("traffic light", "traffic", "traffic light") == ["traffic light"]
    assert forms_of(["dog", "Dog"]) == {"dog": "dog"}


def test_words_inside_of_others_are_told() -> None:
    inside = find_inside("A manly snowman, a man and MANY mangos", {"man": ("men",)})
    assert inside == [("manly", "man"), ("snowman", "man"), ("MANY", "man"), ("mangos", "man")]
    assert find_inside("a man", ["man"]) == []
    assert find_inside("개나리", ["개"]) == [("개나리", "개")]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"man": ("person",), "woman": ("person",)}, "'person' stands for both 'man' and 'woman'"),
        ({"man": ("",)}, "the form '' of 'man' is blank"),
        (["  "], "is blank"),
        ({"dog": "dogs"}, "the forms of 'dog' are one text"),
        ("dog", "words 'dog' are one text"),
    ],
)
def test_forms_that_mean_nothing_are_refused(words: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        inspect.unwrap(find_matches)("a dog", words)


def test_a_text_that_its_tokens_do_not_decode_to_is_refused() -> None:
    with pytest.raises(DataError, match="decode to ' dog', not to the text 'dog'"):
        find_words("dog", [0], lambda ids: " dog" * len(ids), ["dog"])


def _bytes(data: bytes) -> Any:
    return lambda ids: bytes(data[i] for i in ids).decode(errors="replace")


def test_the_first_byte_of_a_letter_is_the_word_s_first_token() -> None:
    """The state that decides for "über" stands before the first of the two bytes of "ü"."""
    data = "es geht über".encode()
    (found,) = find_words(data.decode(), range(len(data)), _bytes(data), ["über"])
    assert data[found.first_token : found.last_token + 1] == "über".encode()


def test_a_token_may_hold_the_end_of_a_word_and_half_of_what_follows() -> None:
    data = "狗狗".encode()
    cuts = (0, 2, 4, 6)  # two thirds of the first, the rest with a third of the second, ...

    def decode(ids: Sequence[int]) -> str:
        return b"".join(data[cuts[i] : cuts[i + 1]] for i in ids).decode(errors="replace")

    first, second = find_words("狗狗", range(3), decode, ["狗"])
    assert (first.first_token, first.last_token) == (0, 1)
    assert (second.first_token, second.last_token) == (1, 2)


def _pieces(pieces: Sequence[str], calls: list[int]) -> Any:
    def decode(ids: Sequence[int]) -> str:
        calls.append(len(ids))
        return "".join(pieces[i] for i in ids)

    return decode


def test_long_responses_cost_little_more_than_their_length() -> None:
    """Tokens decoded: every prefix of n tokens would be n * n / 2 of them."""
    n = 2000
    pieces, calls = [" dog"] * n, list[int]()
    text = "".join(pieces)
    reach = reach_of(text, range(n), _pieces(pieces, calls))
    assert sum(calls) < n * n / 2 / 10
    assert reach == reach_by_prefixes(text, range(n), _pieces(pieces, calls))


def test_a_decoder_that_looks_far_back_is_asked_for_every_prefix() -> None:
    """Its pieces depend on how many tokens there are: windows would put them elsewhere."""
    pieces = [f" w{i}" for i in range(90)]

    def decode(ids: Sequence[int]) -> str:
        return "".join(pieces[i].upper() if len(ids) > 40 and at > 38 else pieces[i]
                       for at, i in enumerate(ids))  # fmt: skip

    text = decode(range(90))
    assert reach_of(text, range(90), decode) == reach_by_prefixes(text, range(90), decode)


def test_nothing_said_holds_nothing() -> None:
    assert find_words("", [], lambda ids: "", ["dog"]) == []
    assert reach_of("", [], lambda ids: "").ends == ()
    assert reach_of("", [7], lambda ids: "").covering(0, 1) is None
