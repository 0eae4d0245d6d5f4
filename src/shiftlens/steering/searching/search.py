"""``search``: the best setting on one half of the data, measured again on the other."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any

from shiftlens.core.errors import SteeringError
from shiftlens.core.intervals import Interval
from shiftlens.core.progress import Progress, Silent
from shiftlens.data.sample import Samples
from shiftlens.models.model import Model
from shiftlens.steering.intervening import Intervention
from shiftlens.steering.operators import Operator
from shiftlens.steering.random_controls import random_like_this
from shiftlens.steering.scopes import Scope
from shiftlens.steering.searching.asking import PLAIN, Asker
from shiftlens.steering.searching.budgets import (
    Budget,
    excess,
    keeps,
    read_budget,
    require_known,
)
from shiftlens.steering.searching.figures import gap
from shiftlens.steering.searching.found import Search
from shiftlens.steering.searching.grid import Cell, Directions, Gates, grid
from shiftlens.steering.searching.halving import dropped, rungs
from shiftlens.steering.searching.ledger import Ledger
from shiftlens.steering.searching.measured import Measured
from shiftlens.steering.searching.sides import Aim, Judge, OffTarget, Side, halves, measure
from shiftlens.steering.tasks.task import Measure, Task

_SHOWN = 12  # examples that are kept


def search(
    model: Model,
    task: Task,
    samples: Samples,
    *,
    directions: Directions,
    layers: Sequence[int],
    strengths: Sequence[float],
    operators: Sequence[str | Operator] = ("add",),
    scopes: Sequence[str | Scope] = ("response",),
    gates: Gates | None = None,
    off_target: Sequence[OffTarget] = (),
    budgets: Sequence[str | Budget] = (),
    objective: str | None = None,
    judges: Mapping[str, Judge] | None = None,
    out: str | Path | None = None,
    n: int | None = None,
    halving: bool = True,
    controls: int = 3,
    seed: int = 0,
    batch_size: int = 32,
    progress: Progress | None = None,
) -> Search:
    """Find the layer, strength, operator, scope and gate with the greatest effect within budgets.

    All data are cut in two by picture. Every cell is asked the first half; the best one that keeps
    the budgets is asked the second half, beside random directions of equal length: the number that
    is reported never comes from the data that chose. Of equal effects that which moves
    off-target first tokens least wins, then the smaller dose.

    Give directions and gates that were fitted on other samples than these.

    Args:
        model: who is steered.
        task: scores answers; its objective is what is searched for.
        samples: what the task is about.
        directions: for each layer its vector or affine edit; see ``layer_directions``.
        layers: blocks; negative ones count from the end.
        strengths: none of them 0, which is always measured.
        operators: ``add``, ``add-keeping-norm``, ``ablate``, ``move-to:TARGET``.
        scopes: positions, as in ``steer``.
        gates: by name; a gate, a function from a layer to a gate, or ``None`` for no gate.
        off_target: data whose answers must stay what they are.
        budgets: bounds on costs: ``loss <= .01``, ``first_token_kl <= .5``, ``repeats <= .05``, a
            side effect of the task.
        objective: the task's measure that counts; its first effect by default.
        judges: further costs by name, each scoring answers, less being better.
        out: directory where answers are kept as they come, and the result in the end; a search that
            was interrupted goes on there.
        n: samples of each data set in each half, at most.
        halving: ask worse cells fewer samples; see ``searching.halving`` for the rule.
        controls: how many random directions the chosen cell is compared with, at least 1.
        seed: of the cut, the order and the controls.
        batch_size: questions at once.
        progress: who is told.

    Returns:
        the chosen setting, its figures on the reporting half, all cells and their fronts.

    Raises:
        SteeringError: a cell that cannot work, a budget on nothing that is measured, no cell within
            the budgets, or an effect that says nothing about any sample.
        DataError: a picture cannot be read.
        MismatchError: a vector of another model.
    """
    if controls < 1:
        raise SteeringError(f"{controls} random controls", allowed="at least 1")
    if n is not None and n < 1:
        raise SteeringError(f"{n} samples a cell", allowed="at least 1")
    aim = Aim(task, _objective(task, objective), tuple(off_target), judges or {})
    bounds = [read_budget(one) for one in budgets]
    require_known(bounds, aim.costs)
    cells = grid(
        model,
        directions,
        layers=layers,
        strengths=strengths,
        operators=operators,
        scopes=scopes,
        gates=gates,
    )
    choosing, reporting = halves(aim, samples, n=n, seed=seed)
    root = None if out is None else Path(out)
    asker = Asker(model, Ledger(root), batch_size=batch_size, progress=progress or Silent())
    run = _Run(aim, bounds, cells, asker)
    table = run.choose(choosing, halving=halving)
    best = run.best(table)
    found = Search(
        cells=tuple(table.values()),
        unsteered=measure(aim, choosing, asker, PLAIN, "unsteered", None),
        chosen=table[best],
        **run.report(reporting, table[best], best, controls, seed),
        budgets=tuple(map(str, bounds)),
        intervention=cells[best],
        about=_about(model, aim, samples, (choosing, reporting), seed, halving=halving),
    )
    if root is not None:
        found.save(root)
    return found


@dataclass(frozen=True, eq=False)
class _Run:
    """A search under way."""

    aim: Aim
    budgets: Sequence[Budget]
    cells: Mapping[Cell, Intervention]
    asker: Asker

    def choose(self, side: Side, *, halving: bool) -> dict[Cell, Measured]:
        """Ask cells, rung by rung, and drop those that are not worth more."""
        ladders = [rungs(len(one.samples), halving=halving) for one in side.questions]
        steps = max(map(len, ladders))
        ladders = [(*one, *(one[-1],) * (steps - len(one))) for one in ladders]
        alive, table = dict(self.cells), dict[Cell, Measured]()
        for step, ends in enumerate(zip(*ladders, strict=True)):
            for questions, end in zip(side.questions, ends, strict=True):
                label = f"rung {step + 1} of {steps}: {questions.name}"
                self.asker.ask(questions, {PLAIN: None, **alive}, end, label)
            now = {
                cell: measure(self.aim, side, self.asker, cell, cell.name, cell) for cell in alive
            }
            gone = dropped(now, self.budgets) if step + 1 < steps else {}
            table |= {c: one.left_at(gone[c]) if c in gone else one for c, one in now.items()}
            alive = {cell: one for cell, one in alive.items() if cell not in gone}
            if not alive:
                break
        return {cell: table[cell] for cell in self.cells}

    def best(self, table: Mapping[Cell, Measured]) -> Cell:
        """The cell with the greatest effect within budgets; of equal ones the gentlest."""
        able = {c: one.merit for c, one in table.items() if not one.dropped and one.merit}
        if not able and all(one.merit is None for one in table.values()):
            most = max(one.n for one in table.values())
            raise SteeringError(
                f"the effect {self.aim.objective.name!r} says nothing about any of {most} samples",
                remedy="take more samples, or others: none qualified",
            )
        within = [cell for cell in able if keeps(self.budgets, table[cell].costs)]
        if not within:
            raise SteeringError(*_nearest(table, self.budgets), remedy=_SMALLER)
        return min(within, key=lambda c: (-able[c].estimate, *_price(table[c]), abs(c.strength)))

    def report(
        self, side: Side, chosen: Measured, cell: Cell, controls: int, seed: int
    ) -> dict[str, Any]:
        """The chosen cell and its controls on the half that chose nothing."""
        one = self.cells[cell]
        names = [f"random {number}" for number in range(controls)]
        arms: dict[Any, Intervention | None] = {PLAIN: None, cell: one}
        arms |= {name: random_like_this(one, seed + at) for at, name in enumerate(names)}
        for questions in side.questions:
            self.asker.ask(questions, arms, len(questions.samples), questions.name)
        mine = measure(self.aim, side, self.asker, cell, cell.name, cell)
        if mine.effect is None:
            raise SteeringError(
                f"the effect {self.aim.objective.name!r} says nothing about any of {mine.n} "
                "held-out samples",
                remedy="take more samples, or others: none qualified",
            )
        return {
            "held_out": mine,
            "held_out_unsteered": measure(self.aim, side, self.asker, PLAIN, "unsteered", None),
            "controls": tuple(
                measure(self.aim, side, self.asker, name, name, cell) for name in names
            ),
            "winners_curse": _curse(chosen, mine),
            "examples": self._examples(side, cell),
        }

    def _examples(self, side: Side, cell: Cell) -> tuple[dict[str, Any], ...]:
        """The first samples that the effect counts, with their answers."""
        asked = side.target.samples
        before, after = (self.asker.answers(arm, side.target).texts for arm in (PLAIN, cell))
        scores = self.aim.task.score(asked, before, after)[self.aim.objective.name]
        counted = [at for at, score in enumerate(scores) if score is not None]
        return tuple(
            {
                "id": asked[at].id,
                "prompt": asked[at].prompt,
                "unsteered": before[at],
                "steered": after[at],
                "score": scores[at],
            }
            for at in counted[:_SHOWN]
        )


_SMALLER = "try smaller strengths, other layers or a gate, or raise the budget"


def _objective(task: Task, name: str | None) -> Measure:
    if name is not None:
        return task.measure(name)
    effects = [one for one in task.measures if one.role == "effect"]
    if not effects:
        raise SteeringError(
            f"the task {task.name!r} measures no effect, so nothing can be searched for",
            allowed="a task with an effect, or an objective by name",
        )
    return effects[0]


def _price(one: Measured) -> tuple[float, float]:
    """What decides between equal effects: a gated cell is gentle elsewhere, not where it acts."""
    moved = one.worst("first_token_kl")
    return (0.0 if moved is None else moved.estimate, one.dose)


def _nearest(table: Mapping[Cell, Measured], budgets: Sequence[Budget]) -> tuple[str]:
    """What to say where no cell keeps the budgets: the one that comes nearest, and by how much."""
    cell = min(table, key=lambda one: excess(budgets, table[one].costs))
    costs = [
        f"{name} {one.estimate:.3f}"
        for name, one in table[cell].costs.items()
        if any(budget.covers(name) and one.estimate > budget.limit for budget in budgets)
    ]
    effect = table[cell].effect
    said = "unknown" if effect is None else f"{effect.estimate:.2f}"
    return (
        f"none of {len(table)} cells keeps the budgets ({', '.join(map(str, budgets))}); "
        f"the nearest is {cell.name}: {', '.join(costs)}, effect {said}",
    )


def _curse(chosen: Measured, again: Measured) -> Interval:
    assert chosen.merit is not None  # it was chosen for it
    assert again.merit is not None  # asked before
    return gap(chosen.merit, again.merit)


def _about(
    model: Model,
    aim: Aim,
    samples: Samples,
    sides: tuple[Side, Side],
    seed: int,
    *,
    halving: bool,
) -> dict[str, Any]:
    return {
        "task": {"name": aim.task.name, **_settings(aim.task)},
        "objective": {"name": aim.objective.name, "label": aim.objective.label},
        "model": {"name": model.name, "adapter": model.adapter, "identity": model.identity},
        "data": {
            "target": samples.fingerprint,
            **{one.name: one.samples.fingerprint for one in aim.off_target},
        },
        "n": {
            half: {one.name.removeprefix("held-out "): len(one.samples) for one in side.questions}
            for half, side in zip(("choosing", "reporting"), sides, strict=True)
        },
        "seed": seed,
        "halving": halving,
    }


def _settings(task: Any) -> dict[str, Any]:
    """A task's own settings; what is no JSON is written as text."""
    given = asdict(task) if is_dataclass(task) and not isinstance(task, type) else {}
    return json.loads(json.dumps(given, default=str))
