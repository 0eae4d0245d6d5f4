"""Edits of the projector, baked: what follows its last linear layer is one more linear map.

A block of a language model has a way past its layers, by which the state itself reaches its output:
no weight lies on that way, so that nothing but an addition folds there. A projector has none.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from shiftlens.concepts.vectors import SteeringVector
from shiftlens.core.errors import ExportError
from shiftlens.models.model import Model
from shiftlens.models.prompts import Inputs
from shiftlens.steering.affine import AffineEdit
from shiftlens.steering.exporting.baking.adding import add_to_bias
from shiftlens.steering.exporting.baking.changes import Changes, Edit
from shiftlens.steering.exporting.baking.flags import Flags
from shiftlens.steering.exporting.baking.linears import (
    last_run,
    lies_turned,
    through,
    writing_into,
)
from shiftlens.steering.exporting.refusing import HOOKS
from shiftlens.steering.intervening import Intervention
from shiftlens.steering.operators import Ablate, Add, MoveTo, Operator


def bake_projector(model: Model, one: Intervention, inputs: Sequence[Inputs]) -> Changes:
    """What does to every picture what an intervention at the projector does.

    Args:
        model: whose projector.
        one: an affine edit that is not clipped, or a vector that is added, ablated or moved to.
        inputs: with a picture, on which the projector is watched.

    Raises:
        ExportError: the operation is not affine, the projector does not end with a linear layer,
            or that layer needs a bias that the architecture does not know.
    """
    matrix, offset = affine_of(one)
    owner = model.address.projector_path
    assert owner is not None  # the intervention's layer was found in it
    paths = writing_into(model.hf, owner, one.d)
    path = last_run(model, {owner: paths}, inputs).get(owner)
    if path is None:
        raise ExportError(
            f"the projector of {model.name} does not end with a linear layer of width {one.d}",
            remedy=HOOKS,
        )
    module = model.hf.get_submodule(path)
    edits = {f"{path}.weight": through(_by(matrix), turned=lies_turned(module))}
    if getattr(module, "bias", None) is not None:
        edits[f"{path}.bias"] = _by(matrix)
    turned = Changes(edits)
    if not bool(offset.any()):
        return turned
    what = f"pictures of {model.name}"
    return turned.and_also(add_to_bias(model, path, offset, what, Flags(model)))


def affine_of(one: Intervention) -> tuple[Tensor, Tensor]:
    """(d, d) and (d,) float64, so that the intervention is h -> matrix h + offset.

    Raises:
        ExportError: it is not affine: clipped, or it keeps the length of a state.
    """
    vector, operator, strength = one.vector, one.operator or Add(), one.strength
    eye = torch.eye(one.d, dtype=torch.float64)
    if isinstance(vector, AffineEdit):
        if vector.clipped:
            raise _not_affine(vector.name, "is clipped: it leaves states of one side alone")
        turn = strength * (vector.left.double() @ vector.right.double())
        return eye - turn, turn @ vector.mean.double()
    return _of_vector(vector, operator, strength, eye)


def _of_vector(
    vector: SteeringVector, operator: Operator, strength: float, eye: Tensor
) -> tuple[Tensor, Tensor]:
    direction = vector.direction.double()
    if isinstance(operator, Add):
        return eye, strength * direction
    unit = direction / direction.norm()
    along = strength * torch.outer(unit, unit)
    if isinstance(operator, Ablate):
        return eye - along, torch.zeros_like(unit)
    if isinstance(operator, MoveTo):
        return eye - along, strength * operator.target * unit
    raise _not_affine(vector.name, f"has the operator {operator.name}")


def _by(matrix: Tensor) -> Edit:
    return lambda rows: rows @ matrix.to(rows).T


def _not_affine(name: str, why: str) -> ExportError:
    return ExportError(
        f"{name!r} {why}, which no weight can do",
        allowed="in a projector: add, ablate, move-to, and affine edits that are not clipped",
        remedy=HOOKS,
    )
