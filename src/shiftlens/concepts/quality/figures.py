"""``Figure``: one number about concepts, with its interval, beside what nobody learned."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shiftlens.core.intervals import Interval


@dataclass(frozen=True)
class Baseline:
    """The same number for concepts, words or pictures that were not learned.

    Attributes:
        name: what was put in their place ("random words").
        value: the number for them.
        difference: the figure minus this; ``None`` where no interval of it can be given.
    """

    name: str
    value: Interval
    difference: Interval | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        difference = None if self.difference is None else self.difference.to_dict()
        return {"name": self.name, "value": self.value.to_dict(), "difference": difference}


@dataclass(frozen=True)
class Figure:
    """One number about concepts.

    Attributes:
        name: what it is.
        value: the estimate and its 95 % interval.
        unit: what the interval is over ("pictures", "concepts", "refits"); it says nothing about
            what was held fixed: see the function that made it.
        better: ``higher``, ``lower``, or empty where neither is.
        baselines: the same for what nobody learned.
        counts: how many things were measured and how many were left out, by name.
    """

    name: str
    value: Interval
    unit: str
    better: str = "higher"
    baselines: tuple[Baseline, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict[str, int])

    def beside(self, name: str) -> Baseline:
        """The baseline of that name.

        Raises:
            KeyError: there is none.
        """
        for one in self.baselines:
            if one.name == name:
                return one
        raise KeyError(name)

    def __str__(self) -> str:
        """One line: name, value, 95 % interval, and each baseline in brackets."""
        own = (
            f"{self.name}: {self.value.estimate:.3g} [{self.value.low:.3g}, {self.value.high:.3g}]"
        )
        beside = (f"{one.name} {one.value.estimate:.3g}" for one in self.baselines)
        return own + "".join(f" ({text})" for text in beside)

    def rows(self) -> list[dict[str, Any]]:
        """One flat row a baseline, at least one: name, value, low, high, and the baseline's."""
        own = {"name": self.name, **_flat("", self.value), "unit": self.unit}
        if not self.baselines:
            return [{**own, "baseline": "", **_flat("baseline_", None), **_flat("more_", None)}]
        return [
            {
                **own,
                "baseline": one.name,
                **_flat("baseline_", one.value),
                **_flat("more_", one.difference),
            }
            for one in self.baselines
        ]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "name": self.name,
            "value": self.value.to_dict(),
            "unit": self.unit,
            "better": self.better,
            "baselines": [one.to_dict() for one in self.baselines],
            "counts": dict(self.counts),
        }


def _flat(prefix: str, interval: Interval | None) -> dict[str, float | None]:
    names = (f"{prefix}value", f"{prefix}low", f"{prefix}high")
    if interval is None:
        return dict.fromkeys(names)
    numbers = (interval.estimate, interval.low, interval.high)
    return dict(zip(names, numbers, strict=True))
