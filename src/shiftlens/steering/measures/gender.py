"""Whether captions stopped naming a gender, and whether they say the same otherwise."""

from collections.abc import Collection, Mapping
from typing import Literal

from shiftlens.activations.words.occurrences import word_spans
from shiftlens.core.errors import SteeringError
from shiftlens.steering import outcomes
from shiftlens.steering.measures.gendered_words import FEMININE, FIXED, MASCULINE, SWAPS

Gender = Literal["feminine", "masculine", "both"]

_PRONOUNS = {"he", "him", "his", "himself", "she", "her", "hers", "herself"}


def gendered_words(text: str, words: Collection[str] = SWAPS) -> list[str]:
    """The gendered words that a text says, in order, in lower case.

    Whole words only: ``human``, ``mankind`` and ``sherbet`` say none; ``man's`` says ``man``. What
    stands within one of ``FIXED``, such as ``man-made``, is no word of its own.
    """
    said = word_spans(_without_fixed(text), list(words)) if words else []
    return [word.lower() for _, _, word in said]


def is_gendered(text: str, words: Collection[str] = SWAPS) -> bool:
    """Whether a text says a gendered word."""
    return bool(gendered_words(text, words))


def gender_of(text: str) -> Gender | None:
    """Which gender a text names, to check it where the gender is known; ``None`` for none."""
    feminine, masculine = is_gendered(text, FEMININE), is_gendered(text, MASCULINE)
    if feminine and masculine:
        return "both"
    if feminine:
        return "feminine"
    return "masculine" if masculine else None


def neutralised(before: str, after: str, swaps: Mapping[str, str] = SWAPS) -> bool | None:
    """Whether a gendered caption became a neutral one; ``None`` where it was not gendered.

    It must say no gendered word any more, and the neutral counterpart of one that it said before:
    a caption that no longer speaks of a person, or no longer speaks, is not neutralised. Where a
    noun was gendered the counterpart must be a noun's: ``their`` alone may be the dog's.
    """
    said = gendered_words(before, swaps)
    if not said:
        return None
    nouns = [word for word in said if word not in _PRONOUNS]
    lowered = lowered_swaps(swaps)
    wanted = {lowered[word] for word in nouns or said}
    return not is_gendered(after, swaps) and outcomes.says(after, wanted)


def rest_unchanged(before: str, after: str, swaps: Mapping[str, str] = SWAPS) -> bool | None:
    """Whether a caption agrees with its gendered original but for the gendered words.

    ``None`` where the original was not gendered. ``her`` is read as ``their``, so that ``a dog runs
    to her`` agrees with ``a dog runs to their``, not with ``them``.
    """
    if not is_gendered(before, swaps):
        return None
    return outcomes.rest_unchanged(before, after, swaps)


def lowered_swaps(swaps: Mapping[str, str]) -> dict[str, str]:
    """Swaps of one's own, checked, in lower case; add to the default ones with ``SWAPS | mine``.

    Raises:
        SteeringError: there are none, a word is empty, or a neutral word is itself gendered.
    """
    lowered = {word.strip().lower(): neutral.strip().lower() for word, neutral in swaps.items()}
    for word, neutral in lowered.items():
        if not word or not neutral:
            raise SteeringError(f"an empty word in the swap {word!r} to {neutral!r}")
        if neutral in lowered:
            raise SteeringError(
                f"{word!r} would become {neutral!r}, which is itself to be swapped",
                allowed="neutral words that are not among the gendered ones",
            )
    if not lowered:
        raise SteeringError("no gendered words to look for", allowed='{"man": "person", ...}')
    return lowered


def _without_fixed(text: str) -> str:
    for start, end, _ in word_spans(text, FIXED):
        text = text[:start] + "." * (end - start) + text[end:]
    return text
