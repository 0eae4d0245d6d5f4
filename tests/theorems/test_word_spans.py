"""Spans of words over the tokens of four kinds of tokenizers, and a way that gets them wrong."""

import unicodedata
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.theorems.word_tokenizers import KINDS, SENTENCES, Decode, decoder_of, tokenizer_of

from shiftlens.activations.words.occurrences import Occurrence, find_words, word_spans
from shiftlens.activations.words.token_reach import reach_by_prefixes, reach_of

EVERY_KIND = pytest.mark.parametrize("kind", list(KINDS))
WORDS = (
    "dog",
    "größerer",
    "über",
    "Fluß",
    "traffic light",
    "don't",
    "собака",
    "σκύλος",
    "कुत्ता",
    "كلب",
    "köpek",
)
UNSPACED = ("狗", "犬", "ไก่")
FILLING = (
    *("Dogs", "hotdog", "a", "DOG", "'", "-", ".", ",", "n't", "🐕", "👩‍👩‍👧", "ı", "İ", "e\u0301"),
    *("日本", "犬犬", "dog's", "\u200d", "_", "7", "  ", "\n", "<image>", "ß", "\ufeff", "ё"),
)

texts = st.lists(
    st.one_of(
        st.sampled_from((*WORDS, *UNSPACED)),
        st.sampled_from(FILLING),
        st.sampled_from(WORDS).map(str.upper),
        st.sampled_from(WORDS).map(lambda word: unicodedata.normalize("NFD", word)),
        st.text(max_size=3),
    ),
    max_size=12,
)
glue = st.sampled_from((" ", " ", " ", "", ", "))
few = settings(max_examples=40, deadline=None, derandomize=True)


def _said(kind: str, text: str) -> tuple[str, list[int], Decode]:
    """A text as a response: what its tokens decode to, with special tokens among them."""
    ids = tokenizer_of(kind).encode(text, add_special_tokens=False)
    decode = decoder_of(kind)
    return decode(ids), ids, decode


def _folded(text: str) -> str:
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", text).casefold())


def _by_characters(text: str, word: str) -> list[tuple[int, int]]:
    """The plainest reference: every piece of the text that is the word, and stands alone.

    For words in scripts with spaces, in texts whose scripts have them too.
    """

    def touches(at: int) -> bool:
        if not 0 <= at < len(text):
            return False
        return text[at].isalnum() or text[at] == "_" or unicodedata.category(text[at])[0] == "M"

    wanted, most = _folded(word), 3 * len(word)
    return [
        (start, end)
        for start in range(len(text))
        for end in range(start + 1, min(len(text), start + most) + 1)
        if _folded(text[start:end]) == wanted and not touches(start - 1) and not touches(end)
    ]


def _minimal(found: Occurrence, ids: Sequence[int], decode: Decode) -> None:
    """The span decodes to the word; without its first or last token it does not."""
    first, last = found.first_token, found.last_token
    word = " ".join(_folded(found.form).split())

    def says(some: Sequence[int]) -> bool:
        return word in " ".join(_folded(decode(some)).split())

    assert says(ids[first : last + 1])
    assert not says(ids[first + 1 : last + 1])
    assert not says(ids[first:last])


@EVERY_KIND
@few
@given(parts=texts, between=glue)
def test_the_span_found_decodes_to_the_word_and_no_smaller_one_does(
    kind: str, parts: list[str], between: str
) -> None:
    text, ids, decode = _said(kind, between.join(parts))
    for word in (*WORDS, *UNSPACED):
        for found in find_words(text, ids, decode, [word]):
            assert _folded(" ".join(text[found.start : found.end].split())) == _folded(word)
            if kind != "tidied":  # spaces that only the whole loses are there in a piece of it
                _minimal(found, ids, decode)


spaced = st.lists(
    st.one_of(
        st.sampled_from([word for word in WORDS if " " not in word]),
        st.sampled_from(("Dogs", "hotdog", "a", "DOG", "'", "-", ".", "n't", "e\u0301", "_", "7")),
        st.sampled_from(WORDS).map(str.upper),
        st.sampled_from(WORDS).map(lambda word: unicodedata.normalize("NFD", word)),
        st.text(alphabet="doguß ÖöéF'-.\u0308\u0301", max_size=4),
    ),
    max_size=12,
)


@EVERY_KIND
@few
@given(parts=spaced, between=glue)
def test_every_whole_word_is_found_and_nothing_else(
    kind: str, parts: list[str], between: str
) -> None:
    text, ids, decode = _said(kind, between.join(parts))
    for word in WORDS:
        if " " not in word:
            found = find_words(text, ids, decode, [word])
            assert [(one.start, one.end) for one in found] == _by_characters(text, word)


