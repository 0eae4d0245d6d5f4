"""``Task``: what is asked, and how each answer counts."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from shiftlens.core.errors import SteeringError
from shiftlens.data.sample import Sample, Samples

Scores = Mapping[str, Sequence[float | None]]
"""For each measure one number a sample, ``None`` where it says nothing about that sample."""


@dataclass(frozen=True)
class Measure:
    """One number that a task gives each answer.

    Attributes:
        name: short, for files and budgets.
        label: for people.
        role: whether it is what steering is for, or what it must leave alone.
        higher_is_better: which way is good.
        is_share: whether every score is 0 or 1, so that the mean is a share.
        is_soft_share: whether every score lies between 0 and 1. Where all of them happen to be at
            the ends the mean is a share all the same, with a share's interval.
    """

    name: str
    label: str
    role: Literal["effect", "side effect"] = "effect"
    higher_is_better: bool = True
    is_share: bool = True
    is_soft_share: bool = False


class Task(ABC):
    """Scores answers, sample by sample, so that two runs can be compared in pairs.

    A task is a frozen dataclass of its own settings: it can be written down.
    """

    name: str
    measures: tuple[Measure, ...]
    max_new_tokens: int = 24

    def check(self, samples: Samples) -> None:  # noqa: B027 - many tasks need no labels
        """Refuse samples without the labels that the task needs.

        Raises:
            SteeringError: the message names a sample and what it lacks.
        """

    @abstractmethod
    def score(
        self, samples: Sequence[Sample], before: Sequence[str], after: Sequence[str]
    ) -> Scores:
        """Score answers.

        Args:
            samples: what was asked.
            before: answers of the unsteered model, to say what changed.
            after: the answers that are scored; the unsteered model's own are scored with
                ``after`` equal to ``before``.
        """

    def details(
        self,
        samples: Sequence[Sample],  # noqa: ARG002
        before: Sequence[str],  # noqa: ARG002
        after: Sequence[str],  # noqa: ARG002
    ) -> dict[str, Any]:
        """What is worth seeing beside the scores, as JSON: counts, a transition matrix."""
        return {}

    def measure(self, name: str) -> Measure:
        """The measure of a name.

        Raises:
            SteeringError: there is none; the message lists them.
        """
        for one in self.measures:
            if one.name == name:
                return one
        raise SteeringError(
            f"the task {self.name!r} has no measure {name!r}",
            allowed=", ".join(one.name for one in self.measures),
        )


def label_of(sample: Sample, key: str, kind: type[Any], example: str) -> Any:
    """A sample's label, of the right type.

    Raises:
        SteeringError: it has none, or one of another type.
    """
    value = sample.labels.get(key)
    if not isinstance(value, kind):
        raise SteeringError(
            f"sample {sample.id!r} has no label {key!r} of the right type",
            allowed=f"labels like {example}",
        )
    return value


def words_from(value: Any, what: str) -> list[str]:
    """Words or phrases of a setting: a list of texts, or one text with commas, as it is typed.

    Raises:
        SteeringError: it is neither, or one of them is blank.
    """
    listed: list[Any]
    if isinstance(value, str):
        listed = value.split(",") if value.strip() else []
    else:
        listed = list(value) if isinstance(value, list | tuple) else [value]
    if not all(isinstance(one, str) and one.strip() for one in listed):
        raise SteeringError(
            f"{value!r} are no {what}", allowed=f'{what} like ["beach", "forest"], or beach,forest'
        )
    return [one.strip() for one in listed]
