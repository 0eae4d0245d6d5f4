"""``Changes``: what baking does to a checkpoint, tried on a loaded model before it is written."""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from shiftlens.models.model import Model
from shiftlens.models.prompts import Inputs
from shiftlens.steering.exporting.baking.linears import all_logits

Edit = Callable[[Tensor], Tensor]
"""From a tensor (float32 or wider) to its replacement."""


@dataclass(frozen=True)
class Bias:
    """A bias of a layer that has none.

    Attributes:
        layer: path of the linear layer.
        values: (out,) float32; ``None`` for zeros, where the setting wants a bias and no one else.
        width: how many numbers it has.
    """

    layer: str
    values: Tensor | None
    width: int


@dataclass(frozen=True)
class Changes:
    """What is done to the tensors and the settings of a checkpoint; all else stays, bit for bit.

    Attributes:
        edits: tensors that are replaced, by their name in ``model.hf``.
        biases: tensors that are new.
        settings: of the configuration, each as a path of keys ("text_config", "mlp_bias").
        untied: whether the unembedding, until now one tensor with the embeddings, gets its own.
        notes: what whoever uses the checkpoint must know.
    """

    edits: Mapping[str, Edit] = field(default_factory=dict[str, Edit])
    biases: Sequence[Bias] = ()
    settings: Mapping[tuple[str, ...], Any] = field(default_factory=dict[tuple[str, ...], Any])
    untied: bool = False
    notes: tuple[str, ...] = ()

    def and_also(self, other: "Changes") -> "Changes":
        """Both; what both edit is edited by this one first."""
        edits = dict(self.edits)
        for name, edit in other.edits.items():
            edits[name] = _then(edits[name], edit) if name in edits else edit
        return Changes(
            edits,
            _joined([*self.biases, *other.biases]),
            {**self.settings, **other.settings},
            self.untied or other.untied,
            tuple(dict.fromkeys((*self.notes, *other.notes))),
        )


def _then(first: Edit, second: Edit) -> Edit:
    return lambda tensor: second(first(tensor))


def _joined(many: Sequence[Bias]) -> list[Bias]:
    """One bias a layer: values that two changes bring add up."""
    found: dict[str, Bias] = {}
    for one in many:
        before = found.get(one.layer)
        if before is None or before.values is None:
            found[one.layer] = one
        elif one.values is not None:
            found[one.layer] = Bias(one.layer, before.values + one.values, one.width)
    return list(found.values())


def edited(tensor: Tensor, edit: Edit) -> Tensor:
    """A tensor's replacement in its own type, computed in float64 where the device knows it."""
    wide = torch.float32 if tensor.device.type == "mps" else torch.float64
    return edit(tensor.detach().to(wide)).to(tensor.dtype)


@torch.no_grad()
def logits_with(model: Model, changes: Changes, inputs: Sequence[Inputs]) -> list[Tensor]:
    """What a loaded model would say with the changes, which it is not left with.

    Args:
        model: it is given back bit for bit.
        changes: what is tried.
        inputs: what is read.

    Returns:
        as ``all_logits``.
    """
    tensors: dict[str, Tensor] = dict(model.hf.named_parameters(remove_duplicate=False))
    replaced = {name: edited(tensors[name], edit) for name, edit in changes.edits.items()}
    with ExitStack() as handles:
        handles.enter_context(_swapped(model.hf, replaced))
        for bias in changes.biases:
            if bias.values is not None:
                hook = _adding(bias.values)
                module = model.hf.get_submodule(bias.layer)
                handles.callback(module.register_forward_hook(hook).remove)
        return all_logits(model, inputs)


@contextmanager
def _swapped(hf: nn.Module, replaced: Mapping[str, Tensor]) -> Generator[None]:
    """Other tensors in the place of parameters, for a block; one of two tied names moves alone."""
    kept: list[tuple[nn.Module, str, nn.Parameter]] = []
    try:
        for name, tensor in replaced.items():
            owner, _, own = name.rpartition(".")
            module = hf.get_submodule(owner)
            kept.append((module, own, getattr(module, own)))
            setattr(module, own, nn.Parameter(tensor, requires_grad=False))
        yield
    finally:
        for module, own, before in kept:
            setattr(module, own, before)


def _adding(values: Tensor) -> Callable[[nn.Module, Any, Tensor], Tensor]:
    def hook(_module: nn.Module, _args: Any, output: Tensor) -> Tensor:
        return output + values.to(output)

    return hook
