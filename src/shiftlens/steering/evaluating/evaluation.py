"""``Evaluation``: what each arm did on each trial, and how sure that is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shiftlens.core.errors import StoreError
from shiftlens.core.manifest import read_json, write_json
from shiftlens.steering.evaluating.lines import Line

_KIND, _SCHEMA = "evaluation", 1


@dataclass(frozen=True)
class Evaluation:
    """Every line, with what is worth seeing beside them.

    Attributes:
        lines: by trial, then by measure, then by arm.
        details: for each trial and arm what its task adds: counts, a transition matrix.
        receipts: for each trial and arm that steered, what was touched.
        examples: for each trial a few samples with the answers of all arms.
        about: models, data and settings, as JSON; ``notes`` are sentences that a reader must know.
    """

    lines: tuple[Line, ...]
    details: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Any])
    receipts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Any])
    examples: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict[str, Any])
    about: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __repr__(self) -> str:
        counts = {
            name: len({getattr(one, name) for one in self.lines}) for name in ("arm", "trial")
        }
        told = [f"{n} {name}{'' if n == 1 else 's'}" for name, n in counts.items()]
        return f"Evaluation({', '.join(told)}, {len(self.lines)} lines)"

    def _repr_html_(self) -> str:
        from shiftlens.steering.told import evaluation_card

        return evaluation_card(self)

    def of(self, *, arm: str | None = None, trial: str | None = None) -> list[Line]:
        """The lines of an arm, of a trial, or of both."""
        return [
            line for line in self.lines if arm in (None, line.arm) and trial in (None, line.trial)
        ]

    def find(self, arm: str, trial: str, measure: str) -> Line:
        """One line.

        Raises:
            StoreError: there is none; the message lists what there is.
        """
        for line in self.of(arm=arm, trial=trial):
            if line.measure == measure:
                return line
        known = sorted({f"{x.arm} / {x.trial} / {x.measure}" for x in self.lines})
        raise StoreError(f"no line for {arm} / {trial} / {measure}", allowed="; ".join(known[:20]))

    def to_dict(self) -> dict[str, Any]:
        """JSON."""
        return {
            "kind": _KIND,
            "schema": _SCHEMA,
            "lines": [line.to_dict() for line in self.lines],
            "details": {name: dict(arms) for name, arms in self.details.items()},
            "receipts": {name: dict(arms) for name, arms in self.receipts.items()},
            "examples": {name: list(rows) for name, rows in self.examples.items()},
            "about": dict(self.about),
        }

    def save(self, path: str | Path) -> None:
        """Write the whole of it as JSON."""
        write_json(Path(path), self.to_dict())

    @classmethod
    def load(cls, path: str | Path) -> "Evaluation":
        """Read what ``save`` wrote.

        Raises:
            StoreError: missing, damaged, or something else.
        """
        data = read_json(Path(path))
        found = (data.get("kind"), data.get("schema")) if isinstance(data, dict) else None
        if found != (_KIND, _SCHEMA):
            raise StoreError(f"{path} is no evaluation of schema {_SCHEMA}")
        try:
            lines = tuple(Line.from_dict(line) for line in data["lines"])
            parts = {key: data[key] for key in ("details", "receipts", "examples", "about")}
        except (KeyError, TypeError, AttributeError) as error:
            raise StoreError(f"{path} is a damaged evaluation: {error}") from error
        return cls(lines, **parts)
