"""``Search``: what a search found, what it cost, and the intervention that it chose."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shiftlens.concepts.vectors import SteeringVector
from shiftlens.core.errors import ExportError, SteeringError, StoreError
from shiftlens.core.intervals import Interval
from shiftlens.core.manifest import read_json, write_json
from shiftlens.steering.intervening import Intervention
from shiftlens.steering.keeping.steering import FILE as WHOLE
from shiftlens.steering.keeping.steering import Steering
from shiftlens.steering.operators import read_operator
from shiftlens.steering.searching.budgets import read_budget, standing
from shiftlens.steering.searching.grid import UNGATED
from shiftlens.steering.searching.measured import Measured
from shiftlens.steering.searching.pareto import front

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FILE, VECTOR = "search.json", "best"
_SCHEMA = 1
_LAST = ("first_token_kl", "repeats")  # costs that are only looked at where there is no other


@dataclass(frozen=True, eq=False)
class Search:
    """The table of a search; everything was chosen on one half of the data.

    Attributes:
        cells: every setting on the choosing half.
        unsteered: the model as it is, on the choosing half.
        chosen: the best of ``cells`` that keeps the budgets.
        held_out: the same setting on the reporting half, which chose nothing.
        held_out_unsteered: the model as it is, on the reporting half.
        controls: random directions of equal length in the chosen setting, on the reporting half.
        winners_curse: effect on the choosing half minus that on the reporting half, turned so that
            more is better; what was chosen for being best looks better than it is.
        budgets: what the chosen cell had to keep.
        intervention: the chosen one, ready for ``steer``; ``None`` where it could not be read back.
        about: JSON: task, objective, data, model, seed.
        examples: some samples of the reporting half with answers before and after.
    """

    cells: tuple[Measured, ...]
    unsteered: Measured
    chosen: Measured
    held_out: Measured
    held_out_unsteered: Measured
    controls: tuple[Measured, ...]
    winners_curse: Interval
    budgets: tuple[str, ...]
    intervention: Intervention | None
    about: Mapping[str, Any]
    examples: tuple[Mapping[str, Any], ...] = field(default=())

    def __repr__(self) -> str:
        return (
            f"Search({self.chosen.name} of {len(self.cells)} settings, "
            f"held out {_said(self.held_out.effect)})"
        )

    def _repr_html_(self) -> str:
        from shiftlens.steering.told import search_card

        return search_card(self)

    @property
    def best(self) -> Intervention:
        """The chosen intervention, ready for ``steer``.

        Raises:
            SteeringError: it was read from a file, which cannot hold its gate: a program.
        """
        if self.intervention is None:
            raise SteeringError(
                f"the chosen setting ({self.chosen.name}) cannot be read back whole",
                remedy="take its vector and give it the gate or scope that it had",
            )
        return self.intervention

    @property
    def steering(self) -> Steering:
        """The chosen intervention with what was found of it, to be saved, shared and exported.

        Raises:
            SteeringError: see ``best``.
        """
        told = self.summary().splitlines()
        return Steering(
            (self.best,),
            name=self.best.vector.name,
            description=f"{told[0]}. {told[1]}.",
            provenance={
                "made by": "search",
                "about": dict(self.about),
                "budgets": list(self.budgets),
                "standings": self.standings,
                "held_out": self.held_out.to_dict(),
            },
        )

    @property
    def above_controls(self) -> bool:
        """Whether the held-out effect's interval lies above that of every random control."""
        mine = self.held_out.merit
        others = [one.merit for one in self.controls]
        return mine is not None and all(o is not None and mine.low > o.high for o in others)

    @property
    def against(self) -> str:
        """The cost that the front is drawn against: the first kind there is, or the dose."""
        heads = [name.partition(":")[0] for name in self.chosen.costs]
        return next((one for one in heads if one not in _LAST), "dose")

    @property
    def standings(self) -> dict[str, str]:
        """For each budget whether the reporting half says kept, broken or undecided."""
        costs = self.held_out.costs
        found: dict[str, str] = {}
        for text in self.budgets:
            budget = read_budget(text)
            # A cost that no sample of this half tells anything about decides nothing.
            told = any(map(budget.covers, costs))
            found[text] = standing(budget, costs) if told else "undecided"
        return found

    @property
    def unbounded(self) -> tuple[str, ...]:
        """Costs that surely rose on the reporting half, and that no budget bounds."""
        budgets = [read_budget(text) for text in self.budgets]
        return tuple(
            name
            for name, one in self.held_out.costs.items()
            if one.low > 0
            and name.partition(":")[0] not in _LAST
            and not any(budget.covers(name) for budget in budgets)
        )

    def front(self, against: str | None = None) -> tuple[Measured, ...]:
        """Cells that no other beats in effect and cost at once, on the choosing half.

        Args:
            against: a cost, or ``dose``; by default ``Search.against``.

        Raises:
            SteeringError: no such cost was measured.
        """
        cost = against or self.against
        if self.chosen.worst(cost) is None:
            heads = dict.fromkeys(name.partition(":")[0] for name in self.chosen.costs)
            raise SteeringError(
                f"no cost is called {cost!r}",
                allowed=", ".join(["dose", *heads, *self.chosen.costs]),
            )
        return tuple(one for one in front((self.unsteered, *self.cells), cost) if one.cell)

    def table(self) -> list[dict[str, Any]]:
        """One flat row a cell: its setting, estimates with ends of intervals, what became of it."""
        best = set(map(id, self.front()))
        return [
            {
                **(one.cell.to_dict() if one.cell else {}),
                "n": one.n,
                "counted": one.counted,
                **_flat("effect", one.effect),
                **{key: v for name, c in one.costs.items() for key, v in _flat(name, c).items()},
                "dose": one.dose,
                "dropped": one.dropped,
                "on_front": id(one) in best,
                "chosen": one is self.chosen,
            }
            for one in self.cells
        ]

    def summary(self) -> str:
        """A few lines: what was chosen, and what the reporting half says of it."""
        mine, goal = self.held_out, self.about["objective"]
        lines = [
            f"chosen of {len(self.cells)}: {self.chosen.name}",
            f"{goal['label']}: {_said(mine.effect)} on held-out samples (n = {mine.counted})",
        ]
        known = [one for one in self.controls if one.merit is not None]
        if known:
            strongest = max(known, key=lambda one: one.merit.estimate if one.merit else 0.0)
            apart = "intervals apart" if self.above_controls else "intervals OVERLAP"
            lines.append(
                f"  strongest of {len(known)} random directions: {_said(strongest.effect)}, {apart}"
            )
        lines += [f"  {name}: {_said(one)}" for name, one in mine.costs.items()]
        lines += [f"  budget {text}: {found}" for text, found in self.standings.items()]
        lines += [f"  NO BUDGET bounds {name}, which surely rose" for name in self.unbounded]
        lines.append(f"  winner's curse, chosen minus held-out: {_said(self.winners_curse)}")
        return "\n".join(lines)

    def plot(self, against: str | None = None) -> "Figure":
        """A figure for notebooks: effect against cost, and the front; needs the extra ``plots``.

        Args:
            against: a cost, or ``dose``; by default ``Search.against``.

        Returns:
            a figure of matplotlib that no window and no ``pyplot`` knows of; ``savefig`` writes it.

        Raises:
            SteeringError: no such cost was measured.
            ShiftLensError: matplotlib is not installed.
        """
        from shiftlens.steering.searching.plot import front_figure

        return front_figure(self, against)

    def to_dict(self) -> dict[str, Any]:
        """The document (docs/search.md): everything but the vector."""
        return {
            "schema": _SCHEMA,
            "kind": "search",
            "about": dict(self.about),
            "budgets": list(self.budgets),
            "standings": self.standings,
            "unbounded": list(self.unbounded),
            "against": self.against,
            "chosen": self.cells.index(self.chosen),
            "fronts": {cost: self._places(cost) for cost in dict.fromkeys((self.against, "dose"))},
            "above_controls": self.above_controls,
            "winners_curse": self.winners_curse.to_dict(),
            "unsteered": self.unsteered.to_dict(),
            "held_out": self.held_out.to_dict(),
            "held_out_unsteered": self.held_out_unsteered.to_dict(),
            "controls": [one.to_dict() for one in self.controls],
            "cells": [one.to_dict() for one in self.cells],
            "examples": [dict(one) for one in self.examples],
        }

    def _places(self, against: str) -> list[int]:
        """Places in ``cells`` of those on a front, the cheapest first."""
        places = {id(one): place for place, one in enumerate(self.cells)}
        return [places[id(one)] for one in self.front(against)]

    def save(self, folder: str | Path) -> None:
        """Write ``search.json``; the chosen vector as ``best.*``, and all of it as ``steering.*``.

        A gate that is a program cannot be written: then there is no ``steering.*``.

        Raises:
            MachineError: the disk is full.
        """
        root = Path(folder)
        if self.intervention is not None:
            self.intervention.vector.save(root / VECTOR)
            with suppress(ExportError):
                self.steering.save(root / WHOLE)
        write_json(root / FILE, self.to_dict())

    @classmethod
    def load(cls, folder: str | Path) -> "Search":
        """Read what ``save`` wrote.

        Raises:
            StoreError: missing, damaged, or of another schema.
        """
        root = Path(folder)
        data = read_json(root / FILE)
        found = (data.get("kind"), data.get("schema")) if isinstance(data, dict) else (None, None)
        if found != ("search", _SCHEMA):
            raise StoreError(
                f"{root / FILE} holds {found[0]!r} of schema {found[1]!r}",
                allowed=f"'search' of schema {_SCHEMA}",
            )
        cells = tuple(Measured.from_dict(one) for one in data["cells"])
        chosen = cells[data["chosen"]]
        return cls(
            cells=cells,
            chosen=chosen,
            unsteered=Measured.from_dict(data["unsteered"]),
            held_out=Measured.from_dict(data["held_out"]),
            held_out_unsteered=Measured.from_dict(data["held_out_unsteered"]),
            controls=tuple(Measured.from_dict(one) for one in data["controls"]),
            winners_curse=Interval(**data["winners_curse"]),
            budgets=tuple(data["budgets"]),
            intervention=_read_back(root, chosen),
            about=data["about"],
            examples=tuple(data["examples"]),
        )


def _read_back(root: Path, chosen: Measured) -> Intervention | None:
    """The chosen intervention, where files hold all of it; its gate may be a program."""
    if (root / f"{WHOLE}.json").is_file():
        return Steering.load(root / WHOLE).interventions[0]
    # Earlier versions kept the vector alone.
    cell = chosen.cell
    if cell is None or cell.gate != UNGATED:
        return None
    kind = read_json(root / f"{VECTOR}.json").get("kind")
    if kind != "steering vector":
        from shiftlens.steering.affine import AffineEdit

        edit = AffineEdit.load(root / VECTOR)
        return Intervention(edit, cell.strength, cell.scope, layers=(cell.layer,))
    vector = SteeringVector.load(root / VECTOR)
    operator = read_operator(cell.operator)
    return Intervention(vector, cell.strength, cell.scope, None, operator, (cell.layer,))


def _flat(name: str, one: Interval | None) -> dict[str, float | None]:
    ends = (None, None, None) if one is None else (one.estimate, one.low, one.high)
    return dict(zip((name, f"{name}_low", f"{name}_high"), ends, strict=True))


def _said(one: Interval | None) -> str:
    return "-" if one is None else f"{one.estimate:.3f} [{one.low:.3f}, {one.high:.3f}]"
