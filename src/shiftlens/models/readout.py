"""``Readout``: what a state says, through the model's own final norm and unembedding."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from shiftlens.models.fingerprints import fingerprint_tensors
from shiftlens.models.spread import brought_home, home_of, type_of

# Pieces of names that PEFT inserts around a tensor of the base model.
_WRAPPERS = (".base_layer", ".original_module")


@runtime_checkable
class HasReadout(Protocol):
    """Anything that can be read out: a ``Model``."""

    @property
    def readout(self) -> "Readout":
        """Its final norm and unembedding."""
        ...


@dataclass(frozen=True)
class Readout:
    """Final norm, unembedding, scale and soft cap: ``logits = cap(head(norm(h)) * scale)``.

    Attributes:
        norm: the final norm; ``None`` where the family has none.
        head: the unembedding.
        tokenizer: turns the columns of the logits into tokens.
        enter: enters the model's adapter state, which matters when the adapter touches the head.
        adapter_on: whether that state has the adapter on.
        slot: PEFT's name of that adapter.
        scale: what the family multiplies its logits by.
        soft_cap: ``c * tanh(logits / c)`` where the family has such a cap.
    """

    norm: nn.Module | None
    head: nn.Module
    tokenizer: Any
    enter: Callable[[], AbstractContextManager[None]]
    adapter_on: bool = False
    slot: str = "default"
    scale: float = 1.0
    soft_cap: float | None = None

    @staticmethod
    def of(model: HasReadout) -> "Readout":
        """The readout of a model; nothing is copied."""
        return model.readout

    @torch.no_grad()
    def logits(self, states: Float[Tensor, "n d"]) -> Float[Tensor, "n v"]:
        """Logits over the vocabulary, in float32, on the device of ``states``.

        Args:
            states: (n, d) rows of the residual stream as it leaves the last block, before the norm.
        """
        norm, head = self.norm, self.head
        dtype = type_of(head, states.dtype if norm is None else type_of(norm, states.dtype))
        with self.enter():
            hidden = states.to(dtype=dtype)
            if norm is not None:
                hidden = norm(hidden.to(home_of(norm)))
            logits = head(hidden.to(home_of(head))).float() * self.scale
        if self.soft_cap is not None:
            logits = self.soft_cap * torch.tanh(logits / self.soft_cap)
        return logits.to(states.device)

    @cached_property
    def fingerprint(self) -> str:
        """Digest of the tensors in use: the same for a base alone and for the base of a pair."""
        tensors: dict[str, Tensor] = {}
        for part, module in (("norm", self.norm), ("head", self.head)):
            for name, tensor in [] if module is None else _tensors(module):
                plain = f".{name}"
                for wrapper in _WRAPPERS:
                    plain = plain.replace(wrapper, "")
                # Anything of PEFT's own has a longer name than the one parameter level of a layer.
                if plain.count(".") == 1:
                    tensors[part + plain] = tensor
                elif self.adapter_on and f".{self.slot}" in plain:
                    tensors[part + plain.replace(f".{self.slot}", ".default")] = tensor
        return fingerprint_tensors(tensors)


def _tensors(module: nn.Module) -> list[tuple[str, Tensor]]:
    """A module's tensors by name, also those that lie on the disk."""
    with brought_home(module):
        return [(name, tensor.clone()) for name, tensor in module.state_dict().items()
                if isinstance(tensor, Tensor)]  # fmt: skip
