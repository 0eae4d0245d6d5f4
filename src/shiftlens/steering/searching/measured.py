"""``Measured``: what a setting did, in numbers: its effect, and what it cost, with intervals."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from shiftlens.core.intervals import Interval
from shiftlens.steering.searching.grid import Cell


@dataclass(frozen=True)
class Measured:
    """What was measured of one setting on one half of the data.

    Attributes:
        name: of the setting, for people.
        n: samples that were asked, without off-target ones.
        counted: of these, the samples that the effect says something about.
        effect: mean of the task's effect measure; ``None`` where it counts no sample.
        costs: for each cost how much worse it is than without steering, 0 for the unsteered model.
        cell: the setting; ``None`` for the unsteered model.
        dose: mean length of the change over that of the states.
        touched: samples in which anything was changed.
        lower_is_better: whether a smaller effect is a better one.
        dropped: why it was asked no more, or an empty text.
    """

    name: str
    n: int
    counted: int
    effect: Interval | None
    costs: Mapping[str, Interval] = field(default_factory=dict[str, Interval])
    cell: Cell | None = None
    dose: float = 0.0
    touched: int = 0
    lower_is_better: bool = False
    dropped: str = ""

    @property
    def merit(self) -> Interval | None:
        """The effect, turned so that more is better."""
        one = self.effect
        if one is None or not self.lower_is_better:
            return one
        return Interval(-one.estimate, -one.high, -one.low)

    def worst(self, measure: str) -> Interval | None:
        """Of the costs called ``measure`` (or ``measure:...``) that with the largest estimate."""
        if measure == "dose":
            return Interval(self.dose, self.dose, self.dose)
        found = [
            one
            for name, one in self.costs.items()
            if name == measure or name.startswith(f"{measure}:")
        ]
        return max(found, key=lambda one: (one.estimate, one.high), default=None)

    def left_at(self, reason: str) -> "Measured":
        """The same, dropped for a reason."""
        return replace(self, dropped=reason)

    def to_dict(self) -> dict[str, Any]:
        """JSON."""
        return {
            "name": self.name,
            "cell": None if self.cell is None else self.cell.to_dict(),
            "n": self.n,
            "counted": self.counted,
            "effect": None if self.effect is None else self.effect.to_dict(),
            "costs": {name: one.to_dict() for name, one in self.costs.items()},
            "dose": self.dose,
            "touched": self.touched,
            "lower_is_better": self.lower_is_better,
            "dropped": self.dropped,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Measured":
        """What ``to_dict`` gave."""
        rest = dict(data)
        cell, effect, costs = rest.pop("cell"), rest.pop("effect"), rest.pop("costs")
        return cls(
            **rest,
            cell=None if cell is None else Cell(**cell),
            effect=None if effect is None else Interval(**effect),
            costs={name: Interval(**one) for name, one in costs.items()},
        )
