"""What is asked on each half of the data, and how the answers become numbers."""

import random
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shiftlens.core.errors import SteeringError
from shiftlens.core.intervals import Interval
from shiftlens.data.sample import Sample, Samples
from shiftlens.steering.searching.asking import PLAIN, Asker, Questions
from shiftlens.steering.searching.budgets import plain
from shiftlens.steering.searching.figures import Scored, mean, worsening
from shiftlens.steering.searching.grid import Cell
from shiftlens.steering.searching.halving import rungs
from shiftlens.steering.searching.measured import Measured
from shiftlens.steering.searching.repeating import repeats
from shiftlens.steering.tasks.answers import AccuracyTask
from shiftlens.steering.tasks.task import Measure, Task

TARGET = "target"
"""Name of the data that the task is about, beside those of the off-target ones."""

Judge = Callable[[Sequence[Sample], Sequence[str]], Sequence[float | None]]
"""Scores answers where less is better: perplexity under the unsteered model."""


@dataclass(frozen=True, eq=False)
class OffTarget:
    """Data whose answers steering must leave alone.

    Attributes:
        name: short, for tables and budgets: ``loss:NAME``.
        samples: what is asked.
        task: scores the answers; by default whether they equal the label ``answer``.
        measure: which of the task's measures must not get worse; its first side effect by default.
    """

    name: str
    samples: Samples
    task: Task = field(default_factory=AccuracyTask)
    measure: str | None = None

    def __post_init__(self) -> None:
        if not self.name.strip() or self.name == TARGET or ":" in self.name:
            raise SteeringError(
                f"off-target data called {self.name!r}",
                allowed=f"a name without a colon that is not {TARGET!r}",
            )

    @property
    def watched(self) -> Measure:
        """The measure that must not get worse."""
        if self.measure is not None:
            return self.task.measure(self.measure)
        sides = [one for one in self.task.measures if one.role == "side effect"]
        return (sides or list(self.task.measures))[0]

    @property
    def cost(self) -> str:
        """What its cost is called: a loss of accuracy, or the measure itself."""
        watched = plain(self.watched.name)
        return f"{'loss' if watched == 'accuracy' else watched}:{self.name}"


@dataclass(frozen=True, eq=False)
class Aim:
    """What is searched for.

    Attributes:
        task: scores answers.
        objective: the measure that is to grow, or to shrink where less is better.
        off_target: what must be left alone.
        judges: further costs by name.
    """

    task: Task
    objective: Measure
    off_target: tuple[OffTarget, ...]
    judges: Mapping[str, Judge]

    @property
    def costs(self) -> tuple[str, ...]:
        """Names of all costs, in the order of tables."""
        sets = [one.name for one in self.off_target]
        return (
            *(one.cost for one in self.off_target),
            *(plain(one.name) for one in self.task.measures if one.role == "side effect"),
            *(f"first_token_kl:{name}" for name in sets or [TARGET]),
            *(f"repeats:{name}" for name in (TARGET, *sets)),
            *(f"{plain(judge)}:{name}" for judge in self.judges for name in (TARGET, *sets)),
        )


@dataclass(frozen=True, eq=False)
class Side:
    """One half of all data.

    Attributes:
        target: what the task is about.
        off_target: the other questions, in the order of ``Aim.off_target``.
    """

    target: Questions
    off_target: tuple[Questions, ...]

    @property
    def questions(self) -> tuple[Questions, ...]:
        """All of them."""
        return (self.target, *self.off_target)


def halves(aim: Aim, samples: Samples, *, n: int | None, seed: int) -> tuple[Side, Side]:
    """Cut all data into a half that chooses and one that reports; a picture is in one of them.

    Args:
        aim: what is searched for; its off-target data are cut alike.
        samples: what the task is about.
        n: samples of each data set in each half, at most.
        seed: of the cut and of the order.

    Raises:
        SteeringError: too few samples to cut, or without the labels that a task needs.
    """
    everything = [(TARGET, samples, aim.task)]
    everything += [(one.name, one.samples, one.task) for one in aim.off_target]
    if len({name for name, *_ in everything}) < len(everything):
        raise SteeringError("two off-target data sets have the same name")
    cut: list[list[Questions]] = [[], []]
    for name, data, task in everything:
        task.check(data)
        for half, part in enumerate(data.split(0.5, 0.5, seed=seed)):
            if not len(part):
                raise SteeringError(
                    f"{name}: {len(data)} samples cannot be cut into two halves by picture",
                    allowed="samples of at least two pictures",
                )
            order = list(part)
            random.Random(f"{seed}/{name}/{half}").shuffle(order)
            label = name if half == 0 else f"held-out {name}"
            kept = tuple(order[:n])
            cuts = rungs(len(kept), halving=True) if half == 0 else ()
            cut[half].append(Questions(label, kept, task.max_new_tokens, cuts))
    choosing, reporting = (Side(side[0], tuple(side[1:])) for side in cut)
    return choosing, reporting


