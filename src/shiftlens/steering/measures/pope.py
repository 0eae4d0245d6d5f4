"""POPE: does the model see objects that are not there? (Li et al. 2023.) With real labels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from shiftlens.core.errors import SteeringError
from shiftlens.core.intervals import Interval, bootstrap, wilson
from shiftlens.steering.outcomes import words_of

Reply = Literal["yes", "no", "unclear"]


def reply_of(text: str) -> Reply:
    """What a free text answers: its first word where that is yes or no, else ``unclear``.

    ``Not that I can see`` and ``There is no dog`` are unclear. The authors' script reads a no out
    of any ``no`` or ``not`` in the first sentence and takes everything else for a yes, ``Perhaps``
    and silence too: on replies in free words its figures are others.
    """
    first = words_of(text)[:1]
    if first == ["yes"]:
        return "yes"
    return "no" if first == ["no"] else "unclear"


@dataclass(frozen=True)
class PopeFigures:
    """Figures of yes-no answers, ``yes`` being the positive class.

    An unclear reply is wrong, and neither a yes nor a no: it lowers accuracy and recall, never
    precision.

    Attributes:
        n: how many questions.
        accuracy: share of right replies.
        precision: of the objects said to be there, the share that is; ``None`` if none was said to.
        recall: of the objects that are there, the share said to be; ``None`` if none is there.
        f1: harmonic mean of both; ``None`` if no object is there nor was said to be.
        yes_ratio: share of replies that are yes; right is the share of labels that are.
        unclear: share of replies that are neither.
        n_unclear: how many are.
    """

    n: int
    accuracy: Interval
    precision: Interval | None
    recall: Interval | None
    f1: Interval | None
    yes_ratio: Interval
    unclear: Interval
    n_unclear: int


def pope(texts: Sequence[str], labels: Sequence[str]) -> PopeFigures:
    """Judge replies against the truth.

    Shares have Wilson's interval. So has F1, through the share J of true positives among all
    questions but true negatives: F1 = 2J / (1 + J), which rises with J. A bootstrap would claim
    certainty of a run without mistakes.

    Args:
        texts: what the model said.
        labels: ``yes`` or ``no`` for each.

    Raises:
        SteeringError: there are no questions, not one label each, or another label than yes and no.
    """
    said, truth = _parsed(texts, labels)
    yes, there = said == 1, truth == 1
    hits, n = int((yes & there).sum()), len(truth)
    union = int((yes | there).sum())

    def share(successes: int, out_of: int) -> Interval | None:
        return wilson(successes, out_of) if out_of else None

    overlap = share(hits, union)
    unclear = int((said < 0).sum())
    return PopeFigures(
        n=n,
        accuracy=wilson(int((said == truth).sum()), n),
        precision=share(hits, int(yes.sum())),
        recall=share(hits, int(there.sum())),
        f1=overlap and _f1_interval(overlap),
        yes_ratio=wilson(int(yes.sum()), n),
        unclear=wilson(unclear, n),
        n_unclear=unclear,
    )


def pope_by_split(
    texts: Sequence[str], labels: Sequence[str], splits: Sequence[str]
) -> dict[str, PopeFigures]:
    """The figures of each split (random, popular, adversarial).

    Raises:
        SteeringError: as ``pope``, or there is not one split for each question.
    """
    _equally_many(texts, splits)
    _equally_many(texts, labels)
    groups: dict[str, tuple[list[str], list[str]]] = {}
    for split, text, label in zip(splits, texts, labels, strict=True):
        some, right = groups.setdefault(split, ([], []))
        some.append(text)
        right.append(label)
    return {split: pope(*group) for split, group in groups.items()}


def correct(texts: Sequence[str], labels: Sequence[str]) -> list[bool]:
    """For each question whether the reply is right, for paired comparisons.

    Raises:
        SteeringError: as ``pope``.
    """
    said, truth = _parsed(texts, labels)
    return [bool(flag) for flag in said == truth]


def f1_change(
    before: Sequence[str],
    after: Sequence[str],
    labels: Sequence[str],
    *,
    seed: int = 0,
    draws: int = 2000,
) -> Interval:
    """F1 after minus F1 before, the same questions resampled for both.

    Raises:
        SteeringError: as ``pope``, or F1 is undefined in one of the runs.
    """
    columns = [*_parsed(before, labels), _parsed(after, labels)[0]]
    for said in (columns[0], columns[2]):
        if not ((said == 1) | (columns[1] == 1)).any():
            raise SteeringError(
                "F1 of replies without any yes to questions whose answer is no",
                allowed="at least one label or reply that is yes",
            )
    return bootstrap(_f1_difference, *columns, seed=seed, draws=draws)


def _f1_difference(old: np.ndarray, truth: np.ndarray, new: np.ndarray) -> float:
    def f1(said: np.ndarray) -> float:
        wrong_or_hit = int(((said == 1) | (truth == 1)).sum())
        hits = int(((said == 1) & (truth == 1)).sum())
        return _f1_of_overlap(hits / wrong_or_hit) if wrong_or_hit else float("nan")

    return f1(new) - f1(old)


def _f1_interval(overlap: Interval) -> Interval:
    ends = (overlap.estimate, overlap.low, overlap.high)
    return Interval(*map(_f1_of_overlap, ends))


def _f1_of_overlap(overlap: float) -> float:
    return 2 * overlap / (1 + overlap)


def _parsed(texts: Sequence[str], labels: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Replies (1 yes, 0 no, -1 unclear) and labels (1 yes, 0 no)."""
    _equally_many(texts, labels)
    codes = {"yes": 1, "no": 0, "unclear": -1}
    code: Callable[[str], int] = codes.__getitem__
    truth: list[int] = []
    for index, label in enumerate(labels):
        bare = label.strip().lower()
        if bare not in ("yes", "no"):
            raise SteeringError(f"the label of question {index} is {label!r}", allowed="yes, no")
        truth.append(code(bare))
    return np.array([code(reply_of(text)) for text in texts]), np.array(truth)


def _equally_many(texts: Sequence[str], others: Sequence[str]) -> None:
    if not texts or len(texts) != len(others):
        raise SteeringError(
            f"{len(texts)} replies to {len(others)} questions", allowed="as many, at least one"
        )
