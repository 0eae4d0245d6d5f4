"""What a family adds to the residual stream between two blocks, outside of both."""

from typing import Any

import torch
from torch import Tensor, nn

from shiftlens.models.generation import forward
from shiftlens.models.hooks import state_of
from shiftlens.models.model import Model
from shiftlens.models.prompts import Inputs


def added_after(model: Model, inputs: Inputs) -> tuple[int, ...]:
    """The layers whose state is not what the next block reads, found by comparing the two.

    DeepStack families (Qwen3-VL) add features of pictures after early blocks. A site, and what
    transformers calls hidden states, is the block's own output, without them: an edit there is
    followed by the addition, and the last prompt position or a response token is the same either
    way. Text alone shows nothing, so the inputs should hold pictures.

    Args:
        model: who reads.
        inputs: prompts, with or without responses.

    Returns:
        layers in order; empty for nearly every family.
    """
    blocks = [model.address.block(model.hf, layer) for layer in range(model.address.n_layers)]
    watch = _Watch(blocks)
    handles = [block.register_forward_hook(watch.left) for block in blocks]
    handles += [
        block.register_forward_pre_hook(watch.entered, with_kwargs=True) for block in blocks[1:]
    ]
    try:
        forward(model, inputs)
    finally:
        for handle in handles:
            handle.remove()
    return tuple(sorted(watch.changed))


class _Watch:
    """Compares what enters a block with what left the one before; keeps one state at a time."""

    def __init__(self, blocks: list[nn.Module]) -> None:
        self._number = {id(block): layer for layer, block in enumerate(blocks)}
        self._latest: Tensor | None = None
        self.changed: set[int] = set()

    def left(self, block: nn.Module, args: Any, output: Any) -> None:  # noqa: ARG002
        # A copy, because what is added may be written into the tensor itself.
        self._latest = state_of(output).detach().clone()

    def entered(self, block: nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
        given = args[0] if args else kwargs.get("hidden_states")
        layer = self._number[id(block)] - 1
        if isinstance(given, Tensor) and self._latest is not None:
            same = given.shape == self._latest.shape and torch.equal(given, self._latest)
            if not same:
                self.changed.add(layer)