@EVERY_KIND
@few
@given(parts=texts, between=glue)
def test_windows_give_what_prefixes_give(kind: str, parts: list[str], between: str) -> None:
    """Long enough for several windows: the text four times over."""
    text, ids, decode = _said(kind, between.join(parts * 4))
    assert reach_of(text, ids, decode) == reach_by_prefixes(text, ids, decode)


@EVERY_KIND
@few
@given(data=st.data())
def test_windows_give_what_prefixes_give_on_any_tokens(kind: str, data: st.DataObject) -> None:
    """Tokens that no text has: halves of characters, special tokens, pieces in the wrong place."""
    number = st.integers(0, len(tokenizer_of(kind)) - 1)
    ids = data.draw(st.lists(number, max_size=120))
    decode = decoder_of(kind)
    text = decode(ids)
    assert reach_of(text, ids, decode) == reach_by_prefixes(text, ids, decode)


@EVERY_KIND
@few
@given(parts=texts, between=glue, seed=st.integers(0, 9))
def test_special_tokens_among_the_others_shift_nothing(
    kind: str, parts: list[str], between: str, seed: int
) -> None:
    """What is skipped in decoding takes no characters, wherever it stands between words."""
    text, ids, decode = _said(kind, between.join(parts).replace("<image>", ""))
    for word in WORDS:
        before = find_words(text, ids, decode, [word])
        for one in before[:1]:
            more = [*ids[: one.first_token], 4, 1, *ids[one.first_token :]]
            if decode(more) == text:  # or else the special token stands between halves of a letter
                (first, *_) = find_words(text, more, decode, [word])
                moved = (one.first_token + 2, one.last_token + 2)
                assert (first.first_token, first.last_token) == moved


def _by_encoding_again(
    kind: str, text: str, ids: Sequence[int], word: str
) -> tuple[int, int] | None:
    """The tempting way: the tokens of the word, looked for among those of the text."""
    tokenizer = tokenizer_of(kind)
    for spelling in (word, f" {word}"):
        wanted = tokenizer.encode(spelling, add_special_tokens=False)
        for first in range(len(ids) - len(wanted) + 1):
            if list(ids[first : first + len(wanted)]) == wanted:
                return first, first + len(wanted) - 1
    return None


@EVERY_KIND
def test_twin_encoding_the_word_again_misses_words_and_finds_others(kind: str) -> None:
    """Other letter case, a quote before the word, the letters of the word inside of another."""
    decode, tokenizer = decoder_of(kind), tokenizer_of(kind)
    wrong: list[str] = []
    for word in ("dog", "street", "köpek"):
        for text in (word, f'"{word}"', f"hot{word}", word.upper(), f"a {word.capitalize()}."):
            ids = tokenizer.encode(text, add_special_tokens=False)
            said = decode(ids)
            ours = find_words(said, ids, decode, [word])
            theirs = _by_encoding_again(kind, said, ids, word)
            assert bool(ours) == ("hot" not in text)
            if theirs != ((ours and (ours[0].first_token, ours[0].last_token)) or None):
                wrong.append(text)
    assert len(wrong) >= 3, f"the twin is nearly as good: {wrong}"


def test_twin_a_cut_that_the_tokenizer_would_not_make_is_found_as_it_was_said() -> None:
    """A model may say the dog's piece in two; tokenizing its text again would not."""
    tokenizer, decode = tokenizer_of("byte-level"), decoder_of("byte-level")
    ids = [tokenizer.convert_tokens_to_ids(one) for one in ("a", "Ġ", "d", "o", "g")]
    (found,) = find_words("a dog", ids, decode, ["dog"])
    assert (found.first_token, found.last_token) == (2, 4)
    again = tokenizer.encode("a dog", add_special_tokens=False)
    (other,) = find_words("a dog", again, decode, ["dog"])
    assert other.last_token < found.last_token, "the offsets of the second text are not the first's"


@EVERY_KIND
def test_all_words_of_the_training_sentences_are_found_in_order(kind: str) -> None:
    for sentence in SENTENCES:
        text, ids, decode = _said(kind, sentence)
        for word in text.split():
            if word.isalpha() and word.isascii():
                found = find_words(text, ids, decode, [word])
                assert [one.start for one in found] == [at for at, _, _ in word_spans(text, [word])]
                assert found
                assert all(a.last_token < b.first_token for a, b in pairwise(found))
