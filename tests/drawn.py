"""Results made by hand, for what shows them: figures, pages of notebooks."""

from typing import Any

import numpy as np
import torch

from shiftlens.activations.site import Site
from shiftlens.activations.tokens import mean_response
from shiftlens.concepts.concepts import Concepts
from shiftlens.core.intervals import Interval
from shiftlens.shift.concept_shift import ConceptShift
from shiftlens.shift.curves import ConceptCurve, Curve, Trajectory
from shiftlens.shift.verdicts import CHANGED, STABLE, Verdict
from shiftlens.steering.searching.found import Search
from shiftlens.steering.searching.grid import Cell
from shiftlens.steering.searching.measured import Measured

SITE = Site(2, mean_response())
HOSTILE = (
    "<script>alert(1)</script>",
    "$\\frac{1}{0}$",
    "\u202egnp.exe",
    "🦄🦄",
    "x" * 10_000,
    "a\nb\t\x00c",
    "漢字",
    "&amp;\"'><img src=x onerror=alert(1)>",
)


def small_concepts(
    words: tuple[tuple[str, ...], ...] = (("beach", "sand"), ("snow", "ice"), ("kitchen",)),
    images: tuple[tuple[str, ...], ...] = (),
    **more: Any,
) -> Concepts:
    """Concepts of four entries, the second the largest."""
    k = len(words)
    vectors = torch.eye(4).repeat(k // 4 + 1, 1)[:k].contiguous()
    sizes = (30, 50, 20, *range(10, 10 + max(0, k - 3)))[:k]
    return Concepts(
        vectors, "centroid", SITE, sizes, words=words, contrastive=words, images=images,
        learner={"name": "KMeans"}, provenance={"model": {"name": "tiny"}}, **more,
    )  # fmt: skip


def small_shift(
    words: tuple[tuple[str, ...], ...] = (("beach", "sand"), ("snow", "ice"), ("kitchen",)),
    **more: Any,
) -> ConceptShift:
    """A shift in which two concepts changed places and a third is nearest to none of its own."""
    k = len(words)
    pictures = tuple((f"s{index}",) for index in range(k))
    base, tuned = (small_concepts(one, pictures) for one in (words, (*words[1:], ("forest",))))
    interval = {"estimate": 0.2, "low": 0.1, "high": 0.3}
    none = {"estimate": 0.01, "low": -0.1, "high": 0.1}
    fields: dict[str, Any] = {
        "vectors": torch.arange(1.0, 4 * k + 1).reshape(k, 4) / 10,
        "nearest": (1, 0, *(0 for _ in range(k - 2))),
        "bijective": (1, 0, *range(2, k)),
        "cosine": tuple(0.9 - 0.1 * i for i in range(k)),
        "consistency": tuple(0.8 - 0.05 * i for i in range(k)),
        "consistency_published": tuple(0.8 for _ in range(k)),
        "shifted_words": words,
        "lost": tuple(0.0 for _ in range(k)),
        "state_norm": 4.0,
        "rows": {"base": 100, "tuned": 100, "paired": 99},
        "recovery": {
            "strength": [0.0, 1.0, 2.0],
            "centred_cosine": {
                "concept": [0.5, 0.9, 0.7],
                "global": [0.5, 0.7, 0.6],
                "shuffled": [0.5, 0.69, 0.58],
            },
            "concept_minus_global": interval,
            "concept_minus_shuffled": none,
        },
        "published": {},
    }
    return ConceptShift(base, tuned, **(fields | more))


def small_trajectory(
    words: tuple[tuple[str, ...], ...] = (("beach", "sand"), ("snow",)), n: int = 6
) -> Trajectory:
    """Concepts that move the less, the later they come."""
    xs = (0.0, 0.1, 0.2, 0.5, 1.0)
    curves: list[ConceptCurve] = []
    for index in range(n):
        values = [x * (1.0 - index / n) for x in xs]
        points = [
            Verdict("moved", v, v - 0.05, v + 0.05, 0.3, CHANGED if v > 0.35 else STABLE, 20)
            for v in values
        ]
        curve = Curve.of(points, xs)
        said = words[index] if index < len(words) else (f"word{index}",)
        curves.append(ConceptCurve(index, said, 20, 0.9, {"moved": curve, "own": curve}))
    return Trajectory(
        axis="scale",
        xs=xs,
        names=("a",) * len(xs),
        concepts=tuple(curves),
        everything=tuple(Interval(x, x - 0.1, x + 0.1) for x in xs),
        answers=tuple(Interval(x * 0.6, max(0.0, x * 0.6 - 0.1), x * 0.6 + 0.1) for x in xs),
        margins={"moved": 0.3, "own": 0.2, "source": "given"},
        about={"seed": 0},
    )


def small_search(label: str = "answers that changed", n: int = 12, gate: str = "none") -> Search:
    """A search in which greater effects cost more, the sixth cell chosen within its budget."""
    rng = np.random.default_rng(0)
    cells: list[Measured] = []
    for at in range(n):
        cell = Cell(at % 4, 0.5 * (1 + at // 4), "add", "response", gate)
        effect = 1 - (1 - (at + 1) / (n + 1)) ** 2 - 0.15 * float(rng.random())
        loss = 0.02 * ((at + 1) / n) ** 2 * (0.6 + float(rng.random()))
        cells.append(measured(cell.name, effect, loss, cell, "too dear" if at == n - 1 else ""))
    chosen = cells[min(5, n - 1)]
    return Search(
        cells=tuple(cells),
        unsteered=measured("unsteered", 0.0, 0.0, None),
        chosen=chosen,
        held_out=measured(chosen.name, 0.6, 0.004, chosen.cell),
        held_out_unsteered=measured("unsteered", 0.0, 0.0, None),
        controls=tuple(measured(f"random {i}", 0.05 * i, 0.001, chosen.cell) for i in range(3)),
        winners_curse=Interval(0.02, -0.05, 0.09),
        budgets=("loss <= 0.012",),
        intervention=None,
        about={
            "objective": {"name": "changed", "label": label},
            "task": {"name": "answers"},
            "model": {"name": "tiny", "adapter": None},
        },
    )


def measured(
    name: str, effect: float, loss: float, cell: Cell | None, dropped: str = ""
) -> Measured:
    """A setting with intervals around its numbers."""
    costs = {
        "loss:number": Interval(loss, max(0.0, loss - 0.002), loss + 0.002),
        "first_token_kl": Interval(loss * 9, loss * 8, loss * 10),
    }
    around = Interval(effect, effect - 0.08, effect + 0.08)
    return Measured(name, 60, 50, around, costs, cell, dose=0.4 * effect, dropped=dropped)
