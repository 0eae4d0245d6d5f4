"""Budgets: how much worse something may become, as people write it: ``loss <= .01``."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shiftlens.core.errors import SteeringError
from shiftlens.core.intervals import Interval

_ROUNDING = 1e-9  # a loss of 2 in 200 keeps a budget of .01
_FORM = re.compile(r"^\s*([a-z][\w \-:.]*?)\s*(?:<=|≤)\s*([0-9.eE+-]+)\s*$", re.IGNORECASE)


@dataclass(frozen=True)
class Budget:
    """An upper bound on a cost. Costs are 0 for the unsteered model: they count what gets worse.

    Attributes:
        measure: name of a cost (``loss:number``), or of all costs that begin with it (``loss``).
        limit: the largest that each of them may be.
    """

    measure: str
    limit: float

    def __post_init__(self) -> None:
        if not math.isfinite(self.limit):
            raise SteeringError(f"a budget of {self.limit} for {self.measure!r} is no number")
        object.__setattr__(self, "measure", plain(self.measure))

    def covers(self, cost: str) -> bool:
        """Whether a cost falls under this budget."""
        return cost == self.measure or cost.startswith(f"{self.measure}:")

    def __str__(self) -> str:
        return f"{self.measure} <= {self.limit:g}"


def read_budget(budget: str | Budget) -> Budget:
    """The budget of a text; a budget is returned as it is.

    Hyphens and blanks in a measure's name count as underscores: ``over-refusal <= .02``.

    Raises:
        SteeringError: it is not of the form ``MEASURE <= NUMBER``.
    """
    if isinstance(budget, Budget):
        return budget
    found = _FORM.match(budget)
    try:
        if found is not None:
            return Budget(found[1], float(found[2]))
    except ValueError:
        pass
    raise SteeringError(
        f"the budget {budget!r} cannot be read",
        allowed='MEASURE <= NUMBER: "loss <= .01", "first_token_kl <= .5", "repeats <= .05"',
    )


def plain(name: str) -> str:
    """A measure's name as costs are called: lower case, underscores."""
    head, colon, part = name.strip().partition(":")
    return "_".join(head.lower().replace("-", " ").split()) + colon + part.strip()


def require_known(budgets: Sequence[Budget], costs: Sequence[str]) -> None:
    """Refuse a budget on something that is not measured.

    Raises:
        SteeringError: the message lists what is measured.
    """
    for budget in budgets:
        if not any(budget.covers(cost) for cost in costs):
            heads = dict.fromkeys(cost.partition(":")[0] for cost in costs)
            raise SteeringError(
                f"no cost is called {budget.measure!r}",
                allowed=f"measured here: {', '.join([*heads, *(c for c in costs if ':' in c)])}",
                remedy="a loss needs data whose answers must stay: off_target"
                if budget.measure.partition(":")[0] == "loss"
                else "",
            )


def keeps(budgets: Sequence[Budget], costs: Mapping[str, Interval]) -> bool:
    """Whether every estimate lies within its budgets."""
    return all(one.estimate <= budget.limit + _ROUNDING for budget, one in _pairs(budgets, costs))


def excess(budgets: Sequence[Budget], costs: Mapping[str, Interval]) -> float:
    """By how much the worst estimate exceeds its budget, as a share of the budget."""
    over = [
        (one.estimate - budget.limit) / max(abs(budget.limit), 1e-3)
        for budget, one in _pairs(budgets, costs)
    ]
    return max(over, default=0.0)


def surely_broken(budgets: Sequence[Budget], costs: Mapping[str, Interval]) -> str:
    """The budget that a cost's whole interval lies beyond, or an empty text."""
    return next((str(b) for b, one in _pairs(budgets, costs) if one.low > b.limit + _ROUNDING), "")


def standing(budget: Budget, costs: Mapping[str, Interval]) -> str:
    """What intervals say of a budget: ``kept``, ``broken``, or ``undecided`` where it lies inside.

    Raises:
        SteeringError: the budget covers no cost.
    """
    found = [one for _, one in _pairs([budget], costs)]
    if not found:
        raise SteeringError(f"nothing was measured under the budget {budget}")
    if any(one.low > budget.limit + _ROUNDING for one in found):
        return "broken"
    return "kept" if all(one.high <= budget.limit + _ROUNDING for one in found) else "undecided"


def _pairs(
    budgets: Sequence[Budget], costs: Mapping[str, Interval]
) -> list[tuple[Budget, Interval]]:
    return [(b, one) for b in budgets for name, one in costs.items() if b.covers(name)]
