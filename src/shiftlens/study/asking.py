"""Arms of a steering side by side on the same samples: answers, figures, lines of a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shiftlens.core.errors import SteeringError
from shiftlens.core.intervals import Interval, wilson
from shiftlens.data.sample import Samples

if TYPE_CHECKING:
    from shiftlens.models.model import Model
    from shiftlens.steering.applying import Intervention
    from shiftlens.steering.arms import Arm
    from shiftlens.steering.evaluating import Evaluation, Line

UNSTEERED, RANDOM, INSTRUCTION, TUNED = (
    "unsteered",
    "random direction",
    "instruction",
    "fine-tuned",
)
"""Names of the arms that every kind of steering may have."""


def arms_of(
    steered: "Mapping[str, Sequence[Intervention]]",
    *,
    randomised: str = "",
    instruction: str = "",
    tuned: "Model | None" = None,
    seed: int = 0,
) -> "list[Arm]":
    """What is asked beside the unsteered model.

    Args:
        steered: by the arm's name what it steers with.
        randomised: the arm whose vectors also come as a random direction of equal length, with the
            same gate; empty where ``evaluate`` brings its own.
        instruction: the baseline of saying it in words, put before every prompt.
        tuned: the baseline of fine-tuning.
        seed: of the random direction.
    """
    from shiftlens.steering.arms import Arm
    from shiftlens.steering.random_controls import random_like_this

    arms = [Arm(name, tuple(interventions)) for name, interventions in steered.items()]
    if randomised:
        random = tuple(random_like_this(one, seed) for one in steered[randomised])
        arms.append(Arm(RANDOM, random))
    if instruction:
        arms.append(Arm(INSTRUCTION, instruction=instruction))
    if tuned is not None:
        arms.append(Arm(TUNED, model=tuned))
    return arms


@dataclass(frozen=True, eq=False)
class Judged:
    """What every arm answered to the same samples, judged.

    Attributes:
        trial: its name.
        samples: what was asked.
        evaluation: of this trial alone, with the answers to all samples as examples.
    """

    trial: str
    samples: Samples
    evaluation: "Evaluation"

    @property
    def arms(self) -> list[str]:
        """Who answered, the unsteered model first."""
        return list(dict.fromkeys(line.arm for line in self.evaluation.lines))

    def texts(self, arm: str = UNSTEERED) -> list[str]:
        """The answers of an arm, in the order of the samples."""
        said = {row["id"]: row["answers"][arm] for row in self.evaluation.examples[self.trial]}
        return [said[sample.id] for sample in self.samples]

    def opened(self, arm: str) -> list[bool]:
        """For each sample whether any of the arm's gates was open; true without a gate."""
        vectors = self.evaluation.receipts[self.trial][arm]["vectors"]
        decisions = [one["gate_open"] for one in vectors if one["gate"] is not None]
        opened = [any(flags) for flags in zip(*decisions, strict=True)]
        return opened or [True] * len(self.samples)

    def line(self, arm: str, measure: str) -> "Line":
        """A measure of an arm.

        Raises:
            SteeringError: no sample qualified for it.
        """
        for line in self.evaluation.of(arm=arm, trial=self.trial):
            if line.measure == measure:
                return line
        raise SteeringError(
            f"no sample of {self.trial!r} to judge {measure!r} on",
            remedy="take more samples, or others: the unsteered answers decide who qualifies",
        )

    def has(self, arm: str, measure: str) -> bool:
        """Whether any sample qualified for a measure of an arm."""
        return any(line.measure == measure for line in self.evaluation.of(arm=arm))

    def by_chance(self, arm: str, measure: str) -> Interval:
        """The same share under random directions: the arm of its own, or the mean of the arm's."""
        if self.has(RANDOM, measure):
            return self.line(RANDOM, measure).value
        line = self.line(arm, measure)
        above = 0.0 if line.above_random is None else line.above_random.estimate
        return wilson(round((line.value.estimate - above) * line.n), line.n)

    def loss(self, arm: str, measure: str) -> Interval:
        """How much a measure fell against the unsteered model, paired by sample."""
        change = self.line(arm, measure).change
        if change is None:
            raise SteeringError(f"the arm {arm!r} is the one that others are held against")
        # From 0.0: nobody wants to read of a loss of -0.00.
        return Interval(*(0.0 - one for one in (change.estimate, change.high, change.low)))

    def receipts(self) -> list[str]:
        """Where each arm steered, one line a vector."""
        return [
            f"{arm}, {self.trial}: {line}"
            for arm, receipt in self.evaluation.receipts[self.trial].items()
            for line in receipt["summary"].splitlines()
        ]

    def lines(self) -> list[dict[str, Any]]:
        """The lines of the evaluation as JSON."""
        return [line.to_dict() for line in self.evaluation.lines]
