"""``Trajectory``: how concepts drifted along checkpoints, or along the scale of an adapter."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from shiftlens.core.errors import DataError, StoreError
from shiftlens.core.intervals import Interval
from shiftlens.core.manifest import read_json, write_atomic, write_json
from shiftlens.shift.effects import STATISTICS
from shiftlens.shift.verdicts import CHANGED, Verdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_KIND, _SCHEMA = "trajectory", 1


@runtime_checkable
class ScalarWriter(Protocol):
    """What takes scalars: TensorBoard's ``SummaryWriter``, and everything made like it."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> Any:
        """Keep one number."""
        ...


@dataclass(frozen=True)
class Curve:
    """One effect of one concept along the steps.

    Attributes:
        points: a verdict a step; intervals are simultaneous over concepts, effects and steps.
        first_changed: the first step at which the verdict is *changed* and stays so to the end;
            ``None`` where there is none.
    """

    points: tuple[Verdict, ...]
    first_changed: float | None

    @staticmethod
    def of(points: Sequence[Verdict], xs: Sequence[float]) -> "Curve":
        """From verdicts at steps in rising order."""
        first: float | None = None
        for point, x in zip(reversed(points), reversed(xs), strict=True):
            if point.verdict != CHANGED:
                break
            first = x
        return Curve(tuple(points), first)


@dataclass(frozen=True)
class ConceptCurve:
    """One concept of the base along the steps.

    Attributes:
        index: number of the concept.
        words: that it says more than the other concepts do, under the base's head.
        pictures: judging pictures of it.
        stability: share of refits that found it again.
        curves: by statistic: ``moved`` (its mean change) and ``own`` (that minus the change of
            all), in spreads of the base's states within concepts.
    """

    index: int
    words: tuple[str, ...]
    pictures: int
    stability: float
    curves: Mapping[str, Curve]


