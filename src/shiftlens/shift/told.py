"""What a notebook shows of a shift, and of a trajectory."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from shiftlens.activations.site_in_words import in_words
from shiftlens.core.cards import Share, card

if TYPE_CHECKING:
    from shiftlens.shift.concept_shift import ConceptShift
    from shiftlens.shift.curves import Trajectory

_CONTROLS = ("global", "shuffled", "affine")


def shift_card(shift: "ConceptShift") -> str:
    """Whether adding the shifts recovers the tuned model, and the concepts that moved most."""
    changes = sorted(shift.changes(), key=lambda one: -one.magnitude)
    most = max(one.share for one in changes)
    rows = [
        (
            f"{one.index} {', '.join((one.contrastive_base or one.words_base)[:3])}",
            ", ".join(one.came[:4]) or "–",
            Share(one.share, most),
            f"{one.magnitude / shift.state_norm:.2f}" if shift.state_norm else "–",
            f"{one.consistency:.2f}",
            f"{one.overlap:.2f}",
        )
        for one in changes
    ]
    return card(
        "ConceptShift",
        f"{len(shift)} concepts, {in_words(shift.base.site)}",
        {
            "samples": ", ".join(f"{n:,} {side}" for side, n in shift.rows.items()),
            **_recovered(shift.recovery),
        },
        columns=("concept", "words that came", "share", "length", "consistency", "words kept"),
        rows=rows,
    )


def _recovered(recovery: Mapping[str, Any]) -> dict[str, str]:
    """The centred cosine at strength 1, and what lies between it and the controls."""
    curves: Mapping[str, Any] = recovery.get("centred_cosine") or {}
    strengths: list[float] = list(recovery.get("strength", ()))
    if "concept" not in curves or 1.0 not in strengths:
        return {}
    found = {"recovered": f"{curves['concept'][strengths.index(1.0)]:.2f} (centred cosine)"}
    for name in _CONTROLS:
        gap = recovery.get(f"concept_minus_{name}")
        if gap:
            side = "above" if gap["low"] > 0 else "not surely above"
            found[f"  {name} control"] = (
                f"{side}: {gap['estimate']:+.2f} [{gap['low']:z.2f}, {gap['high']:z.2f}]"
            )
    return found


def trajectory_card(trajectory: "Trajectory") -> str:
    """Which concepts changed, how far, and from which step on."""
    rows = [
        (
            f"{one.index} {', '.join(one.words[:3])}",
            f"{one.curves['moved'].points[-1].estimate:.2f}" if trajectory.xs else "–",
            "–"
            if one.curves["moved"].first_changed is None
            else f"{one.curves['moved'].first_changed:g}",
            f"{one.pictures:,}",
        )
        for one in sorted(trajectory.concepts, key=lambda one: _last(one.curves["moved"].points))
    ]
    answers = trajectory.answers
    return card(
        "Trajectory",
        steps_in_words(trajectory),
        {
            "other answers": f"{100 * answers[-1].estimate:.0f} % at the end" if answers else "",
            "margin": str(trajectory.margins.get("source", "")),
        },
        columns=("concept", "moved at the end", f"changed from {trajectory.axis}", "pictures"),
        rows=rows,
    )


def steps_in_words(trajectory: "Trajectory") -> str:
    """``12 concepts along 5 scales from 0 to 1``."""
    xs, plural = trajectory.xs, "" if len(trajectory.xs) == 1 else "s"
    ends = f" from {xs[0]:g} to {xs[-1]:g}" if xs else ""
    return f"{len(trajectory.concepts)} concepts along {len(xs)} {trajectory.axis}{plural}{ends}"


def _last(points: Any) -> float:
    """To sort by: those that moved most first, unknown ones last."""
    end = points[-1].estimate if points else float("nan")
    return -end if end == end else float("inf")
