"""Words of a response in order, with their tokens, and what kind of state each has."""

from collections.abc import Sequence

import pytest

from shiftlens.activations.selections.selection import Said, Selection
from shiftlens.activations.tokens import (
    end_response,
    first_response,
    image,
    last_prompt,
    mean_image,
    mean_response,
    reasoning,
    response,
    word,
)
from shiftlens.concepts.grounding.explaining.saying import (
    Sites,
    alignment_of,
    is_cut,
    position_of,
    words_of,
)
from shiftlens.data.sample import Sample


def _bytes(ids: Sequence[int]) -> str:
    return bytes(ids).decode("utf-8", errors="replace")


def _said(text: str, *, truncated: bool = False, thought: int = 0, size: int = 1) -> Said:
    """A response of one token a byte, or of ``size`` characters a token."""
    if size == 1:
        return Said(text, list(text.encode()), truncated, _bytes, thought)
    pieces = [text[at : at + size] for at in range(0, len(text), size)]

    def decode(ids: Sequence[int]) -> str:
        return "".join(pieces[one] for one in ids)

    return Said(text, list(range(len(pieces))), truncated, decode, thought)


def _texts(said: Said, selection: Selection | None = None) -> list[str]:
    return [one.word for one in words_of(said, selection or response())]


@pytest.mark.parametrize(
    ("text", "size", "words"),
    [
        (" a dog, and two dogs!", 1, ["a", "dog", "and", "two", "dogs"]),
        ("snow-man's 3", 3, ["snow", "man", "s", "3"]),
        ("كلب صغير", 1, ["كلب", "صغير"]),
        ("一只狗在跑。", 2, ["一只", "狗在", "跑"]),
        ("一只狗", 1, ["一", "只", "狗"]),
        ("my dogは犬", 1, ["my", "dog", "は", "犬"]),
        ("👍🏽 ... !", 1, []),
        ("", 1, []),
    ],
)
def test_words_of_any_script_in_order(text: str, size: int, words: list[str]) -> None:
    said = _said(text, size=size)
    assert _texts(said) == words
    spans = [(one.start, one.end) for one in words_of(said, response())]
    assert spans == sorted(spans)
    assert [text[start:end] for start, end in spans] == words


def test_an_expression_of_the_site_is_one_word() -> None:
    said = _said("a traffic light is on")
    assert _texts(said) == ["a", "traffic", "light", "is", "on"]
    assert _texts(said, word("traffic light")) == ["a", "traffic light", "is", "on"]
    assert _texts(_said("개가 있다"), word("개")) == ["개", "가", "있다"]


def test_every_token_of_a_word_is_its_own_and_none_of_another() -> None:
    said = _said("ab cde 一二, f")
    for one in words_of(said, response()):
        alone = _bytes(said.token_ids[one.first_token : one.last_token + 1])
        assert alone == one.word


@pytest.mark.parametrize("alignment", ["predict", "read"])
def test_positions_are_those_that_a_harvest_takes(alignment: str) -> None:
    said = _said("the dog and a cat, no dog")
    wanted = word("dog", "cat", alignment=alignment, every=True)  # pyright: ignore[reportArgumentType]
    taken = [one.positions[0] for one in wanted.picks(Sample("", ""), said)]
    ours = [
        position_of(one, alignment_of(wanted))
        for one in words_of(said, wanted)
        if one.word in ("dog", "cat")
    ]
    assert ours == taken


def test_twin_the_other_alignment_is_another_state() -> None:
    said = _said("the dog")
    _, dog = words_of(said, response())
    assert position_of(dog, "predict") == dog.first_token
    assert position_of(dog, "read") == dog.last_token + 1 != position_of(dog, "predict")


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (word("dog", require_reference=True), ["outside", "at the site", "outside", "same word"]),
        (word("dog", last=True), ["outside", "same word", "outside", "at the site"]),
        (word("dog", every=True), ["outside", "at the site", "outside", "at the site"]),
        (word("cat"), ["outside"] * 4),
        (response(), ["at the site"] * 4),
        (response(alignment="read"), ["at the site"] * 4),
        (last_prompt(), ["at the site", "outside", "outside", "outside"]),
        (end_response(), ["outside", "outside", "outside", "at the site"]),
        (mean_response(), ["outside"] * 4),
        (mean_image(), ["outside"] * 4),
        (image(0), ["outside"] * 4),
    ],
    ids=lambda one: getattr(one, "kind", ""),
)
def test_which_states_are_of_the_kind_that_concepts_came_from(
    selection: Selection, expected: list[str]
) -> None:
    said = _said("a dog, the dog")
    sites, alignment = Sites(selection, said), alignment_of(selection)
    found = [sites.where(position_of(one, alignment)) for one in words_of(said, selection)]
    assert found == expected


def test_alignments() -> None:
    assert alignment_of(last_prompt()) == alignment_of(mean_response()) == "predict"
    assert alignment_of(first_response()) == alignment_of(image()) == "read"
    assert alignment_of(word("a", alignment="read")) == "read"


def test_reasoning_is_apart_from_the_answer() -> None:
    said = _said("a cat? no. a dog", thought=len("a cat? no."))
    assert _texts(said) == ["a", "dog"]
    assert _texts(said, reasoning()) == ["a", "cat", "no"]
    assert _texts(said, word("dog", within="response")) == ["a", "cat", "no", "a", "dog"]


def test_a_word_at_the_token_limit_may_be_cut() -> None:
    whole, cut = _said("a dog"), _said("a dog", truncated=True)
    assert [is_cut(one, whole) for one in words_of(whole, response())] == [False, False]
    assert [is_cut(one, cut) for one in words_of(cut, response())] == [False, True]
    behind = _said("a dog.", truncated=True)
    assert not any(is_cut(one, behind) for one in words_of(behind, response()))
    ids = b"a dog" + "é".encode()[:1]
    broken = Said(_bytes(ids), list(ids), True, _bytes)
    assert is_cut(words_of(broken, response())[-1], broken)
