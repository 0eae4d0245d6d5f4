"""Selections: which positions of a response, and what counts as missed or failed."""

import inspect
from dataclasses import replace
from typing import Any

import pytest

from shiftlens.activations import tokens
from shiftlens.activations.selections.reading import selection_from
from shiftlens.activations.selections.selection import Failed, Missed, Pick, Said, Selection
from shiftlens.activations.site import Site, site_from
from shiftlens.activations.words.occurrences import find_words, word_spans
from shiftlens.core.errors import SiteError
from shiftlens.data.sample import Sample

SAMPLE = Sample("s", "what", ("a.png",), response="a Dog in the snow")
PIECES = ["a", " hot", "dog", " and", " a", " d", "og", " run", " ."]


def _said(pieces: list[str], *, truncated: bool = False) -> Said:
    """A response whose token i is piece i."""
    return Said(
        "".join(pieces),
        range(len(pieces)),
        truncated,
        lambda ids: "".join(pieces[i] for i in ids),
    )


def test_a_word_of_two_tokens_is_found_whole() -> None:
    """``hotdog`` is not ``dog``; ``dog`` is cut into two tokens, 5 and 6."""
    (found,) = find_words("".join(PIECES), range(9), _said(PIECES).decode, ["dog"])
    assert (found.first_token, found.last_token) == (5, 6)
    assert "".join(PIECES)[found.start : found.end] == "dog"


def test_predict_is_before_the_word_and_read_is_at_its_end() -> None:
    said = _said(PIECES)
    assert tokens.word("dog").picks(SAMPLE, said) == [Pick((5,), "dog")]
    assert tokens.word("dog", alignment="read").picks(SAMPLE, said) == [Pick((7,), "dog")]


def test_the_first_occurrence_or_every_one() -> None:
    said = _said(["dog", " and", " cat", " dog"])
    assert tokens.word("cat", "dog").picks(SAMPLE, said) == [Pick((0,), "dog")]
    every = tokens.word("cat", "dog", every=True).picks(SAMPLE, said)
    assert every == [Pick((0,), "dog"), Pick((2,), "cat"), Pick((3,), "dog")]


def test_no_word_is_missed_and_a_cut_one_has_failed() -> None:
    with pytest.raises(Missed):
        tokens.word("dog").picks(SAMPLE, _said(["a", " cat"]))
    with pytest.raises(Failed):
        tokens.word("dog").picks(SAMPLE, _said(["a", " dog"], truncated=True))
    whole = tokens.word("dog").picks(SAMPLE, _said(["a", " dog"]))
    assert whole == [Pick((1,), "dog")], "the same response, ended by the model itself"
    early = _said(["dog", " dog"], truncated=True)
    assert tokens.word("dog", every=True).picks(SAMPLE, early) == [Pick((0,), "dog")]


def test_the_reference_may_be_asked_for_the_word_too() -> None:
    choice = tokens.word("dog", require_reference=True)
    assert choice.picks(SAMPLE, _said(["dog"]))
    for reference in ("a cat", "two dogs", None):
        with pytest.raises(Missed):
            choice.picks(Sample("s", "what", response=reference), _said(["dog"]))


@pytest.mark.parametrize(
    ("choice", "positions"),
    [
        (tokens.last_prompt(), (0,)),
        (tokens.first_response(), (1,)),
        (tokens.mean_response(), (0, 1, 2)),
        (tokens.mean_image(), (0,)),
        (tokens.mean_prompt(), (0,)),
    ],
)
def test_positions_of_the_other_selections(choice: Selection, positions: tuple[int, ...]) -> None:
    assert choice.picks(SAMPLE, _said(["a", " dog", " ."])) == [Pick(positions)]


def test_what_an_empty_or_cut_response_leaves() -> None:
    nothing = _said([])
    assert tokens.last_prompt().picks(SAMPLE, nothing) == [Pick((0,))]
    assert tokens.mean_prompt().picks(Sample("s", "what"), nothing) == [Pick((0,))]
    for choice in (tokens.first_response(), tokens.mean_response()):
        with pytest.raises(Missed):
            choice.picks(SAMPLE, nothing)
    with pytest.raises(Failed):
        tokens.first_response().picks(SAMPLE, _said(["a"], truncated=True))
    for choice in (tokens.response(), tokens.reasoning()):
        with pytest.raises(Missed):
            choice.picks(SAMPLE, nothing)


def test_every_token_of_a_response_in_both_alignments() -> None:
    said = _said(["a", " dog", " ."])
    assert tokens.response().picks(SAMPLE, said) == [Pick((at,)) for at in (0, 1, 2)]
    read = tokens.response(alignment="read")
    assert read.picks(SAMPLE, said) == [Pick((at,)) for at in (1, 2, 3)]
    cut = _said(["a", " dog", " ."], truncated=True)
    assert read.picks(SAMPLE, cut) == [Pick((1,)), Pick((2,))], "the last token was never read"
    with pytest.raises(Failed):
        read.picks(SAMPLE, _said(["a"], truncated=True))


