"""Gendered words: whole ones only, and neutral counterparts in place of them."""

import re

import pytest

from shiftlens.core.errors import SteeringError
from shiftlens.steering.measures.gender import (
    gender_of,
    gendered_words,
    is_gendered,
    lowered_swaps,
    neutralised,
    rest_unchanged,
)
from shiftlens.steering.measures.gendered_words import FEMININE, MASCULINE, SWAPS

_NO_NOUNS = {"he", "him", "his", "himself", "she", "her", "hers", "herself"}


def _plural(word: str) -> str:
    """Of a noun; a plural stays as it is."""
    if word.endswith("man"):
        return word.removesuffix("man") + "men"
    if word.endswith(("s", "men")) and not word.endswith("ss"):
        return word
    if word.endswith("ss"):
        return f"{word}es"
    if re.search("[^aeiou]y$", word):
        return word[:-1] + "ies"
    return "wives" if word == "wife" else f"{word}s"


@pytest.mark.parametrize(
    "text",
    [
        "a human runs",
        "mankind",
        "lemon sherbet",
        "Other people, and there they are",
        "a man-made lake",
        "a Man Made lake",
        "in no man's land",
        "in no man’s land",
        "a mannequin in the salon, a manhole",
        "a ladybug on a boycott poster",
        "the theme of the manual",
        "",
    ],
)
def test_words_that_only_hold_gendered_ones_do_not_count(text: str) -> None:
    assert gendered_words(text) == []
    assert not is_gendered(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A Man walks", ["man"]),
        ("the man's hat", ["man"]),
        ("the man’s hat", ["man"]),
        ("the women's hats", ["women"]),
        ("two boys' bikes", ["boys"]),
        ("he's with her.", ["he", "her"]),
        ("a woman, a girl and men", ["woman", "girl", "men"]),
        ("a man beside a man-made lake", ["man"]),
    ],
)
def test_whole_words_plurals_and_possessives_count(text: str, words: list[str]) -> None:
    assert gendered_words(text) == words


def test_the_lexicon_is_sound() -> None:
    assert not FEMININE.keys() & MASCULINE.keys()
    assert lowered_swaps(SWAPS) == SWAPS
    assert all(len(neutral.split()) == 1 for neutral in SWAPS.values())
    assert lowered_swaps(SWAPS).keys() >= {_plural(word) for word in SWAPS if word not in _NO_NOUNS}


def test_the_gender_that_a_text_names() -> None:
    assert gender_of("a woman with her dog") == "feminine"
    assert gender_of("a boy") == "masculine"
    assert gender_of("a man and a woman") == "both"
    assert gender_of("a person with their dog") is None


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("a man runs", "a person runs", True),
        ("a Man and his dog", "a person and their dog", True),
        ("two women", "two people", True),
        ("he runs", "they run", True),
        ("a man runs", "a man runs", False),
        ("a man and a woman", "a person and a woman", False),
        ("a man runs", "a dog runs", False),
        ("a man and his dog", "a dog and their ball", False),  # the dog's own their
        ("a man runs", "", False),
        ("a man runs", "a human runs", False),  # neutral, but another word than asked for
        ("a person runs", "a person runs", None),
        ("a human runs", "a person runs", None),
    ],
)
def test_neutralised_captions(before: str, after: str, expected: bool | None) -> None:
    assert neutralised(before, after) is expected


def test_the_rest_of_a_caption() -> None:
    assert rest_unchanged("a man in the snow", "a person in the snow") is True
    assert rest_unchanged("a woman and her dog", "a person and their dog") is True
    assert rest_unchanged("a man in the snow", "a person on the beach") is False
    assert rest_unchanged("a dog", "a dog") is None


def test_swaps_of_one_s_own() -> None:
    mine = SWAPS | {"Chairman": "Chair"}
    assert neutralised("the chairman speaks", "the chair speaks", mine) is True
    assert neutralised("the chairman speaks", "the chair speaks") is None
    assert rest_unchanged("the chairman speaks", "the chair speaks", mine) is True
    only = {"man": "human"}
    assert neutralised("a man runs", "a human runs", only) is True
    assert neutralised("a woman runs", "a human runs", only) is None


@pytest.mark.parametrize(
    ("swaps", "message"),
    [
        ({"man": "woman", "woman": "person"}, "itself to be swapped"),
        ({"man": " "}, "an empty word"),
        ({" ": "person"}, "an empty word"),
        ({}, "no gendered words"),
    ],
)
def test_swaps_that_make_no_sense_are_refused(swaps: dict[str, str], message: str) -> None:
    with pytest.raises(SteeringError, match=message):
        lowered_swaps(swaps)
