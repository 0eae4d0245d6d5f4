"""``export``: a steering in the format of another engine."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from shiftlens.core.errors import ExportError, MismatchError
from shiftlens.core.manifest import disk_guard
from shiftlens.models.claims import require_known
from shiftlens.steering.exporting.refusing import require_sound
from shiftlens.steering.exporting.staging import require_empty
from shiftlens.steering.exporting.subject import Subject
from shiftlens.steering.exporting.target import Exported, Plan, Target, find_target
from shiftlens.steering.intervening import Intervention
from shiftlens.steering.keeping.steering import Source, as_steering

if TYPE_CHECKING:
    from shiftlens.models.model import Model

_UNSEEN = "the weights of {} are not at hand: whether the vectors come from them was not checked"


def export(
    what: Source | Sequence[Source],
    to: str,
    out: str | Path,
    *,
    model: "str | Path | Model | Subject | None" = None,
    everywhere: bool = False,
) -> Exported:
    """Write a steering for another engine.

    What the target cannot express is refused and never left out.

    Args:
        what: a ``Steering``, a vector, an affine edit, an intervention, or several of them. A bare
            vector has no scope and is exported for every position (scope ``all``), the only one
            that every engine has.
        to: the target: ``baked``, ``gguf``, ``transformers``, ``vllm-lens``, or one that an
            installed package offers.
        out: the folder, which is made.
        model: the model that it is for: loaded, or a directory, an id or ``package:name``. Some
            targets need it; where it is given, the vectors are held against it.
        everywhere: let the target ``baked`` carry out an ablation as weights can: in everything
            that is written to the residual stream. That is another function than the one that hooks
            after every block carry out, and is refused without this where it shows.

    Returns:
        the files, and notes for whoever uses them.

    Raises:
        ExportError: an unknown target, something that it cannot express, or nothing to export.
        SteeringError: a strength that is no number, layers that are there twice.
        MismatchError: vectors of another model.
        MachineError: the disk is full.
    """
    folder = Path(out)
    target, plan = plan_export(what, to, model=model, everywhere=everywhere, out=folder)
    return carry_out(target, plan, folder)


def carry_out(target: Target, plan: Plan, out: str | Path) -> Exported:
    """Write what was planned.

    Raises:
        MachineError: the disk is full.
    """
    folder = Path(out)
    with disk_guard(folder):
        folder.mkdir(parents=True, exist_ok=True)
        plan.write(folder)
    return Exported(target.name, folder, tuple(folder / one for one in plan.files), plan.notes)


def plan_export(
    what: Source | Sequence[Source],
    to: str,
    *,
    model: "str | Path | Model | Subject | None" = None,
    everywhere: bool = False,
    out: Path | None = None,
) -> tuple[Target, Plan]:
    """What ``export`` would write; the same refusals, and nothing is written.

    Args:
        what: as in ``export``, like ``to``, ``model`` and ``everywhere``.
        to: the target.
        model: that it is for.
        everywhere: of ablations.
        out: the folder, where it is known: one that will be refused is refused at once.

    Raises:
        ExportError: an unknown target, something that it cannot express, or nothing to export.
        SteeringError: a strength that is no number, layers that are there twice.
        MismatchError: vectors of another model.
    """
    target, steering = find_target(to), as_steering(what, scope="all")
    target = target.everywhere() if everywhere else target
    if out is not None and target.needs_empty_folder:
        require_empty(out)
    subject = _subject(model)
    if subject is None and target.needs_model:
        raise ExportError(
            f"the target {target.name!r} needs the model that it is for",
            remedy="name it: --model DIRECTORY, or model=... in Python",
        )
    for one in steering.interventions:
        require_sound(one)
        if subject is not None:
            require_model(one, subject)
    plan = target.plan(steering, subject)
    if subject is not None and subject.claim.identity is None:
        plan = replace(plan, notes=(*plan.notes, _UNSEEN.format(subject.name)))
    return target, plan


def require_model(one: Intervention, subject: Subject) -> None:
    """Refuse a vector of another model.

    Raises:
        MismatchError: of other weights, or of another width.
        SiteError: a block that the model does not have.
    """
    vector, claimed = one.vector, subject.claim
    require_known(vector.provenance.get("model"), f"vector {vector.name!r}")
    theirs = (vector.provenance.get("model") or {}).get("weights")
    mine = (claimed.identity or {}).get("weights")
    if theirs is not None and mine is not None and theirs != mine:
        raise MismatchError(
            f"vector {vector.name!r} comes from other weights than {subject.name}",
            remedy="use the model that the vector was made with, or one adapter apart from it",
        )
    if one.tower != "language":
        return
    if one.d != claimed.address.d:
        raise MismatchError(
            f"vector {vector.name!r} has {one.d} entries",
            allowed=f"{subject.name} has a residual stream of width {claimed.address.d}",
        )
    for layer in (vector.layer,) if one.layers is None else one.layers:
        claimed.address.layer(layer, subject.name)


def _subject(model: "str | Path | Model | Subject | None") -> Subject | None:
    if model is None or isinstance(model, Subject):
        return model
    return Subject(str(model)) if isinstance(model, str | Path) else Subject.of(model)