def test_reasoning_is_not_the_answer() -> None:
    pieces = ["<think>", " dog", "</think>", " a", " dog", " dog"]
    said = replace(_said(pieces), reasoning=3)
    assert tokens.word("dog").picks(SAMPLE, said) == [Pick((4,), "dog")]
    assert tokens.word("dog", within="reasoning").picks(SAMPLE, said) == [Pick((1,), "dog")]
    assert tokens.word("dog", within="response").picks(SAMPLE, said) == [Pick((1,), "dog")]
    assert tokens.word("dog", last=True).picks(SAMPLE, said) == [Pick((5,), "dog")]
    assert tokens.response().picks(SAMPLE, said) == [Pick((at,)) for at in (3, 4, 5)]
    assert tokens.reasoning().picks(SAMPLE, said) == [Pick((at,)) for at in (0, 1, 2)]
    assert tokens.mean_response().picks(SAMPLE, said) == [Pick((3, 4, 5))]
    assert tokens.word("dog").picks(SAMPLE, _said(pieces)) == [Pick((1,), "dog")], "the twin"


def test_an_answer_that_the_limit_did_not_let_begin_has_failed() -> None:
    thinking = replace(_said(["<think>", " dog"], truncated=True), reasoning=2)
    with pytest.raises(Failed):
        tokens.word("dog").picks(SAMPLE, thinking)
    with pytest.raises(Missed):
        tokens.word("dog").picks(SAMPLE, replace(thinking, truncated=False))


def test_a_word_that_is_cut_within_a_character_is_not_said() -> None:
    pieces = ["a", " dog", "\N{REPLACEMENT CHARACTER}"]  # the first byte of an accent
    with pytest.raises(Failed):
        tokens.word("dog").picks(SAMPLE, _said(pieces, truncated=True))
    assert tokens.word("dog").picks(SAMPLE, _said([*pieces[:2], " ", "!"], truncated=True))


def test_forms_stand_for_their_word() -> None:
    said = _said(["two", " puppies", " and", " a", " dog"])
    chosen = tokens.word(forms={"dog": ("dogs", "puppies")}, every=True)
    assert chosen.picks(SAMPLE, said) == [Pick((1,), "dog"), Pick((4,), "dog")]
    assert tokens.word("dog").picks(SAMPLE, said) == [Pick((4,), "dog")]
    with pytest.raises(SiteError):
        tokens.word(forms={"dog": ("pet",), "cat": ("pet",)})
    with pytest.raises(SiteError, match="two things"):
        tokens.word("dog", every=True, last=True)


def test_the_mean_of_other_states_is_one_state() -> None:
    said = _said(["dog", " and", " cat", " dog"])
    mean = tokens.mean(tokens.word("dog", every=True))
    assert mean.picks(SAMPLE, said) == [Pick((0, 3), "dog")]
    both = tokens.mean(tokens.word("dog", "cat", every=True))
    assert both.picks(SAMPLE, said) == [Pick((0, 2, 3), "")]
    with pytest.raises(SiteError, match="no mean of"):
        tokens.mean(tokens.mean_response())


@pytest.mark.parametrize(
    ("text", "word", "spans"),
    [
        ("Dog, dog; DOG!", "dog", [(0, 3), (5, 8), (10, 13)]),
        ("hotdog dogs dog_1", "dog", []),
        ("ein größerer Hund", "größerer", [(4, 12)]),
        ("图片里有狗。", "狗", [(4, 5)]),
        ("traffic light here", "traffic light", [(0, 13)]),
        ("a.b", "a.b", [(0, 3)]),
        ("axb", "a.b", []),
    ],
)
def test_words_are_whole_in_any_script(text: str, word: str, spans: list[tuple[int, int]]) -> None:
    assert [(start, end) for start, end, _ in word_spans(text, [word])] == spans


def test_tokens_of_a_character_that_is_cut_in_bytes() -> None:
    """A prefix that ends inside a character decodes to a mark that the whole does not hold."""
    data = "ein größerer hund".encode()

    def decode(ids: Any) -> str:
        return bytes(data[i] for i in ids).decode(errors="replace")

    (found,) = find_words(decode(range(len(data))), range(len(data)), decode, ["hund"])
    assert bytes(data[found.first_token : found.last_token + 1]) == b"hund"
    (umlaut,) = find_words(decode(range(len(data))), range(len(data)), decode, ["größerer"])
    assert bytes(data[umlaut.first_token : umlaut.last_token + 1]).decode() == "größerer"


@pytest.mark.parametrize("words", [(), ("",), ("dog", " ")])
def test_words_that_name_nothing_are_refused(words: tuple[str, ...]) -> None:
    with pytest.raises(SiteError, match="name nothing"):
        tokens.word(*words)


def test_an_unknown_alignment_lists_the_known_ones() -> None:
    with pytest.raises(SiteError, match="unknown alignment 'write'") as caught:
        # Unwrapped: in tests, and only there, types are checked before the function runs.
        inspect.unwrap(tokens.word)("dog", alignment="write")
    assert "predict, read" in str(caught.value)


@pytest.mark.parametrize(
    "choice",
    [
        tokens.word("dog", "hot dog", alignment="read", every=True),
        tokens.last_prompt(),
        tokens.first_response(),
        tokens.mean_response(),
        tokens.mean_image(),
        tokens.mean_prompt(),
    ],
)
def test_a_site_survives_its_description(choice: Selection) -> None:
    for site in (Site(3, choice), Site((0, 3), choice)):
        assert site_from(site.describe()) == site
    with pytest.raises(SiteError, match="unknown selection 'nowhere'"):
        selection_from({"kind": "nowhere"})


def test_sites_that_are_none_are_refused(tiny: Any) -> None:
    with pytest.raises(SiteError, match="at least one layer"):
        Site(())
    assert Site((0, -1)).resolve(tiny).layer == (0, 3)
    with pytest.raises(SiteError, match="name a block twice"):
        Site((3, -1)).resolve(tiny)
    with pytest.raises(SiteError, match="layer 4 is outside"):
        Site(4).resolve(tiny)
