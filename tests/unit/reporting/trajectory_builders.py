"""A synthetic trajectory: concepts that change early, late, never, and one that is not decided."""

import math
from typing import Any

from shiftlens.core.intervals import Interval
from shiftlens.shift.curves import ConceptCurve, Curve, Trajectory
from shiftlens.shift.verdicts import Verdict

MARGIN = 0.3


def _verdict(kind: str, estimate: float, half: float, pictures: int) -> Verdict:
    low, high = estimate - half, estimate + half
    said = "changed" if low > MARGIN else "stable" if high < MARGIN else "undecided"
    few = pictures < 10
    return Verdict(
        kind,
        math.nan if few else estimate,
        math.nan if few else low,
        math.nan if few else high,
        MARGIN,
        "undecided" if few else said,
        pictures,
        needs=80 if said == "undecided" else None,
        why="fewer than 10 pictures of it" if few else "",
    )


def build_trajectory(
    *, steps: int = 6, k: int = 5, axis: str = "step", source: str = "user", words: str = ""
) -> Trajectory:
    """Drift that grows; the last concept has too few pictures to be judged.

    Args:
        steps: how many.
        k: concepts.
        axis: ``step`` or ``scale``.
        source: of the margin; ``none`` judges nothing.
        words: a first word of the first concept.
    """
    xs = tuple(i / (steps - 1) if axis == "scale" else 250.0 * (i + 1) for i in range(steps))
    named = ("beach", "snow", "street", "kitchen", "forest", "field", "desert", "bedroom")
    concepts: list[ConceptCurve] = []
    for index in range(k):
        pictures = 6 if index == k - 1 else 40 - 3 * index
        top = (1.6, 1.1, 0.5, 0.1, 0.4)[index % 5]
        moved = [_verdict("moved", top * (i / steps) ** 0.7, 0.12, pictures) for i in range(steps)]
        own = [_verdict("own", 0.4 * top * i / steps, 0.1, pictures) for i in range(steps)]
        first = (words,) if words and index == 0 else ()
        own_words = (*first, named[index % 8], named[(index + 3) % 8])
        curves = {"moved": Curve.of(moved, xs), "own": Curve.of(own, xs)}
        concepts.append(ConceptCurve(index, own_words, pictures, 0.95, curves))
    whole = [Interval(0.9 * i / steps, 0.9 * i / steps - 0.07, 0.9 * i / steps + 0.07)
             for i in range(steps)]  # fmt: skip
    said = [Interval(i / steps, max(0.0, i / steps - 0.05), i / steps + 0.05) for i in range(steps)]
    return Trajectory(
        axis=axis,
        xs=xs,
        names=tuple(f"run/checkpoint-{x:g}" for x in xs),
        concepts=tuple(concepts),
        everything=tuple(whole),
        answers=tuple(said),
        margins={"moved": MARGIN, "own": MARGIN, "source": source, "placebos": []},
        about={
            "base": {"name": "world:base"},
            "site": {"layer": 5, "tokens": {"kind": "word", "words": ["person"]}},
            "rows": {"matched": 400, "missed": 20, "failed": 0},
            "pictures": {"estimation": 129, "judging": 129},
            "seed": 0,
            "draws": 200,
        },
    )


def build_drift(looks: int = 6, *, word: str = "beach") -> dict[str, Any]:
    """What ``DriftCallback`` leaves: drift at every look; one concept has too few pictures.

    Args:
        looks: how many.
        word: in the name of the first concept.
    """
    names = {f"0-{word}": 40, "1-snow": 20, "2-street": 1}
    history = [
        {
            "step": 100 * i,
            "global": 0.1 * i,
            "concepts": {
                name: None if size < 2 else 0.2 * i / (1 + place)
                for place, (name, size) in enumerate(names.items())
            },
        }
        for i in range(looks)
    ]
    return {
        "kind": "drift",
        "schema": 1,
        "site": {"layer": 5, "tokens": {"kind": "mean response"}},
        "data": "abc",
        "samples": {"asked": 64, "followed": 61},
        "concepts": names,
        "history": history,
    }
