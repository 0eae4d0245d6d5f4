"""What steering did to answers and captions: exact answers, whole words, paired, with intervals."""

import math
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from shiftlens.activations.occurrences import word_spans
from shiftlens.core.errors import SteeringError
from shiftlens.core.intervals import Interval, wilson


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
    if not flags:
        raise SteeringError(
            "no sample to judge", remedy="take more samples, or others: none qualified"
        )
    return wilson(sum(map(bool, flags)), len(flags))


def moved(before: Sequence[str], after: Sequence[str], source: str, target: str) -> list[bool]:
    """For every answer that was ``source`` before, whether it is ``target`` after."""
    pairs = zip(before, after, strict=True)
    return [is_answer(new, target) for old, new in pairs if is_answer(old, source)]


def accuracy_loss(before: Sequence[str], after: Sequence[str], answers: Sequence[str]) -> Interval:
    """Accuracy before minus accuracy after, paired by sample.

    The interval combines the Wilson intervals of the shares that were lost and gained (Newcombe
    1998, method of recovered variances): where nothing changed, a bootstrap would claim certainty.
    """
    rows = list(zip(before, after, answers, strict=True))
    lost = share([is_answer(a, right) and not is_answer(b, right) for a, b, right in rows])
    gained = share([is_answer(b, right) and not is_answer(a, right) for a, b, right in rows])
    loss = lost.estimate - gained.estimate
    below = math.hypot(lost.estimate - lost.low, gained.high - gained.estimate)
    above = math.hypot(lost.high - lost.estimate, gained.estimate - gained.low)
    return Interval(loss, loss - below, loss + above)


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


def _bare(text: str) -> str:
    return " ".join(text.lower().split()).rstrip(" .!")
