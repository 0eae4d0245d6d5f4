"""Steerings as the page shows them: figures by role, examples with their changed words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shiftlens.reporting.changes import Compared, Run, compare_words
from shiftlens.reporting.fronts import FrontChart, cost_label, front_chart, worst
from shiftlens.reporting.images import Pictures, Tile
from shiftlens.reporting.intervals import Bar, figure_bars
from shiftlens.reporting.summary import goals
from shiftlens.reporting.transitions import Transitions, transitions_of

_COSTS = {
    "over_refusal": "more harmless requests refused",
    "refusals_kept": "refusals lost",
    "kept": "captions that no longer say what they said",
    "rest_unchanged": "captions whose rest changed",
    "evident_changed": "captions that lost an evident gender",
}
_LONG = 700  # letters from which an answer scrolls in a box of its own
_ROLES = (("effect", "Effect"), ("side effect", "Side effects"), ("control", "Controls"))


@dataclass(frozen=True)
class AnswerView:
    """One steered (or unsteered) answer with its changed words."""

    label: str
    runs: tuple[Run, ...]
    verdict: str
    steered: bool

    @property
    def is_long(self) -> bool:
        """Whether it would push everything else off the screen."""
        return sum(len(run.text) for run in self.runs) > _LONG


@dataclass(frozen=True)
class ExampleView:
    """One sample before and after."""

    picture: Tile | None
    prompt: str
    answers: tuple[AnswerView, ...]
    gate: str | None


@dataclass(frozen=True)
class SweepView:
    """One steering at several strengths: charts, the costs that they have, and every number."""

    data: Mapping[str, Any]
    charts: tuple[FrontChart, ...]
    heads: tuple[tuple[str, str], ...]
    rows: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class SteeringView:
    """One steering; ``transitions`` of the arms that steer, then of those to compare with."""

    anchor: str
    data: Mapping[str, Any]
    groups: tuple[tuple[str, tuple[Bar, ...]], ...]
    transitions: tuple[Transitions, ...]
    compared: tuple[Transitions, ...]
    sweep: SweepView | None
    examples: tuple[ExampleView, ...]
    reached: int
    asked: int


def steering_views(data: Mapping[str, Any], pictures: Pictures) -> list[SteeringView]:
    """Every steering, in the document's order."""
    return [
        _steering(f"steering-{number}", one, pictures)
        for number, one in enumerate(data["steering"].values())
    ]


def _steering(anchor: str, one: Mapping[str, Any], pictures: Pictures) -> SteeringView:
    bars = figure_bars(one["figures"])
    known = {role for role, _ in _ROLES}
    groups = [(title, tuple(b for b in bars if b.role == role)) for role, title in _ROLES]
    groups.append(("Other figures", tuple(b for b in bars if b.role not in known)))
    reached, asked = goals(one)
    tables = transitions_of(one)
    return SteeringView(
        anchor=anchor,
        data=one,
        groups=tuple((title, group) for title, group in groups if group),
        transitions=tuple(table for table in tables if not table.baseline),
        compared=tuple(table for table in tables if table.baseline),
        sweep=_sweep(one["sweep"]) if one.get("sweep") else None,
        examples=tuple(example_view(example, pictures) for example in one["examples"]),
        reached=reached,
        asked=asked,
    )


def _sweep(sweep: Mapping[str, Any]) -> SweepView:
    heads = [cost for cost in sweep["fronts"] if cost != "dose"]
    charts = [front_chart(sweep, cost, _label(cost), all_told=True) for cost in sweep["fronts"]]
    edge = set(sweep["fronts"][sweep["against"]])
    rows = [
        {
            **one,
            "worst": {head: worst(one, head) for head in heads},
            "mark": "as judged above"
            if place == sweep["chosen"]
            else "on the front"
            if place in edge
            else "",
        }
        for place, one in enumerate(sweep["cells"])
    ]
    return SweepView(
        data=sweep,
        charts=tuple(one for one in charts if one is not None),
        heads=tuple((head, _label(head)) for head in heads),
        rows=tuple(rows),
    )


def _label(cost: str) -> str:
    return _COSTS.get(cost) or cost_label(cost)


def example_view(example: Mapping[str, Any], pictures: Pictures) -> ExampleView:
    """One sample with the answers of all arms, the first of which is what others are held to."""
    picture = None
    if example.get("image"):
        picture = pictures.tile({"id": example["id"], "path": example["image"]})
    return ExampleView(
        picture=picture,
        prompt=example["prompt"],
        answers=_answers(example["answers"]),
        gate=example.get("gate"),
    )


def _answers(answers: Sequence[Mapping[str, Any]]) -> tuple[AnswerView, ...]:
    """Every answer against the first; the first is marked against the first that was edited."""
    if not answers:
        return ()
    first, rest = answers[0], answers[1:]
    against = [compare_words(first["text"], other["text"]) for other in rest]
    edited = next((one.before for one in against if one.verdict == "edited"), None)
    plain = (Run(first["text"], False),) if first["text"] else ()
    shown = [AnswerView(first["label"], edited or plain, "", False)]
    shown += [_steered(other, one) for other, one in zip(rest, against, strict=True)]
    return tuple(shown)


def _steered(answer: Mapping[str, Any], compared: Compared) -> AnswerView:
    return AnswerView(answer["label"], compared.after, compared.verdict, True)
