"""Addition, baked: a vector in the bias of the linear layer that a block ends with."""

from collections.abc import Sequence

from torch import Tensor, nn

from shiftlens.core.errors import ExportError
from shiftlens.models.model import Model
from shiftlens.models.prompts import Inputs
from shiftlens.models.towers import Tower, modules_of
from shiftlens.steering.exporting.baking.changes import Bias, Changes, Edit
from shiftlens.steering.exporting.baking.flags import Flag, find_flag
from shiftlens.steering.exporting.baking.folding import measure_factor
from shiftlens.steering.exporting.baking.linears import last_run, writing_into
from shiftlens.steering.exporting.refusing import HOOKS

ELSEWHERE = f"export it to an engine that adds vectors (gguf, vllm-lens); or {HOOKS}"


def bake_addition(
    model: Model, tower: Tower, layer: int, added: Tensor, inputs: Sequence[Inputs]
) -> Changes:
    """What adds a vector to every state after a block.

    Args:
        model: whose block.
        tower: language or vision.
        layer: the block.
        added: (d,) what is added, strength and all.
        inputs: on which the block is watched.

    Raises:
        ExportError: the block ends with no linear layer, brings what it writes to a length of its
            own, or the architecture has no setting for a bias there.
    """
    block = modules_of(model, tower)[layer]
    owner = _path_of(model.hf, block)
    where = f"block {layer} of {model.name}"
    path = last_run(model, {owner: writing_into(model.hf, owner, len(added))}, inputs).get(owner)
    if path is None or _is_mixture(block):
        raise ExportError(
            f"{where} ends with a mixture of experts, or with no linear layer: a bias of one "
            "expert reaches only the tokens that are sent to it",
            allowed="blocks whose last layer is linear and the same for every token",
            remedy=ELSEWHERE,
        )
    linear = model.hf.get_submodule(path)
    factor = measure_factor(model, block, linear, added, inputs)
    if factor is None:
        raise ExportError(
            f"{where} norms or gates what {path} writes before it is added to the stream, so that "
            "a bias there is no addition after the block",
            allowed="blocks that add what their last linear layer writes, as it is or times a "
            "number",
            remedy=ELSEWHERE,
        )
    return add_to_bias(model, path, added / factor, f"the output of {where}")


def add_to_bias(model: Model, path: str, values: Tensor, what: str) -> Changes:
    """What adds values to the bias of a linear layer, which may have none yet.

    Args:
        model: whose architecture decides.
        path: of the linear layer.
        values: (out,) what is added.
        what: is steered, for the message.

    Raises:
        ExportError: it has none, and the architecture knows none there.
    """
    if getattr(model.hf.get_submodule(path), "bias", None) is not None:
        return Changes(edits={f"{path}.bias": _plus(values)})
    flag = find_flag(model, path)
    if flag is None:
        raise ExportError(
            f"{type(model.hf).__name__} has no setting that gives {path} a bias, and without one "
            f"nothing can be added to {what} in plain weights",
            allowed="architectures whose last linear layer has a bias, or a setting for it "
            "(Llama's mlp_bias and its like): docs/baking.md lists them",
            remedy=ELSEWHERE,
        )
    return Changes(
        biases=[_bias(model, one, values if one == path else None) for one in flag.layers],
        settings={flag.path: True},
        notes=(_told(flag, path),),
    )


def _told(flag: Flag, path: str) -> str:
    others = len(flag.layers) - 1
    return (
        f"the setting {flag} is on: {path} and {others} other linear layers have a bias now, "
        "of zeros where nothing was added"
    )


def _bias(model: Model, layer: str, values: Tensor | None) -> Bias:
    module = model.hf.get_submodule(layer)
    assert isinstance(module, nn.Linear)
    return Bias(layer, None if values is None else values.float().cpu(), module.out_features)


def _plus(values: Tensor) -> Edit:
    return lambda bias: bias + values.to(bias)


def _is_mixture(block: nn.Module) -> bool:
    """Whether tokens of a block are sent to experts."""
    return any("expert" in name.rpartition(".")[2] for name, _ in block.named_modules())


def _path_of(hf: nn.Module, wanted: nn.Module) -> str:
    return next(path for path, module in hf.named_modules() if module is wanted)
