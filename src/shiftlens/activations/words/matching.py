"""Whole words in a text of any script, without any tokenizer.

A word is whole where no letter, digit or mark touches it. Scripts that write no spaces (Han, kana,
Thai, Lao, Khmer, Burmese) have no such edges: there a word may touch its neighbours, but a run of
katakana is one word. Korean nouns may carry particles. Nothing is ever cut inside of what a reader
sees as one character: a letter with its marks, a syllable, an emoji with its skin tone.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby, pairwise

from shiftlens.activations.words.folding import Folded, fold, is_ignored, needs_turkic
from shiftlens.activations.words.korean_particles import is_hangul, only_particles
from shiftlens.core.errors import DataError

Words = Sequence[str | tuple[str, Sequence[str]]] | Mapping[str, Sequence[str]]
"""Words to look for, some or all with their other forms: ``{"dog": ("dogs", "puppy")}``, or the
same in pairs, ``[("dog", ("dogs", "puppy")), "cat"]``."""

_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u19e0-\u19ff\u1a20-\u1aaf\ua9e0-\ua9ff\uaa60-\uaa7f"
    "\u3005\u3007\u3040-\u30ff\u3100-\u312f\u31a0-\u31bf\u31f0-\u31ff\u3400-\u9fff\uf900-\ufaff"
    "\uff66-\uff9f\U00020000-\U0003ffff]"
)
_KATAKANA = re.compile("[\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f]")
_JOINERS = frozenset("\u200c\u200d")
_ZWJ = "\u200d"
_SELECTORS = frozenset(map(chr, range(0xFE00, 0xFE10)))  # how the character before them is drawn


@dataclass(frozen=True)
class Match:
    """A whole word in a text.

    Attributes:
        start: its first character in the text.
        end: one behind its last.
        form: the form that was found, as it was asked for.
        word: what the form stands for; itself where no forms were given.
    """

    start: int
    end: int
    form: str
    word: str


def forms_of(words: Words) -> dict[str, str]:
    """Every form that is looked for, with the word that it stands for; a word is one of its forms.

    Raises:
        DataError: a form is blank, or stands for two words.
    """
    if isinstance(words, str):
        raise DataError(f"words {words!r} are one text", allowed=f'a list: ["{words}"]')
    entries = words.items() if isinstance(words, Mapping) else words
    pairs = [
        (form, word)
        for word, forms in ((one, ()) if isinstance(one, str) else one for one in entries)
        for form in (word, *_listed(word, forms))
    ]
    return dict(_distinct(tuple(pairs)))


def find_matches(text: str, words: Words) -> list[Match]:
    """Every whole occurrence of the words, in order; letter case does not count.

    What lies inside of a longer match is not an occurrence of its own: where both "dog" and "hot
    dog" are asked for, "a hot dog" says the latter. Matches that overlap otherwise all count.

    Args:
        text: where to look.
        words: what to look for. A space in a word stands for any white space.

    Raises:
        DataError: a form is blank, or stands for two words.
    """
    forms = forms_of(words)
    found = [
        Match(start, end, form, word)
        for form, word in forms.items()
        for start, end in _spans(text, form)
    ]
    found.sort(key=lambda one: (one.start, -one.end))
    kept: list[Match] = []
    reached = 0
    for one in found:
        if one.end > reached:
            kept.append(one)
            reached = one.end
    return kept


def find_inside(text: str, words: Words) -> list[tuple[str, str]]:
    """Longer words that hold a form inside of them, each with the form: ("snowman", "man").

    Raises:
        DataError: a form is blank, or stands for two words.
    """
    forms = forms_of(words)
    whole = {(one.start, one.end) for one in find_matches(text, words)}
    found: list[tuple[str, str]] = []
    for start, end in split_words(text):
        if (start, end) in whole or any(s < end and start < e for s, e in whole):
            continue
        said = text[start:end]
        holds = [form for form in forms if fold(form).text in fold(said).text]
        if holds:
            found.append((said, max(holds, key=len)))
    return found


def split_words(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of every run of letters, digits and marks.

    A run in a script without spaces is one piece here, however many words it holds.
    """
    start: int | None = None
    for index, character in enumerate(text):
        inside = is_word_character(character) or (start is not None and is_ignored(character))
        if inside and start is None:
            start = index
        elif not inside and start is not None:
            yield start, index
            start = None
    if start is not None:
        yield start, len(text)


