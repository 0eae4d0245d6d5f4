"""Addition, baked: a vector in the bias of the linear layer that a block ends with."""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from shiftlens.core.errors import ExportError
from shiftlens.models.model import Model
from shiftlens.models.prompts import Inputs
from shiftlens.models.towers import Tower, modules_of
from shiftlens.steering.exporting.baking.changes import Bias, Changes, Edit
from shiftlens.steering.exporting.baking.flags import Flag, Flags
from shiftlens.steering.exporting.baking.folding import Place, measure_factors
from shiftlens.steering.exporting.baking.linears import last_run, writing_into
from shiftlens.steering.exporting.refusing import HOOKS

ELSEWHERE = f"export it to an engine that adds vectors (gguf, vllm-lens); or {HOOKS}"


def bake_additions(
    model: Model, additions: Mapping[tuple[Tower, int], Tensor], inputs: Sequence[Inputs]
) -> Changes:
    """What adds vectors to every state after some blocks.

    Args:
        model: whose blocks.
        additions: by tower and block (d,) what is added, strength and all.
        inputs: on which the blocks are watched, all of them in one pass.

    Raises:
        ExportError: a block ends with no linear layer, brings what it writes to a length of its
            own, or the architecture has no setting for a bias there.
    """
    wanted = list(additions.values())
    blocks = [modules_of(model, tower)[layer] for tower, layer in additions]
    owners = [_path_of(model.hf, block) for block in blocks]
    groups = {
        one: writing_into(model.hf, one, len(v)) for one, v in zip(owners, wanted, strict=True)
    }
    last = last_run(model, groups, inputs)
    where = [f"block {layer} of {model.name}" for _, layer in additions]
    paths = [
        _require_path(block, last.get(owner), told)
        for block, owner, told in zip(blocks, owners, where, strict=True)
    ]
    linears = [model.hf.get_submodule(path) for path in paths]
    places = [Place(*one) for one in zip(blocks, linears, wanted, strict=True)]
    factors = measure_factors(model, places, inputs)
    changes, flags = Changes(), Flags(model)
    for path, factor, added, told in zip(paths, factors, wanted, where, strict=True):
        values = added / _require_factor(factor, path, told)
        changes = changes.and_also(add_to_bias(model, path, values, f"the output of {told}", flags))
    return changes


def _require_path(block: nn.Module, path: str | None, where: str) -> str:
    """The linear layer that a block ends with.

    Raises:
        ExportError: there is none that all tokens go through.
    """
    if path is None or _is_mixture(block):
        raise ExportError(
            f"{where} ends with a mixture of experts, or with no linear layer: a bias of one "
            "expert reaches only the tokens that are sent to it",
            allowed="blocks whose last layer is linear and the same for every token",
            remedy=ELSEWHERE,
        )
    return path


def _require_factor(factor: float | None, path: str, where: str) -> float:
    """What a block multiplies by.

    Raises:
        ExportError: it does something else.
    """
    if factor is None:
        raise ExportError(
            f"{where} norms or gates what {path} writes before it is added to the stream, so that "
            "a bias there is no addition after the block",
            allowed="blocks that add what their last linear layer writes, as it is or times a "
            "number",
            remedy=ELSEWHERE,
        )
    return factor


def add_to_bias(model: Model, path: str, values: Tensor, what: str, flags: Flags) -> Changes:
    """What adds values to the bias of a linear layer, which may have none yet.

    Args:
        model: whose architecture decides.
        path: of the linear layer.
        values: (out,) what is added.
        what: is steered, for the message.
        flags: settings of the model that give layers a bias.

    Raises:
        ExportError: it has none, and the architecture knows none there.
    """
    if getattr(model.hf.get_submodule(path), "bias", None) is not None:
        return Changes(edits={f"{path}.bias": _plus(values)})
    flag = flags.of(path)
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
