"""From one short answer to another, and whether right answers stay right."""

from collections.abc import Sequence
from dataclasses import dataclass

from shiftlens.core.errors import SteeringError
from shiftlens.data.sample import Sample, Samples
from shiftlens.steering.outcomes import is_answer
from shiftlens.steering.tasks.registry import tasks
from shiftlens.steering.tasks.task import Measure, Scores, Task, label_of


@tasks.register("answers")
@dataclass(frozen=True)
class AnswersTask(Task):
    """Turn one answer into another (Khayatan et al. 2025, section 5.2).

    ``moved``: of the samples whose unsteered answer is ``source``, whether the answer is ``target``
    now. ``accuracy``: of the others, whose answer nobody wants to change, whether it is the label
    ``answer``; it says nothing about samples without that label.

    Attributes:
        source: the answer to move away from, exactly, but for case and a last mark.
        target: the answer to move to.
        max_new_tokens: where an answer is cut off.
    """

    source: str
    target: str
    max_new_tokens: int = 8

    name = "answers"
    measures = (
        Measure("moved", "source answers that became the target"),
        Measure("accuracy", "other answers that are right", role="side effect"),
    )

    def __post_init__(self) -> None:
        for side in (self.source, self.target):
            if not side.strip():
                raise SteeringError("an empty answer to move from or to", allowed="yes, no, dog")
        if is_answer(self.source, self.target):
            raise SteeringError(f"{self.source!r} is source and target at once")

    def score(
        self, samples: Sequence[Sample], before: Sequence[str], after: Sequence[str]
    ) -> Scores:
        """``moved`` and ``accuracy`` of every sample."""
        moved: list[float | None] = []
        right: list[float | None] = []
        for sample, old, new in zip(samples, before, after, strict=True):
            was_source = is_answer(old, self.source)
            answer = sample.labels.get("answer")
            moved.append(float(is_answer(new, self.target)) if was_source else None)
            judged = not was_source and isinstance(answer, str)
            right.append(float(is_answer(new, str(answer))) if judged else None)
        return {"moved": moved, "accuracy": right}


@tasks.register("accuracy")
@dataclass(frozen=True)
class AccuracyTask(Task):
    """Whether an answer is the right one, exactly: what steering towards something else may cost.

    Attributes:
        max_new_tokens: where an answer is cut off.
    """

    max_new_tokens: int = 8

    name = "accuracy"
    measures = (Measure("accuracy", "answers that are right", role="side effect"),)

    def check(self, samples: Samples) -> None:
        """Refuse samples without a right answer."""
        for sample in samples:
            label_of(sample, "answer", str, '{"answer": "yes"}')

    def score(
        self,
        samples: Sequence[Sample],
        before: Sequence[str],  # noqa: ARG002
        after: Sequence[str],
    ) -> Scores:
        """1 where the answer is the label ``answer``."""
        pairs = zip(samples, after, strict=True)
        return {"accuracy": [float(is_answer(new, str(s.labels["answer"]))) for s, new in pairs]}
