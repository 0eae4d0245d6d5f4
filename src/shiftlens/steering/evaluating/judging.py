"""Asking one arm one trial, and scoring what it says and what its random controls say."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import fsum

from shiftlens.core.progress import Progress
from shiftlens.models.model import Model, Response
from shiftlens.steering.arms import Arm
from shiftlens.steering.evaluating.perplexity import log_probabilities
from shiftlens.steering.evaluating.trials import Trial
from shiftlens.steering.measures.fluency import longest_run, repeated_share
from shiftlens.steering.receipt import Receipt
from shiftlens.steering.tasks.task import Measure, Scores

FLUENCY = (
    Measure(
        "repeats",
        "word triples said before",
        role="side effect",
        higher_is_better=False,
        is_share=False,
        is_soft_share=True,
    ),
    Measure(
        "longest_run",
        "longest run of one word",
        role="side effect",
        higher_is_better=False,
        is_share=False,
    ),
    Measure(
        "surprise",
        "nats a token to the unsteered model",
        role="side effect",
        higher_is_better=False,
        is_share=False,
    ),
)
"""What is measured of every answer, whatever the task: is it still language?"""


@dataclass(eq=False)
class Judged:
    """One arm's answers to one trial, with their scores.

    Attributes:
        arm: who answered.
        said: the answers.
        receipt: of the steering, where there was any.
        scores: of the answers.
        random: scores of the answers under each random control.
    """

    arm: Arm
    said: list[Response]
    receipt: Receipt | None
    scores: Scores
    random: list[Scores] = field(default_factory=list[Scores])

    @property
    def texts(self) -> list[str]:
        """The answers as texts."""
        return [one.text for one in self.said]


@dataclass(frozen=True)
class Asking:
    """How arms are asked.

    Attributes:
        model: who is steered, and who finds answers surprising.
        controls: random directions for each arm that steers.
        fluency: whether ``FLUENCY`` is measured.
        batch_size: samples at once.
        seed: of random directions.
        progress: who is told.
    """

    model: Model
    controls: int
    fluency: bool
    batch_size: int
    seed: int
    progress: Progress | None

    @property
    def measures(self) -> tuple[Measure, ...]:
        """What is measured beside the task's own measures."""
        return FLUENCY if self.fluency else ()

    def ask(self, trial: Trial, arm: Arm, plain: Judged | None) -> Judged:
        """An arm's answers, its random controls' where it steers, and their scores.

        Args:
            trial: what is asked.
            arm: who is asked.
            plain: the unsteered answers to the same trial; ``None`` for these themselves.

        Raises:
            SteeringError: something that cannot be steered.
            DataError: a picture cannot be read.
        """
        said, receipt = self._answer(trial, arm)
        before = [one.text for one in said] if plain is None else plain.texts
        scores = dict(self._scores(trial, before, said))
        if self.fluency:
            scores["surprise"] = self._surprise(trial, said)
        judged = Judged(arm, said, receipt, scores)
        for number in range(self.controls if arm.interventions else 0):
            random, _ = self._answer(trial, arm.control(self.seed * 10_007 + number * 101 + 1))
            judged.random.append(self._scores(trial, before, random))
        return judged

    def _answer(self, trial: Trial, arm: Arm) -> tuple[list[Response], Receipt | None]:
        return arm.answer(
            self.model,
            trial.samples,
            max_new_tokens=trial.task.max_new_tokens,
            batch_size=self.batch_size,
            progress=self.progress,
        )

    def _scores(self, trial: Trial, before: list[str], said: list[Response]) -> Scores:
        """The task's, and those of fluency that cost no pass."""
        texts = [one.text for one in said]
        scores = dict(trial.task.score(trial.samples, before, texts))
        if self.fluency:
            scores["repeats"] = [repeated_share(text) for text in texts]
            scores["longest_run"] = [float(longest_run(text)) for text in texts]
        return scores

    def _surprise(self, trial: Trial, said: list[Response]) -> list[float | None]:
        """Mean negative log probability of each answer's tokens; none where nothing was said.

        Every arm's answers are read behind the trial's own prompts: an instruction that an arm was
        given is not there to make them likely.
        """
        likely = log_probabilities(
            self.model,
            list(trial.samples),
            said,
            batch_size=self.batch_size,
            progress=self.progress,
        )
        return [-fsum(values) / len(values) if values else None for values in likely]


def columns_of(
    measure: Measure, judged: Judged, n: int
) -> tuple[Sequence[float | None], list[Sequence[float | None]]]:
    """An arm's scores of a measure, and those of each of its random controls that has any."""
    nothing: list[float | None] = [None] * n
    random = [scores[measure.name] for scores in judged.random if measure.name in scores]
    return judged.scores.get(measure.name, nothing), random