def pieces(text: str, start: int, end: int, ends: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Start and end of the words of one run: cut where tokens end, in scripts without spaces.

    Args:
        text: what was said.
        start, end: of the run, as ``split_words`` gives it.
        ends: places of the text where a token ends.
    """
    for unspaced, run in groupby(range(start, end), key=lambda at: is_unspaced(text[at])):
        places = list(run)
        first, last = places[0], places[-1] + 1
        inner = {at for at in ends if first < at < last and is_edge(text, at)} if unspaced else ()
        yield from pairwise([first, *sorted(inner), last])


def is_word_character(character: str) -> bool:
    """Whether a character is part of words: a letter, a digit, an underscore, a mark, a joiner."""
    return (
        character.isalnum()
        or character == "_"
        or character in _JOINERS
        or unicodedata.category(character)[0] == "M"
    )


def is_unspaced(character: str) -> bool:
    """Whether a character is of a script that writes words without spaces."""
    return _UNSPACED.match(character) is not None


def is_edge(text: str, at: int) -> bool:
    """Whether a word may end before the character at ``at``, and another one begin with it."""
    return not _continues(text[at]) and _is_edge(text[at - 1], text[at])


def _listed(word: str, forms: Sequence[str]) -> Sequence[str]:
    if isinstance(forms, str):
        raise DataError(
            f"the forms of {word!r} are one text, {forms!r}", allowed=f'a list: ["{forms}"]'
        )
    return forms


@lru_cache(maxsize=256)
def _distinct(pairs: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """Forms that differ, each once."""
    seen: dict[str, tuple[str, str]] = {}
    for form, word in pairs:
        key = " ".join(fold(form).text.split())
        if not key:
            raise DataError(f"the form {form!r} of {word!r} is blank", allowed="a word: dog")
        first = seen.setdefault(key, (form, word))
        if fold(first[1]).text != fold(word).text:
            raise DataError(
                f"the form {form!r} stands for both {first[1]!r} and {word!r}",
                remedy="give each form to one word",
            )
    return tuple(seen.values())


def _spans(text: str, form: str) -> list[tuple[int, int]]:
    """Start and end of every whole occurrence of one form."""
    spans = _folded_spans(text, fold(text), fold(form).text)
    if needs_turkic(text) or needs_turkic(form):
        turkic = _folded_spans(text, fold(text, turkic=True), fold(form, turkic=True).text)
        spans = sorted({*spans, *turkic})
    return spans


def _folded_spans(text: str, folded: Folded, form: str) -> list[tuple[int, int]]:
    pattern = _pattern(form)
    spans: list[tuple[int, int]] = []
    at = 0
    while found := pattern.search(folded.text, at):
        span = _original(text, folded, *found.span())
        if span is not None:
            spans.append(span)
        at = found.end() if span is not None else found.start() + 1
    return spans


@lru_cache(maxsize=1024)
def _pattern(form: str) -> re.Pattern[str]:
    return re.compile(r"\s+".join(re.escape(part) for part in form.split()))


def _original(text: str, folded: Folded, first: int, last: int) -> tuple[int, int] | None:
    """The place in the text itself, or none where the edges are not those of a word."""
    covered = folded.origin[first:last]
    start, end = min(covered), max(covered) + 1
    before = folded.origin[first - 1] if first else None
    after = folded.origin[last] if last < len(folded.origin) else None
    if any(place is not None and start <= place < end for place in (before, after)):
        return None  # it begins or ends inside of a character, as "s" does in "ß"
    left = None if before is None else text[before]
    right = None if after is None else text[after]
    if left is not None and (left == _ZWJ or not _is_edge(text[start], left)):
        return None
    if right is not None and after is not None and not _ends(text, start, end, right, after):
        return None
    while end < len(text) and text[end] in _SELECTORS:
        end += 1
    return start, end


def _ends(text: str, start: int, end: int, right: str, after: int) -> bool:
    """Whether a word may end before the character ``right``, which stands at ``after``."""
    if _continues(right):
        return False
    if _is_edge(text[end - 1], right):
        return True
    if not (is_hangul(text[end - 1]) and is_hangul(right)):
        return False
    stop = next((i for i in range(after, len(text)) if not is_word_character(text[i])), len(text))
    rest = text[after:stop]
    return all(map(is_hangul, rest)) and only_particles(text[start:end], rest)


def _continues(character: str) -> bool:
    """Whether a reader sees a character as part of the one before it."""
    return (
        unicodedata.category(character)[0] == "M"
        or character == _ZWJ
        or 0x1160 <= ord(character) <= 0x11FF  # vowels and finals of a Hangul syllable
        or 0x1F3FB <= ord(character) <= 0x1F3FF  # skin tones
    )


def _is_edge(inside: str, outside: str) -> bool:
    """Whether a word may begin or end between two characters."""
    if not (is_word_character(inside) and is_word_character(outside)):
        return True
    if _KATAKANA.match(inside) and _KATAKANA.match(outside):
        return False
    return is_unspaced(inside) or is_unspaced(outside)
