"""VQAv2: the official soft accuracy, by question and by type, and where answers went."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shiftlens.core.errors import SteeringError
from shiftlens.data.sample import Sample, Samples
from shiftlens.steering.measures.rates import rates_by_kind
from shiftlens.steering.measures.vqa import (
    NO_TYPE,
    Question,
    counts,
    net_change,
    normalised,
    soft_accuracy,
    transitions_by_type,
    vqa_accuracy,
)
from shiftlens.steering.tasks.registry import tasks
from shiftlens.steering.tasks.task import Measure, Scores, Task


@tasks.register("vqa")
@dataclass(frozen=True)
class VQATask(Task):
    """Answers to questions about pictures (Goyal et al. 2017), with or without a wanted change.

    ``accuracy`` is the soft accuracy of every answer, against the labels ``answers`` (those of
    several people) or ``answer``; with a source it is that of the answers that were something else,
    which nobody wants to change. ``moved``: of the samples whose unsteered answer is ``source``,
    whether it is ``target`` now. Answers are compared exactly, after the official normalisation.

    Attributes:
        source: the answer to move away from; empty where nothing is meant to move.
        target: the answer to move to.
        max_new_tokens: where an answer is cut off.
    """

    source: str = ""
    target: str = ""
    max_new_tokens: int = 16

    name = "vqa"
    measures = (
        Measure("moved", "source answers that became the target"),
        Measure(
            "accuracy", "soft accuracy", role="side effect", is_share=False, is_soft_share=True
        ),
    )

    def __post_init__(self) -> None:
        if bool(self.source) != bool(self.target):
            raise SteeringError("a source and a target belong together", allowed="both, or neither")
        if self.source and normalised(self.source) == normalised(self.target):
            raise SteeringError(f"{self.source!r} is source and target at once")

    def check(self, samples: Samples) -> None:
        """Refuse samples without a right answer."""
        for sample in samples:
            Question.of(sample.labels, sample.id)

    def score(
        self, samples: Sequence[Sample], before: Sequence[str], after: Sequence[str]
    ) -> Scores:
        """``moved`` and ``accuracy`` of every sample."""
        source, target = normalised(self.source), normalised(self.target)
        moved: list[float | None] = []
        right: list[float | None] = []
        for sample, old, new in zip(samples, before, after, strict=True):
            was_source = bool(source) and normalised(old) == source
            moved.append(float(normalised(new) == target) if was_source else None)
            question = Question.of(sample.labels, sample.id)
            right.append(None if was_source else soft_accuracy(new, question.references))
        return {"moved": moved, "accuracy": right}

    def details(
        self, samples: Sequence[Sample], before: Sequence[str], after: Sequence[str]
    ) -> dict[str, Any]:
        """Accuracy by type of answer, answer counts, and the transition matrix with its rates."""
        questions = [Question.of(sample.labels, sample.id) for sample in samples]
        accuracy = vqa_accuracy(after, questions)
        kinds = [question.kind or NO_TYPE for question in questions]
        found: dict[str, Any] = {
            "accuracy": accuracy.overall.to_dict(),
            "accuracy_by_type": {k: v.to_dict() for k, v in accuracy.by_type.items()},
            "counts": dict(sorted(counts(after).items(), key=lambda pair: -pair[1])[:20]),
            "transitions": transitions_by_type(before, after, kinds),
            "rates": rates_by_kind(kinds, before, after, samples, answers=10),
        }
        if self.source:
            change = net_change(before, after, self.source, self.target)
            found["net_change"] = {self.source: change.source, self.target: change.target}
        return found
