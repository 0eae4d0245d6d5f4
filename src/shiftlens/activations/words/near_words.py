"""What was said and is nearly a word that was looked for: inflections and compounds of it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from shiftlens.activations.words.folding import fold
from shiftlens.activations.words.matching import (
    Words,
    find_matches,
    forms_of,
    is_unspaced,
    split_words,
)

_STEM = 4  # letters that two words begin with in common, at least
_SHARE = 0.55  # of the letters of either word


@dataclass(frozen=True)
class NearWord:
    """A word that was said, was not looked for, and is like one that was.

    Attributes:
        said: the word, in small letters.
        form: the form that it is like.
        how: ``begins with it``, ``ends with it``, ``holds it`` or ``shares its stem``.
        occurrences: how often it was said.
        samples: in how many texts.
    """

    said: str
    form: str
    how: str
    occurrences: int
    samples: int

    @property
    def inflects(self) -> bool:
        """Whether it may be another form of the word rather than another word."""
        return self.how in ("begins with it", "shares its stem")

    def to_dict(self) -> dict[str, Any]:
        """JSON."""
        return {
            "said": self.said,
            "form": self.form,
            "how": self.how,
            "occurrences": self.occurrences,
            "samples": self.samples,
        }


@dataclass
class _Tally:
    form: str
    how: str
    occurrences: int = 0
    samples: set[int] = field(default_factory=set[int])


def near_words(texts: Iterable[str], words: Words) -> list[NearWord]:
    """Near misses in some texts, the commonest first.

    A word is near if a form is part of it ("dogs", "snowman" for "man"), or if both begin with the
    same letters, most of what they have ("puppies" for "puppy"). Forms that change inside ("men")
    are not found: no rule tells them from other words.

    Args:
        texts: responses, one a sample.
        words: what was looked for.

    Raises:
        DataError: a form is blank, or stands for two words.
    """
    forms = list(forms_of(words))
    tallies: dict[str, _Tally] = {}
    seen: dict[str, tuple[str, str] | None] = {}
    for number, text in enumerate(texts):
        for said in _unmatched(text, words):
            if said not in seen:
                seen[said] = _kinship(said, forms)
            kin = seen[said]
            if kin is not None:
                tally = tallies.setdefault(said.lower(), _Tally(*kin))
                tally.occurrences += 1
                tally.samples.add(number)
    found = [
        NearWord(said, one.form, one.how, one.occurrences, len(one.samples))
        for said, one in tallies.items()
    ]
    return sorted(found, key=lambda one: (-one.occurrences, one.said))


def _unmatched(text: str, words: Words) -> Iterator[str]:
    """Words of a text in which nothing was found."""
    matched = [(one.start, one.end) for one in find_matches(text, words)]
    for start, end in split_words(text):
        if not any(first < end and start < last for first, last in matched):
            yield text[start:end]


def _kinship(said: str, forms: Sequence[str]) -> tuple[str, str] | None:
    """The form that a word is like, and how."""
    folded = fold(said).text
    inside = [form for form in forms if fold(form).text in folded]
    if inside:
        longest = max(inside, key=len)
        return longest, _how(folded, fold(longest).text)
    kin = next((form for form in forms if _share_stem(said, form)), None)
    return None if kin is None else (kin, "shares its stem")


def _how(said: str, form: str) -> str:
    if said.startswith(form):
        return "begins with it"
    return "ends with it" if said.endswith(form) else "holds it"


def _share_stem(said: str, form: str) -> bool:
    if is_unspaced(said[0]) or " " in form:
        return False
    one, other = fold(said).text, fold(form).text
    pairs = enumerate(zip(one, other, strict=False))
    common = next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))
    return common >= max(_STEM, _SHARE * len(one), _SHARE * len(other))
