"""Which tokens of a vocabulary stand for words: whole ones, and pieces that begin one.

Nothing here knows families of tokenizers. A token begins a word if, decoded behind another word, it
leaves that word standing alone; this holds for marks of spaces, for marks of continuation, and for
bytes. Whether it is a whole word or a piece ("surf" of "surfer") no vocabulary tells, so texts do:
the words that a model says, cut by its own tokenizer.
"""

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from shiftlens.activations.words.folding import fold
from shiftlens.activations.words.korean_particles import is_hangul, only_particles
from shiftlens.activations.words.matching import is_unspaced, split_words
from shiftlens.activations.words.stop_words import STOP_WORDS

_ANCHORS = ("the", "a", "1", ".")
_JOINERS = "\u200c\u200d"  # inside of words of Persian, Hindi, Malayalam
_FIRST_UNSPACED = "\u0e00"  # no script without spaces lies before it
_BULK = 4096  # tokens decoded at once
_PROBES = 97  # tokens on which decoding in bulk must agree with the tokenizer's own


@dataclass(frozen=True, eq=False)
class Lexicon:
    """Words that texts say: the evidence for what is a whole word.

    Attributes:
        counts: how often each form is said, as it is written.
        words: the word of each form as it is listed; of a Korean noun without its particles, where
            the texts say it with two of them, or bare.
    """

    counts: Mapping[str, int] = field(default_factory=dict[str, int])
    words: Mapping[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def of(cls, texts: Iterable[str]) -> "Lexicon":
        """Words of some texts, such as ``store.responses.values()``.

        A word that touches the end of its text may have been cut off there and is no evidence.
        Scripts without spaces give none: there every token stands for itself.
        """
        counts: Counter[str] = Counter()
        for text in texts:
            for start, end in split_words(text):
                form = text[start:end]
                if end < len(text) and is_word(form) and not any(map(is_unspaced, form)):
                    counts[form] += 1
        plain = {form: listed(form) for form in counts}
        return cls(counts, without_particles(plain))

    @cached_property
    def known(self) -> frozenset[str]:
        """Keys of all words."""
        return frozenset(map(key_of, self.words.values()))


def without_particles(words: Mapping[str, str]) -> dict[str, str]:
    """Korean nouns without the particles that they carry, where two forms agree on the noun."""
    stems: dict[str, set[str]] = {}
    for form, word in words.items():
        if all(map(is_hangul, word)):
            stems.setdefault(word, set()).add(form)
            for cut in range(1, len(word)):
                if only_particles(word[:cut], word[cut:]):
                    stems.setdefault(word[:cut], set()).add(form)
    joined = dict(words)
    taken: set[str] = set()
    # The longest noun first: what it takes is no longer there for a shorter one.
    for stem, forms in sorted(stems.items(), key=lambda one: (-len(one[0]), one[0])):
        if len(forms - taken) > 1:
            joined |= dict.fromkeys(forms - taken, stem)
            taken |= forms
    return joined


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Tokens of a tokenizer that begin a word.

    Attributes:
        ids: their numbers, ascending.
        texts: what each of them says, as it is listed.
        continues: whether any token of the vocabulary continues a word; if none does, every token
            is a whole word.
        first_tokens: number of the first token of each of some words, as said behind another word;
            none for what the tokenizer cannot say.
    """

    ids: tuple[int, ...]
    texts: tuple[str, ...]
    continues: bool
    first_tokens: Callable[[Sequence[str]], list[int | None]]

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The texts folded: tokens of one key say one word."""
        return tuple(map(key_of, self.texts))

    @cached_property
    def places(self) -> Mapping[int, int]:
        """Where each number stands in ``ids``."""
        return {number: place for place, number in enumerate(self.ids)}

    @cached_property
    def alone(self) -> tuple[str, ...]:
        """The word that each token stands for, told from the vocabulary alone; "" for pieces."""
        return tuple(
            text if not self.continues or _stands_alone(text) else "" for text in self.texts
        )

    def words(self, lexicon: Lexicon | None = None) -> tuple[str, ...]:
        """The word that each token stands for; "" where that is no word, or not decided.

        A token stands for the word that it begins more often than all others together, in the
        texts; that may be the token itself. Where no text uses it, it is taken for a whole word
        unless it is too short: below three letters in alphabets that have capitals, two in others,
        one in Han. Without texts words of grammar of two letters are known, and Hangul may have
        one. So a longer piece that no text uses can pass for a word: no vocabulary tells.

        Args:
            lexicon: words of texts.
        """
        if lexicon is None or not self.continues:
            return self.alone
        begun = self._begun(lexicon)
        return tuple(
            _settled(text, key, begun[key])
            if key in begun
            else (text if key in lexicon.known or _is_long(text) else "")
            for text, key in zip(self.texts, self.keys, strict=True)
        )

    def _begun(self, lexicon: Lexicon) -> dict[str, Counter[str]]:
        """By the key of a token, how often the texts say each word that begins with it.

        Words are cut as they are written, and as they are written inside of a sentence.
        """
        begun: dict[str, Counter[str]] = {}
        forms = list(lexicon.counts)
        cuts = self.first_tokens(forms), self.first_tokens([listed(form) for form in forms])
        for form, *numbers in zip(forms, *cuts, strict=True):
            places = [self.places.get(one) for one in numbers if one is not None]
            for place in {self.keys[one]: one for one in places if one is not None}.values():
                tally = begun.setdefault(self.keys[place], Counter())
                tally[_noun(lexicon.words[form], self.texts[place])] += lexicon.counts[form]
        return begun


def _noun(word: str, token: str) -> str:
    """A Korean word without its particles, where the tokenizer cuts it there; others whole."""
    rest = word[len(token) :]
    cut = rest and word.startswith(token) and all(map(is_hangul, word))
    return token if cut and only_particles(token, rest) else word


def _settled(text: str, key: str, said: Counter[str]) -> str:
    """The word that most uses of a token are about; without such, itself where it is said."""
    itself = next((word for word in said if key_of(word) == key), None)
    best, times = max(said.items(), key=lambda one: (one[1], one[0] == itself))
    if 2 * times > said.total():
        return text if best == itself else best
    return "" if itself is None else text


def vocabulary_of(tokenizer: Any) -> Vocabulary:
    """The tokens of a tokenizer that begin a word: letters of any script, and their marks.

    Special tokens are none. In scripts without spaces between words (Han, kana, Thai, Khmer) no
    boundary shows, and every token of whole characters begins a word.
    """
    anchor = _anchor(tokenizer)
    alone: str = tokenizer.decode(anchor, clean_up_tokenization_spaces=False)
    numbers = sorted(set(range(len(tokenizer))) - set(tokenizer.all_special_ids))
    ids: list[int] = []
    texts: list[str] = []
    continues = False
    for number, text in zip(numbers, _decoded(tokenizer, anchor, numbers), strict=True):
        rest = text[len(alone) :] if text.startswith(alone) else ""
        word = rest.strip()
        if rest[:1].isspace() or (rest[:1] >= _FIRST_UNSPACED and all(map(is_unspaced, rest))):
            if is_word(word):
                ids.append(number)
                texts.append(listed(word))
        elif not continues:
            continues = is_word(word)

    def first_tokens(words: Sequence[str]) -> list[int | None]:
        return _first_tokens(tokenizer, words)

    return Vocabulary(tuple(ids), tuple(texts), continues, first_tokens)


def is_word(text: str) -> bool:
    """Whether a text is letters and their marks, of any script, and begins with a letter."""
    if text.isalpha():
        return True
    if not text or unicodedata.category(text[0])[0] != "L":
        return False
    return all(unicodedata.category(one)[0] in "LM" or one in _JOINERS for one in text)


def listed(word: str) -> str:
    """A word as it stands in lists: lower case, composed."""
    return word.lower() if word.isascii() else unicodedata.normalize("NFC", word.lower())


def key_of(word: str) -> str:
    """What is equal for two spellings of one word: the folded form."""
    if word.isascii():
        return word.lower()
    if word.isalpha() and "\u02bc" not in word:  # the same as below, ten times as fast
        return unicodedata.normalize("NFD", unicodedata.normalize("NFD", word).casefold())
    return fold(word).text


def _is_long(text: str) -> bool:
    """Whether a token that no text uses is long enough to be taken for a word."""
    if len(text) > 2 and text.isascii():
        return True
    letters = sum(unicodedata.category(one)[0] == "L" for one in text)
    if text.lower() != text.upper():
        return letters > 2
    return letters > 1 or unicodedata.name(text[0], "").startswith("CJK")


def _stands_alone(text: str) -> bool:
    """The same where there are no texts that could tell."""
    return _is_long(text) or is_hangul(text[0]) or (len(text) > 1 and key_of(text) in STOP_WORDS)


def _anchor(tokenizer: Any) -> list[int]:
    """Tokens of a word to decode others behind."""
    for text in _ANCHORS:
        ids: list[int] = tokenizer.encode(text, add_special_tokens=False)
        if ids:
            return ids
    return []


def _decoded(tokenizer: Any, anchor: list[int], numbers: Sequence[int]) -> Iterator[str]:
    """Every token decoded behind the anchor: in bulk where that gives the same, otherwise singly.

    The tokenizer's own decoding costs a second for 150,000 tokens, its compiled part a tenth.
    """
    compiled = getattr(tokenizer, "backend_tokenizer", None)

    def singly(some: list[list[int]]) -> list[str]:
        return [tokenizer.decode(one, clean_up_tokenization_spaces=False) for one in some]

    def in_bulk(some: list[list[int]]) -> list[str]:
        return [] if compiled is None else compiled.decode_batch(some, skip_special_tokens=False)

    probes = [[*anchor, number] for number in numbers[:: max(1, len(numbers) // _PROBES)]]
    decode = in_bulk if in_bulk(probes) == singly(probes) else singly
    for start in range(0, len(numbers), _BULK):
        # Few lists at once: a hundred thousand of them would be walked by the garbage collector.
        yield from decode([[*anchor, number] for number in numbers[start : start + _BULK]])


def _first_tokens(tokenizer: Any, words: Sequence[str]) -> list[int | None]:
    """Number of the first token of each word, as said behind another word.

    None where the tokenizer replaces the word, or joins it to the one before.
    """
    if not words:
        return []
    before = next((one for one in _ANCHORS if tokenizer.encode(one, add_special_tokens=False)), "")
    anchor: list[int] = tokenizer.encode(before, add_special_tokens=False)
    spaced = [one if is_unspaced(one[0]) else f" {one}" for one in words]
    rows: list[list[int]] = tokenizer([before + one for one in spaced], add_special_tokens=False)[
        "input_ids"
    ]
    first: list[int | None] = []
    for row in rows:
        rest = row[len(anchor) :] if row[: len(anchor)] == anchor else []
        first.append(rest[0] if rest and tokenizer.unk_token_id not in rest else None)
    return first
