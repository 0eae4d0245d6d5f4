"""What steering did to answers and captions: exact answers, whole words, paired, with intervals."""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from shiftlens.activations.words.occurrences import word_spans
from shiftlens.core.errors import SteeringError
from shiftlens.core.intervals import Interval, paired_difference, wilson


def says(text: str, words: Collection[str]) -> bool:
    """Whether a text holds one of the words, whole and in any letter case."""
    return bool(words) and bool(word_spans(text, list(words)))


def is_answer(text: str, answer: str) -> bool:
    """Whether a text is an answer and nothing else; case, spaces and a last mark do not count."""
    return _bare(text) == _bare(answer)


def answer_counts(texts: Sequence[str]) -> dict[str, int]:
    """How often each answer was given, exactly."""
    return dict(Counter(_bare(text) for text in texts).most_common())


def refuses(text: str, phrases: Collection[str]) -> bool:
    """Whether a text begins with one of the refusing phrases."""
    said = words_of(text)
    return any(said[: len(words)] == words for words in map(words_of, phrases) if words)


def share(flags: Sequence[bool]) -> Interval:
    """Share of true flags with its Wilson interval.

    Raises:
        SteeringError: there are none.
    """
    _require(flags)
    return wilson(sum(map(bool, flags)), len(flags))


def moved(before: Sequence[str], after: Sequence[str], source: str, target: str) -> list[bool]:
    """For every answer that was ``source`` before, whether it is ``target`` after."""
    pairs = zip(before, after, strict=True)
    return [is_answer(new, target) for old, new in pairs if is_answer(old, source)]


def accuracy_loss(before: Sequence[str], after: Sequence[str], answers: Sequence[str]) -> Interval:
    """Accuracy before minus accuracy after, paired by sample.

    The interval is ``paired_difference``'s: where nothing changed, a bootstrap would claim
    certainty.

    Raises:
        SteeringError: there are no samples.
    """
    rows = list(zip(before, after, answers, strict=True))
    _require(rows)
    was = [is_answer(old, right) for old, _, right in rows]
    now = [is_answer(new, right) for _, new, right in rows]
    return paired_difference(now, was)


def neutralised(text: str, swaps: Mapping[str, str]) -> bool:
    """Whether a text holds no gendered word any more, and one of the neutral ones."""
    return not says(text, swaps.keys()) and says(text, swaps.values())


def rest_unchanged(before: str, after: str, swaps: Mapping[str, str]) -> bool:
    """Whether two texts agree once every gendered word is read as its neutral one."""
    lowered = {gendered.lower(): neutral.lower() for gendered, neutral in swaps.items()}

    def read(text: str) -> list[str]:
        return [lowered.get(word, word) for word in words_of(text)]

    return read(before) == read(after)


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, marks left out."""
    return re.findall(r"\w+", text.lower())


def _require(samples: Sequence[object]) -> None:
    if not samples:
        raise SteeringError(
            "no sample to judge", remedy="take more samples, or others: none qualified"
        )


def _bare(text: str) -> str:
    return " ".join(text.lower().split()).rstrip(" .!")
