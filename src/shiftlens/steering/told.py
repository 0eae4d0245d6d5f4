"""What a notebook shows of a search, and of an evaluation."""

from typing import TYPE_CHECKING

from shiftlens.core.cards import card
from shiftlens.core.intervals import Interval

if TYPE_CHECKING:
    from shiftlens.steering.evaluating.evaluation import Evaluation
    from shiftlens.steering.searching.found import Search


def search_card(search: "Search") -> str:
    """What was chosen, what other samples say of it, and the front."""
    goal = search.about["objective"]
    against = search.against
    rows = [
        (one.name, _said(one.effect), _said(one.worst(against), 3), f"{one.dose:.2f}")
        for one in search.front()
    ]
    beside = "above every random direction" if search.above_controls else "not surely above random"
    return card(
        "Search",
        f"{search.chosen.name}, of {len(search.cells)} settings",
        {
            str(goal.get("label") or goal["name"]): f"{_said(search.held_out.effect)} held out",
            "unsteered": _said(search.held_out_unsteered.effect),
            "controls": beside if search.controls else "",
            **{f"budget {budget}": said for budget, said in search.standings.items()},
        },
        columns=("on the front", "effect", against, "dose"),
        rows=rows,
    )


def evaluation_card(evaluation: "Evaluation") -> str:
    """What each arm did, trial by trial."""
    rows = [
        (
            one.trial,
            one.label,
            one.arm,
            _said(one.value),
            _said(one.change, signed=True),
            f"{one.n:,}",
        )
        for one in evaluation.lines
    ]
    notes = evaluation.about.get("notes") or ()
    return card(
        "Evaluation",
        f"{len({one.arm for one in evaluation.lines})} arms",
        {"note": "; ".join(map(str, notes[:2]))},
        columns=("trial", "measure", "arm", "value", "change", "n"),
        rows=rows,
    )


def _said(one: Interval | None, digits: int = 2, *, signed: bool = False) -> str:
    if one is None:
        return "–"
    sign = "+" if signed else ""
    return f"{one.estimate:{sign}.{digits}f} [{one.low:.{digits}f}, {one.high:.{digits}f}]"