@dataclass(frozen=True)
class Trajectory:
    """Drift of a base's concepts along fine-tunes of it.

    Attributes:
        axis: what the steps are: ``scale`` of one adapter, or training ``step``.
        xs: the steps, rising.
        names: what the user called the model of each step.
        concepts: a curve for each.
        everything: how far all states moved at each step, in the same spreads; intervals are
            simultaneous over the steps.
        answers: share of greedy answers that differ from the base's; ``None`` if nobody was asked.
        margins: what counts as nothing, for each statistic, and where that comes from.
        about: site, models, numbers of samples, seeds: JSON.
    """

    axis: str
    xs: tuple[float, ...]
    names: tuple[str, ...]
    concepts: tuple[ConceptCurve, ...]
    everything: tuple[Interval, ...]
    answers: tuple[Interval, ...] | None
    margins: Mapping[str, Any]
    about: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __repr__(self) -> str:
        from shiftlens.shift.told import steps_in_words

        return f"Trajectory({steps_in_words(self)})"

    def _repr_html_(self) -> str:
        from shiftlens.shift.told import trajectory_card

        return trajectory_card(self)

    def first(self, concept: int | str, statistic: str = "moved") -> float | None:
        """The first step at which a concept has changed and stays so; ``None`` if there is none.

        Args:
            concept: its number, or a word that exactly one concept lists.
            statistic: ``moved`` or ``own``.

        Raises:
            DataError: no such concept or statistic, or several.
        """
        if statistic not in STATISTICS:
            raise DataError(f"unknown statistic {statistic!r}", allowed=", ".join(STATISTICS))
        return self.concepts[self._find(concept)].curves[statistic].first_changed

    def _find(self, concept: int | str) -> int:
        mine = [one.index for one in self.concepts if concept == one.index or concept in one.words]
        if len(mine) != 1:
            said = "; ".join(f"{one.index}: {', '.join(one.words[:3])}" for one in self.concepts)
            problem = f"{len(mine)} concepts list" if mine else "no concept lists, or is,"
            raise DataError(
                f"{problem} {concept!r}", allowed=said, remedy="choose one by its number"
            )
        return mine[0]

    def scalars(self) -> Iterator[tuple[str, float, float]]:
        """Everything that can be drawn over the steps: (tag, step, value); what is unknown is out.

        Tags: ``drift/all``, ``drift/concept 3 (beach)``, ``own drift/concept 3 (beach)``, each with
        ``/low`` and ``/high``, and ``answers changed``.
        """
        lines: dict[str, Sequence[Any]] = {"drift/all": self.everything}
        for statistic, title in (("moved", "drift"), ("own", "own drift")):
            for one in self.concepts:
                name = f"concept {one.index} ({one.words[0]})" if one.words else f"{one.index}"
                lines[f"{title}/{name}"] = one.curves[statistic].points
        if self.answers is not None:
            lines["answers changed"] = self.answers
        for tag, points in lines.items():
            ends = (("", "estimate"), ("/low", "low"), ("/high", "high"))
            for suffix, end in ends:
                for x, point in zip(self.xs, points, strict=True):
                    value = float(getattr(point, end))
                    if math.isfinite(value):
                        yield f"{tag}{suffix}", x, value

    def log(self, writer: ScalarWriter) -> None:
        """Give every scalar to a TensorBoard writer.

        Its steps are whole numbers: those of the trajectory where they are, otherwise (adapter
        scales) the thousandfold, rounded.
        """
        whole = all(float(x).is_integer() for x in self.xs) and self.axis == "step"
        for tag, x, value in self.scalars():
            writer.add_scalar(tag, value, int(x) if whole else round(1000 * x))

    def save_scalars(self, path: str | Path) -> None:
        """Write every scalar as a line of JSON: ``tag``, ``step``, ``value``."""
        lines = [
            json.dumps({"tag": tag, "step": x, "value": value}, ensure_ascii=False)
            for tag, x, value in self.scalars()
        ]
        write_atomic(Path(path), "".join(f"{line}\n" for line in lines).encode())

    def to_dict(self) -> dict[str, Any]:
        """JSON: see docs/formats/trajectory.md; numbers that are not defined are ``None``."""
        concepts = [
            {
                "index": one.index,
                "words": list(one.words),
                "pictures": one.pictures,
                "stability": one.stability,
                **{name: _curve(one.curves[name]) for name in STATISTICS},
            }
            for one in self.concepts
        ]
        whole = {
            "kind": _KIND,
            "schema": _SCHEMA,
            "axis": self.axis,
            "steps": [{"x": x, "name": n} for x, n in zip(self.xs, self.names, strict=True)],
            "margins": dict(self.margins),
            "everything": [one.to_dict() for one in self.everything],
            "answers": self.answers and [one.to_dict() for one in self.answers],
            "concepts": concepts,
            "about": dict(self.about),
        }
        return _defined(whole)

    def plot(self, statistic: str = "moved") -> "Figure":
        """A figure for notebooks: curves with intervals, margin and answers; needs ``plots``.

        Args:
            statistic: ``moved`` (the mean change of each concept) or ``own`` (that minus the change
                of all), in spreads of the base's states within concepts.

        Returns:
            a figure of matplotlib that no window and no ``pyplot`` knows of; ``savefig`` writes it.

        Raises:
            DataError: no such statistic, no steps or no concepts.
            ShiftLensError: matplotlib is not installed.
        """
        from shiftlens.shift.plots.followed import followed

        return followed(self, statistic)

    def save(self, path: str | Path) -> None:
        """Write one JSON file."""
        write_json(Path(path), self.to_dict())

    @staticmethod
    def load(path: str | Path) -> "Trajectory":
        """Read what ``save`` wrote.

        Raises:
            StoreError: missing, damaged, or something else.
        """
        found = read_json(Path(path))
        head = (found.get("kind"), found.get("schema")) if isinstance(found, dict) else (None, None)
        if head != (_KIND, _SCHEMA):
            raise StoreError(
                f"{path} holds {head[0]!r} of schema {head[1]!r}",
                allowed=f"{_KIND!r} of schema {_SCHEMA}",
            )
        try:
            return _trajectory(found)
        except (KeyError, TypeError, AttributeError) as error:
            raise StoreError(f"{path} is damaged ({type(error).__name__}: {error})") from error


def _curve(curve: Curve) -> dict[str, Any]:
    return {
        "points": [asdict(point) for point in curve.points],
        "first_changed": curve.first_changed,
    }


def _trajectory(found: Mapping[str, Any]) -> Trajectory:
    def interval(one: Mapping[str, Any]) -> Interval:
        return Interval(*(_number(one[end]) for end in ("estimate", "low", "high")))

    def curve(one: Mapping[str, Any]) -> Curve:
        numbers = ("estimate", "low", "high", "margin")
        points = [
            Verdict(**(point | {name: _number(point[name]) for name in numbers}))
            for point in one["points"]
        ]
        return Curve(tuple(points), one["first_changed"])

    concepts = [
        ConceptCurve(
            one["index"], tuple(one["words"]), one["pictures"], one["stability"],
            {name: curve(one[name]) for name in STATISTICS},
        )
        for one in found["concepts"]
    ]  # fmt: skip
    answers = found["answers"]
    return Trajectory(
        axis=found["axis"],
        xs=tuple(step["x"] for step in found["steps"]),
        names=tuple(step["name"] for step in found["steps"]),
        concepts=tuple(concepts),
        everything=tuple(interval(one) for one in found["everything"]),
        answers=None if answers is None else tuple(interval(one) for one in answers),
        margins={
            name: _number(value) if name in STATISTICS else value
            for name, value in found["margins"].items()
        },
        about=found["about"],
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _defined(value: Any) -> Any:
    """The same JSON with ``None`` for numbers that JSON does not have, and lists for tuples."""
    if isinstance(value, Mapping):
        return {str(key): _defined(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_defined(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
