"""Steerings as the page shows them: figures by role, examples with their changed words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shiftlens.reporting.changes import Compared, Run, compare_words
from shiftlens.reporting.images import Pictures, Tile
from shiftlens.reporting.intervals import Bar, figure_bars
from shiftlens.reporting.summary import goals

_ROLES = (("effect", "Effect"), ("side effect", "Side effects"), ("control", "Controls"))


@dataclass(frozen=True)
class AnswerView:
    """One steered (or unsteered) answer with its changed words."""

    label: str
    runs: tuple[Run, ...]
    verdict: str
    steered: bool


@dataclass(frozen=True)
class ExampleView:
    """One sample before and after."""

    picture: Tile | None
    prompt: str
    answers: tuple[AnswerView, ...]
    gate: str | None


@dataclass(frozen=True)
class SteeringView:
    """One steering."""

    anchor: str
    data: Mapping[str, Any]
    groups: tuple[tuple[str, tuple[Bar, ...]], ...]
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
    return SteeringView(
        anchor=anchor,
        data=one,
        groups=tuple((title, group) for title, group in groups if group),
        examples=tuple(_example(example, pictures) for example in one["examples"]),
        reached=reached,
        asked=asked,
    )


def _example(example: Mapping[str, Any], pictures: Pictures) -> ExampleView:
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
    """Every answer against the first; the first is marked against the one after it."""
    if not answers:
        return ()
    first, rest = answers[0], answers[1:]
    against = [compare_words(first["text"], other["text"]) for other in rest]
    plain = (Run(first["text"], False),)
    shown = [AnswerView(first["label"], against[0].before if against else plain, "", False)]
    shown += [_steered(other, one) for other, one in zip(rest, against, strict=True)]
    return tuple(shown)


def _steered(answer: Mapping[str, Any], compared: Compared) -> AnswerView:
    return AnswerView(answer["label"], compared.after, compared.verdict, True)
