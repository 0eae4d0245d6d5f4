"""VQAv2's soft accuracy, and which answers became which (Antol et al. 2015; Goyal et al. 2017)."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shiftlens.core.errors import SteeringError
from shiftlens.core.intervals import Interval, bootstrap_mean, wilson
from shiftlens.steering.measures.contractions import CONTRACTIONS

OTHER = "(other)"
"""Row and column of all rarer answers in a transition matrix; no normalised answer has brackets."""

NO_TYPE = "(no type)"
"""The answer type of questions whose labels have none."""

Transitions = dict[str, dict[str, int]]
"""For each answer before, how often each answer was given after it."""

_MARKS = ';/[]"{}()=+\\_-><@`,?!'
_COMMA_IN_NUMBER = re.compile(r"\d,\d")
_PERIOD = re.compile(r"\.(?!\d)")  # a period before a digit belongs to a number
_NUMBERS = {
    "none": "0",
    "zero": "0",
    "one": "1",
    "two": "2",
    "three": "3",
    "four": "4",
    "five": "5",
    "six": "6",
    "seven": "7",
    "eight": "8",
    "nine": "9",
    "ten": "10",
}
_ARTICLES = {"a", "an", "the"}


def normalised(answer: str) -> str:
    """An answer as VQAv2's evaluation compares it.

    Lower case; tabs and line ends are spaces; marks become a space, or nothing where one stands
    beside a space or a number holds a comma; periods vanish but before a digit; number words up to
    ten become digits; articles are dropped; contractions get their apostrophe back. Apostrophes and
    colons stay: ``3:35`` is not ``3``. Never a part of an answer: the whole.
    """
    text = answer.replace("\n", " ").replace("\t", " ").strip()
    words = (_NUMBERS.get(word, word) for word in _without_marks(text).lower().split())
    return " ".join(CONTRACTIONS.get(word, word) for word in words if word not in _ARTICLES)


def soft_accuracy(answer: str, references: Sequence[str], *, as_script: bool = False) -> float:
    """How right one answer is, from 0 to 1.

    With several references: each annotator is left out in turn, an answer that three of the others
    gave is right, and the turns are averaged. Fewer than four annotators can therefore never reach
    1. With a single reference: 1 where both are equal once they are normalised, else 0.

    Args:
        answer: what the model said.
        references: what the annotators said, one entry each.
        as_script: the documentation normalises answers and references alike, and so does this. The
            authors' script, as in their repository and in LAVIS 1.0.2, only takes the marks from
            references, and not even those where all annotators agree: an answer ``1`` never matches
            a reference ``one``. True does the same, to compare with figures made by it. Where every
            reference is normalised already, both agree. Editions of the script that others have
            changed differ again.

    Raises:
        SteeringError: there are no references.
    """
    if not references:
        raise SteeringError(
            "a question without any reference answer", allowed="at least one reference"
        )
    said, right = normalised(answer), [normalised(one) for one in references]
    if len(right) == 1:
        return float(said == right[0])
    if as_script:
        differ = len(set(references)) > 1
        right = [_without_marks(one) if differ else one for one in references]
    matches = sum(said == one for one in right)
    turns = (min(1.0, (matches - (said == one)) / 3) for one in right)
    return sum(turns) / len(right)


@dataclass(frozen=True)
class Question:
    """What is known about one question.

    Attributes:
        references: the answers that count as right, one for each annotator.
        kind: the answer type, such as ``yes/no``, ``number`` or ``other``.
    """

    references: tuple[str, ...]
    kind: str = NO_TYPE

    @classmethod
    def of(cls, labels: Mapping[str, Any], name: str = "") -> "Question":
        """Read a sample's labels.

        Args:
            labels: ``answers``, a list of texts or of VQAv2's ``{"answer": ...}``, or else
                ``answer``, a text; ``answer_type`` or else ``kind``, where it is known.
            name: of the sample, for the message.

        Raises:
            SteeringError: there is no answer, or one that is no text.
        """
        given = labels.get("answers")
        listed = list(given) if isinstance(given, list | tuple) else [labels.get("answer")]
        texts = [one.get("answer") if isinstance(one, Mapping) else one for one in listed]
        kept = tuple(text for text in texts if isinstance(text, str))
        if not kept or len(kept) < len(texts):
            raise SteeringError(
                f"sample {name!r} has no reference answers" if name else "no reference answers",
                allowed='labels like {"answers": ["yes", "yes", "no"]} or {"answer": "yes"}',
            )
        kinds = [labels[key] for key in ("answer_type", "kind") if labels.get(key) is not None]
        return cls(kept, str(kinds[0]) if kinds else NO_TYPE)


@dataclass(frozen=True)
class VQAAccuracy:
    """Soft accuracy of many answers.

    Attributes:
        per_answer: one number for each question, in order, from 0 to 1.
        overall: mean over questions, not over types.
        by_type: mean over the questions of each answer type.
    """

    per_answer: tuple[float, ...]
    overall: Interval
    by_type: dict[str, Interval]


def vqa_accuracy(
    answers: Sequence[str],
    questions: Sequence[Question],
    *,
    as_script: bool = False,
    seed: int = 0,
    draws: int = 2000,
) -> VQAAccuracy:
    """Soft accuracy of each answer, of each answer type and of all questions.

    Args:
        answers: what the model said, one for each question.
        questions: references and answer types.
        as_script: see ``soft_accuracy``.
        seed: of the bootstrap.
        draws: of the bootstrap; where every answer is right or wrong, Wilson's interval serves.

    Raises:
        SteeringError: there are no questions, or not one answer for each.
    """
    _paired(answers, questions)
    each = [
        soft_accuracy(said, question.references, as_script=as_script)
        for said, question in zip(answers, questions, strict=True)
    ]
    groups: dict[str, list[float]] = {}
    for question, score in zip(questions, each, strict=True):
        groups.setdefault(question.kind, []).append(score)

    def mean(values: list[float]) -> Interval:
        if set(values) <= {0.0, 1.0}:
            return wilson(int(sum(values)), len(values))
        return bootstrap_mean(values, seed=seed, draws=draws)

    return VQAAccuracy(tuple(each), mean(each), {kind: mean(groups[kind]) for kind in groups})


def counts(answers: Sequence[str]) -> dict[str, int]:
    """How often each whole answer was given once normalised, the commonest first."""
    return dict(Counter(map(normalised, answers)).most_common())


def transitions(before: Sequence[str], after: Sequence[str], *, top: int = 10) -> Transitions:
    """How often each answer became each other.

    Args:
        before: answers of the unsteered model.
        after: answers to the same questions.
        top: how many answers have a row and a column, the commonest of both runs; all others share
            ``OTHER``, so that its own cell also holds changes among them.

    Raises:
        SteeringError: there are no answers, not equally many, or ``top`` is below 1.
    """
    matrix: Transitions = {}
    pairs = Counter(zip(*named(before, after, top=top), strict=True))
    for (was, now), count in pairs.most_common():
        matrix.setdefault(was, {})[now] = count
    return matrix


def named(
    before: Sequence[str], after: Sequence[str], *, top: int = 10
) -> tuple[list[str], list[str]]:
    """Answers as a transition matrix of ``top`` answers calls them; see ``transitions``."""
    _paired(before, after)
    if top < 1:
        raise SteeringError(f"a transition matrix of {top} answers", allowed="1 or more")
    old, new = list(map(normalised, before)), list(map(normalised, after))
    kept = {answer for answer, _ in Counter(old + new).most_common(top)}
    first, second = (
        [answer if answer in kept else OTHER for answer in answers] for answers in (old, new)
    )
    return first, second


def transitions_by_type(
    before: Sequence[str], after: Sequence[str], kinds: Sequence[str], *, top: int = 10
) -> dict[str, Transitions]:
    """One transition matrix for each answer type; each has its own commonest answers.

    Args:
        before: answers of the unsteered model.
        after: answers to the same questions.
        kinds: the answer type of each question.
        top: how many answers of each type have a row and a column.

    Raises:
        SteeringError: there are no answers, not equally many, or ``top`` is below 1.
    """
    _paired(before, after)
    _paired(before, kinds)
    groups: dict[str, tuple[list[str], list[str]]] = {}
    for kind, was, now in zip(kinds, before, after, strict=True):
        olds, news = groups.setdefault(kind, ([], []))
        olds.append(was)
        news.append(now)
    return {kind: transitions(*pair, top=top) for kind, pair in groups.items()}


@dataclass(frozen=True)
class NetChange:
    """By how much two answers became commoner or rarer.

    Attributes:
        source: count of the answer to move away from, after minus before.
        target: count of the answer to move to, after minus before.
    """

    source: int
    target: int


def net_change(before: Sequence[str], after: Sequence[str], source: str, target: str) -> NetChange:
    """Change of two answers' counts (Khayatan et al. 2025, table 2), whole answers only.

    Raises:
        SteeringError: there are no answers, not equally many, or source and target are one answer.
    """
    _paired(before, after)
    if normalised(source) == normalised(target):
        raise SteeringError(f"{source!r} and {target!r} are the same answer once normalised")
    old, new = Counter(map(normalised, before)), Counter(map(normalised, after))
    by = [new[normalised(one)] - old[normalised(one)] for one in (source, target)]
    return NetChange(*by)


def _without_marks(text: str) -> str:
    """Marks as a space or as nothing, by the official rule; letter case and words stay."""
    glued = _COMMA_IN_NUMBER.search(text) is not None
    cleaned = text
    for mark in _MARKS:
        beside_space = f"{mark} " in text or f" {mark}" in text
        cleaned = cleaned.replace(mark, "" if beside_space or glued else " ")
    return _PERIOD.sub("", cleaned)


def _paired(left: Sequence[object], right: Sequence[object]) -> None:
    if not left or len(left) != len(right):
        raise SteeringError(
            f"{len(left)} and {len(right)} rows cannot be compared",
            allowed="equally many, at least one",
        )
