"""Which linear layers write where: told by what runs last, not by names."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack

import torch
from torch import Tensor, nn

from shiftlens.models.generation import forward
from shiftlens.models.model import Model
from shiftlens.models.prompts import Inputs


def is_linear(module: nn.Module) -> bool:
    """A linear layer of torch, or of transformers (``Conv1D``), with weights of its own."""
    return isinstance(module, nn.Linear) or type(module).__name__ == "Conv1D"


def width_of(module: nn.Module) -> int:
    """How many numbers a linear layer writes."""
    weight = module.weight
    assert isinstance(weight, Tensor)
    return int(weight.shape[0] if isinstance(module, nn.Linear) else weight.shape[1])


def lies_turned(module: nn.Module) -> bool:
    """Whether a layer keeps its weight as (in, out): ``Conv1D`` of transformers does."""
    return not isinstance(module, nn.Linear)


def through(change: Callable[[Tensor], Tensor], *, turned: bool) -> Callable[[Tensor], Tensor]:
    """An edit of a weight that puts everything which it writes through a linear map.

    Args:
        change: from rows (n, out) to rows (n, out).
        turned: whether the weight lies as (in, out), and not as (out, in).
    """
    if turned:
        return change
    return lambda weight: change(weight.T).T


def last_run(
    model: Model, groups: Mapping[str, Sequence[str]], inputs: Sequence[Inputs]
) -> dict[str, str]:
    """Of every group of modules the one that runs last, in a pass over some inputs.

    Args:
        model: who reads.
        groups: names of groups, and the paths of their modules in ``model.hf``.
        inputs: read one after the other.

    Returns:
        the groups of which a module ran at all, with its path.
    """
    found: dict[str, str] = {}

    def note(group: str, path: str) -> Callable[..., None]:
        def hook(*_: object) -> None:
            found[group] = path

        return hook

    with ExitStack() as handles:
        for group, paths in groups.items():
            for path in paths:
                module = model.hf.get_submodule(path)
                handles.callback(module.register_forward_hook(note(group, path)).remove)
        for batch in inputs:
            forward(model, batch)
    return found


def writing_into(hf: nn.Module, owner: str, width: int) -> list[str]:
    """Paths of the linear layers inside a module that write a width, itself among them."""
    root = hf.get_submodule(owner)
    return [
        f"{owner}.{path}" if path else owner
        for path, module in root.named_modules()
        if is_linear(module) and width_of(module) == width
    ]


@torch.no_grad()
def all_logits(model: Model, inputs: Sequence[Inputs]) -> list[Tensor]:
    """(n, vocabulary) float32 on the CPU: logits at every position that is no padding, a batch."""
    found: list[Tensor] = []
    for batch in inputs:
        with model.active(), model.tenancy.announcing(batch):
            logits = model.hf(**batch.tensors, use_cache=False).logits
        found.append(_real(logits, batch))
    return found


def _real(logits: Tensor, batch: Inputs) -> Tensor:
    mask = batch.tensors["attention_mask"].bool()
    # Families that write pictures in front of the text give more logits than tokens.
    return logits[:, -mask.shape[1] :][mask.to(logits.device)].float().cpu()
