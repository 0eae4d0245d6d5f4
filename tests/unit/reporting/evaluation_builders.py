"""A synthetic evaluation and synthetic directions, as their own classes write them."""

from typing import Any

from shiftlens.core.intervals import Interval, McNemar
from shiftlens.steering.answer_gains import Gain, Score
from shiftlens.steering.discovering import Direction, Discovery
from shiftlens.steering.evaluating import Evaluation, Line

_MEASURES: dict[str, list[tuple[str, str, str, bool, dict[str, float]]]] = {
    "yesno": [
        ("moved", "source answers that became the target", "effect", True,
         {"unsteered": 0.0, "steered": 0.9, "instruction": 0.4}),
        ("repeats", "word triples said before", "side effect", False,
         {"unsteered": 0.0, "steered": 0.0, "instruction": 0.2}),
    ],
    "number": [
        ("accuracy", "answers that are right", "side effect", True,
         {"unsteered": 0.95, "steered": 0.7, "instruction": 0.94}),
    ],
}  # fmt: skip


def _around(value: float, half: float = 0.05) -> Interval:
    return Interval(value, value - half, value + half)


def build_evaluation(picture: str | None = None) -> Evaluation:
    """Three arms on two data sets; the steered one moves answers and loses accuracy.

    Args:
        picture: of the first example.
    """
    lines: list[Line] = []
    for trial, measures in _MEASURES.items():
        for name, label, role, higher, values in measures:
            plain = values["unsteered"]
            for arm, value in values.items():
                other = arm != "unsteered"
                change = _around(value - plain) if other else None
                above = _around(value - 0.05) if arm == "steered" and role == "effect" else None
                test = McNemar(3, 90, 1e-5) if other else None
                lines.append(
                    Line(arm, trial, name, label, role, higher, 120, _around(value), change,
                         above, test)
                )  # fmt: skip
    matrix = {"yes/no": {"yes": {"no": 108, "yes": 12}, "no": {"no": 90}}}
    said: list[dict[str, Any]] = [
        {"id": "a", "image": picture, "prompt": "Is it <b>?",
         "answers": {"unsteered": "yes", "steered": "no", "instruction": "yes it is"}},
        {"id": "b", "image": None, "prompt": "Is it a dog?",
         "answers": {"unsteered": "yes", "steered": "no " * 4000, "instruction": ""}},
    ]  # fmt: skip
    return Evaluation(
        tuple(lines),
        {"yesno": {"unsteered": {"transitions": matrix}, "steered": {"transitions": matrix}}},
        {"yesno": {"steered": {"summary": "420 tokens in 210 of 210 samples"}}},
        {"yesno": said},
        {
            "model": {"name": "world:base"},
            "controls": 3,
            "trials": {
                "yesno": {
                    "task": "answers",
                    "settings": {"source": "yes", "target": "no"},
                    "n": 210,
                },
                "number": {"task": "accuracy", "settings": {}, "n": 200},
            },
            "notes": ["mind this"],
        },
    )


def build_discovery(k: int = 15) -> Discovery:
    """Directions of falling scores; the first two score above every random one."""
    found = [
        Direction(
            i,
            i + 1,
            f"concept {i} to {i + 1}: red",
            Score(40 - 12 * i if i < 3 else 2, (Gain("red <b>", 5, 45 - i),), (), ("green", 3)),
            1.2,
            0.3,
            0 if i < 2 else 3,
        )
        for i in range(k)
    ]
    about = {"model": {"name": "world:base"}, "strength": 1.0}
    return Discovery(tuple(found), (18, 9, 4, 1), {"red": 5}, 100, about)
