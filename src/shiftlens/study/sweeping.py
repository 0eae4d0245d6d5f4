"""One steering at several strengths: effect against side effects, for the front of the report.

Nothing is chosen here: the strength of the experiment was named before, and stands among the rest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from shiftlens.core.intervals import Interval
from shiftlens.study.asking import UNSTEERED, Judged
from shiftlens.study.trial import Trial

if TYPE_CHECKING:
    from shiftlens.steering.applying import Intervention
    from shiftlens.steering.evaluating import Evaluation, Line
    from shiftlens.steering.searching.measured import Measured
    from shiftlens.steering.tasks import Task

_ZERO = Interval(0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Asked:
    """What every strength is asked: a task and samples, and what is known of them already.

    Attributes:
        task: that scores answers.
        judged: the unsteered answers and those at the experiment's own strength.
    """

    task: "Task"
    judged: Judged

    @property
    def name(self) -> str:
        """Of the data."""
        return self.judged.trial


def sweep(
    trial: Trial,
    asked: Sequence[Asked],
    arm: str,
    interventions: "Sequence[Intervention]",
    effect: str,
    *,
    budgets: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """``{"sweep": ...}`` as metrics.json holds it; empty where the experiment names no strengths.

    Args:
        trial: the steering.
        asked: first what the steering is for, then what it must leave alone.
        arm: that was judged with these interventions, at the experiment's own strength.
        interventions: of that arm.
        effect: the measure of the first task that counts.
        budgets: for a measure of a side effect what the experiment allows it to cost.
    """
    if not trial.spec.strengths:
        return {}
    from shiftlens.steering.searching.pareto import front

    own = interventions[0].strength
    further = sorted({*trial.spec.strengths} - {own})
    strengths = sorted((*further, own))
    known = [one.judged.evaluation for one in asked]
    found = [_evaluated(trial, asked, interventions, further)] if further else []
    cells = [
        _measured(trial, asked, known, arm, own, effect)
        if strength == own
        else _measured(trial, asked, found, _name(strength), strength, effect)
        for strength in strengths
    ]
    unsteered = _unsteered(known[0], asked[0].name, effect, cells[0])
    heads = list(dict.fromkeys(name.partition(":")[0] for name in cells[0].costs))
    places = {id(one): place for place, one in enumerate(cells)}
    fronts = {
        cost: [places[id(one)] for one in front((unsteered, *cells), cost) if id(one) in places]
        for cost in (*heads, "dose")
    }
    return {
        "sweep": {
            "effect": asked[0].task.measure(effect).label,
            "strengths": strengths,
            "cells": [one.to_dict() for one in cells],
            "chosen": strengths.index(own),
            "fronts": fronts,
            "against": next(iter(fronts)),
            "budgets": [f"{name} <= {most:g}" for name, most in (budgets or {}).items()],
        }
    }


def _name(strength: float) -> str:
    return f"strength {strength:g}"


def _evaluated(
    trial: Trial,
    asked: Sequence[Asked],
    interventions: "Sequence[Intervention]",
    strengths: Sequence[float],
) -> "Evaluation":
    from shiftlens.steering.arms import Arm
    from shiftlens.steering.evaluating import Trial as Question
    from shiftlens.steering.evaluating import evaluate

    arms = [
        Arm(_name(strength), tuple(replace(one, strength=strength) for one in interventions))
        for strength in strengths
    ]
    return evaluate(
        trial.model,
        [Question(one.name, one.task, one.judged.samples) for one in asked],
        arms,
        controls=0,
        fluency=False,
        n_examples=0,
        batch_size=trial.context.experiment.batch_size,
        seed=trial.context.experiment.seed,
        progress=trial.context.progress,
    )


def _measured(
    trial: Trial,
    asked: Sequence[Asked],
    found: "Sequence[Evaluation]",
    arm: str,
    strength: float,
    effect: str,
) -> "Measured":
    from shiftlens.steering.searching.grid import Cell
    from shiftlens.steering.searching.measured import Measured

    target, spec = asked[0].name, trial.spec
    line = found[0].find(arm, target, effect)
    # Fluency is measured of the experiment's own strength alone.
    counted = {(one.name, measure.name) for one in asked for measure in one.task.measures}
    costs = {
        f"{one.measure}:{one.trial}": cost
        for evaluation in found
        for one in evaluation.of(arm=arm)
        if one.role == "side effect"
        and (one.trial, one.measure) in counted
        and (cost := _cost(one)) is not None
    }
    vectors = found[0].receipts[target][arm]["vectors"]
    tokens = sum(one["tokens"] for one in vectors)
    layer = trial.model.address.layer(spec.layer, trial.model.name)
    return Measured(
        name=_name(strength),
        n=len(asked[0].judged.samples),
        counted=line.n,
        effect=line.value,
        costs=costs,
        cell=Cell(layer, strength, "add", spec.scope),
        dose=sum(one["tokens"] * one["dose"] for one in vectors) / tokens if tokens else 0.0,
        touched=max((one["touched"] for one in vectors), default=0),
    )


def _unsteered(found: "Evaluation", target: str, effect: str, like: "Measured") -> "Measured":
    """The model as it is: no cost, and the effect that it has by itself."""
    line = found.find(UNSTEERED, target, effect)
    costs = dict.fromkeys(like.costs, _ZERO)
    return replace(like, name=UNSTEERED, effect=line.value, costs=costs, cell=None, dose=0.0)


def _cost(line: "Line") -> Interval | None:
    """How much worse than without steering; a share that only steered answers have, less than 1."""
    one = line.change
    if one is None:
        whole = line.value
        if not line.higher_is_better or not 0 <= whole.low <= whole.high <= 1:
            return None
        return Interval(1 - whole.estimate, 1 - whole.high, 1 - whole.low)
    if not line.higher_is_better:
        return one
    return Interval(0.0 - one.estimate, 0.0 - one.high, 0.0 - one.low)
