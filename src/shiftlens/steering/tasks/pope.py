"""POPE: does the model see what is not there? With real labels, and an F1 that can fail."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shiftlens.core.errors import SteeringError
from shiftlens.core.intervals import Interval
from shiftlens.data.sample import Sample, Samples
from shiftlens.steering.measures.pope import correct, f1_change, pope_by_split, reply_of
from shiftlens.steering.tasks.registry import tasks
from shiftlens.steering.tasks.task import Measure, Scores, Task, label_of


@tasks.register("pope")
@dataclass(frozen=True)
class PopeTask(Task):
    """Yes or no: is the thing in the picture? (Li et al. 2023)

    ``right``: whether the answer begins with the label ``answer``; ``hallucinated``: of what is not
    there, whether the answer says yes. Precision, recall and F1 stand in the details, by the label
    ``split``.

    Attributes:
        max_new_tokens: where an answer is cut off.
    """

    max_new_tokens: int = 16

    name = "pope"
    measures = (
        Measure("right", "right answers"),
        Measure("hallucinated", "things seen that are not there", higher_is_better=False),
    )

    def check(self, samples: Samples) -> None:
        """Refuse samples without a label, or with another than yes and no."""
        for sample in samples:
            label = label_of(sample, "answer", str, '{"answer": "yes"}')
            if _bare(label) not in ("yes", "no"):
                raise SteeringError(
                    f"the answer of sample {sample.id!r} is {label!r}", allowed="yes, no"
                )

    def score(
        self,
        samples: Sequence[Sample],
        before: Sequence[str],  # noqa: ARG002
        after: Sequence[str],
    ) -> Scores:
        """``right`` and ``hallucinated`` of every sample."""
        labels = [str(sample.labels["answer"]) for sample in samples]
        seen: list[float | None] = [
            float(reply_of(text) == "yes") if _bare(label) == "no" else None
            for text, label in zip(after, labels, strict=True)
        ]
        return {"right": [float(flag) for flag in correct(after, labels)], "hallucinated": seen}

    def details(
        self, samples: Sequence[Sample], before: Sequence[str], after: Sequence[str]
    ) -> dict[str, Any]:
        """Precision, recall and F1 by split, and how F1 changed, where there is an F1."""
        labels = [str(sample.labels["answer"]) for sample in samples]
        splits = [str(sample.labels.get("split", "all")) for sample in samples]
        by_split = pope_by_split(after, labels, splits)
        shown = {
            name: {
                key: value.to_dict() if isinstance(value, Interval) else value
                for key, value in vars(figures).items()
            }
            for name, figures in by_split.items()
        }
        return {"by_split": shown, "f1_change": _f1_change(before, after, labels)}


def _f1_change(
    before: Sequence[str], after: Sequence[str], labels: Sequence[str]
) -> dict[str, float] | None:
    """``None`` where nothing is there and a run saw nothing: it has no F1."""
    seen = any(_bare(label) == "yes" for label in labels) or all(
        any(reply_of(text) == "yes" for text in run) for run in (before, after)
    )
    return f1_change(before, after, labels).to_dict() if seen else None


def _bare(label: str) -> str:
    return label.strip().lower()