def measure(
    aim: Aim, side: Side, asker: Asker, arm: Hashable, name: str, cell: Cell | None
) -> Measured:
    """What one arm's answers so far come to.

    Args:
        aim: what is searched for.
        side: which half.
        asker: what was said.
        arm: whose answers.
        name: for people.
        cell: of the arm.

    Raises:
        SteeringError: a score that is no finite number, or not one a sample.
    """
    said = asker.answers(arm, side.target)
    before, after, samples = _texts(asker, side.target, arm)
    scores = _scores(aim.task, samples, before, after)
    values = scores[aim.objective.name]
    groups = side.target.groups[: len(samples)]
    return Measured(
        name=name,
        n=len(samples),
        counted=sum(value is not None for value in values),
        effect=mean(values, groups, is_share=aim.objective.is_share),
        costs=_costs(aim, side, asker, arm, scores),
        cell=cell,
        dose=said.dose,
        touched=said.touched,
        lower_is_better=not aim.objective.higher_is_better,
    )


def _costs(
    aim: Aim, side: Side, asker: Asker, arm: Hashable, scores: Mapping[str, Any]
) -> dict[str, Interval]:
    found: dict[str, Interval | None] = {}
    before, _, samples = _texts(asker, side.target, arm)
    groups = side.target.groups[: len(samples)]
    unsteered = _scores(aim.task, samples, before, before)
    for one in aim.task.measures:
        if one.role == "side effect":
            found[plain(one.name)] = _worse(one, unsteered[one.name], scores[one.name], groups)
    for beside, questions in zip(aim.off_target, side.off_target, strict=True):
        old, new, asked = _texts(asker, questions, arm)
        watched = beside.watched
        old, new = (_scores(beside.task, asked, old, one)[watched.name] for one in (old, new))
        found[beside.cost] = _worse(watched, old, new, questions.groups[: len(asked)])
    names = [TARGET, *(one.name for one in aim.off_target)]
    for name, questions in zip(names, side.questions, strict=True):
        found |= _of_texts(aim, asker, arm, name, questions)
    return {name: one for name in aim.costs if (one := found.get(name)) is not None}


def _worse(
    one: Measure, before: Scored, after: Scored, groups: Sequence[Hashable]
) -> Interval | None:
    return worsening(
        before, after, groups, is_share=one.is_share, higher_is_better=one.higher_is_better
    )


def _of_texts(
    aim: Aim, asker: Asker, arm: Hashable, name: str, questions: Questions
) -> dict[str, Interval | None]:
    """What any answers can cost: a moved first token, repetition, what judges say."""
    old, new, asked = _texts(asker, questions, arm)
    groups = questions.groups[: len(asked)]
    flags = [[float(repeats(text)) for text in texts] for texts in (old, new)]
    found = {
        f"first_token_kl:{name}": mean(asker.answers(arm, questions).kl, groups, is_share=False),
        f"repeats:{name}": worsening(
            flags[0], flags[1], groups, is_share=True, higher_is_better=False
        ),
    }
    for label, judge in aim.judges.items():
        found[f"{plain(label)}:{name}"] = worsening(
            judge(asked, old), judge(asked, new), groups, is_share=False, higher_is_better=False
        )
    return found


def _texts(
    asker: Asker, questions: Questions, arm: Hashable
) -> tuple[list[str], list[str], list[Sample]]:
    """Unsteered and steered answers to the questions that the arm was asked, and those."""
    after = asker.answers(arm, questions).texts
    before = asker.answers(PLAIN, questions).texts[: len(after)]
    return before, after, list(questions.samples[: len(after)])


def _scores(
    task: Task, samples: Sequence[Sample], before: Sequence[str], after: Sequence[str]
) -> Mapping[str, Sequence[float | None]]:
    scores = task.score(samples, before, after)
    for one in task.measures:
        given = scores.get(one.name)
        if given is None or len(given) != len(samples):
            count = "no" if given is None else str(len(given))
            raise SteeringError(
                f"the task {task.name!r} gave {count} scores {one.name!r} to {len(samples)} samples"
            )
    return scores
