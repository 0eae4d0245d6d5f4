"""Whether what a block's last linear layer is given reaches the block's output, and how much of it.

A block may scale what it writes (Granite), or bring it to a length first (Gemma 2 and 3): the one
is undone by dividing, the other not at all. Which it is gets measured.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from shiftlens.models.generation import forward
from shiftlens.models.hooks import state_of
from shiftlens.models.model import Model
from shiftlens.models.prompts import Inputs

# A measured factor is taken for one of the configuration that is as near as this.
_NEAR = 5e-3
# How far the change of a state may be from the one that was asked for, as a share of the larger of
# the two, in eps of the type.
_ROUNDINGS = 256


def measure_factor(
    model: Model, block: nn.Module, linear: nn.Module, direction: Tensor, inputs: Sequence[Inputs]
) -> float | None:
    """What a block multiplies its last linear layer's output by before it adds it.

    Args:
        model: whose block.
        block: its output is a state.
        linear: the layer that runs last in it.
        direction: (d,) what is added to the layer's output.
        inputs: read with and without.

    Returns:
        the factor; ``None`` where what arrives is no multiple of what was added, or differs
        between positions: behind a norm, a gate, or a router.
    """
    # As large as the states, so that rounding does not hide it.
    plain = [_states(model, block, linear, batch, None) for batch in inputs]
    scale = max(float(one.norm(dim=-1).mean()) for one in plain if one.numel())
    added = direction.float() * (scale / float(direction.norm()))
    factors: list[float] = []
    for batch, before in zip(inputs, plain, strict=True):
        if not before.numel():  # a batch of text, and a block of the vision tower
            continue
        after = _states(model, block, linear, batch, added)
        if after.shape != before.shape:
            return None
        change = (after - before).reshape(-1, len(added)).double().cpu()
        wanted = added.double().cpu()
        factor = float((change @ wanted).mean() / (wanted @ wanted))
        size = max(float(after.abs().max()), float(before.abs().max()), float(wanted.abs().max()))
        allowed = _ROUNDINGS * torch.finfo(model.dtype).eps * size
        if float((change - factor * wanted).abs().max()) > allowed or abs(factor) < 1e-6:
            return None
        factors.append(factor)
    middle = sum(factors) / len(factors)
    if any(abs(one - middle) > _NEAR * abs(middle) for one in factors):
        return None
    return _exactly(middle, model.hf.config)


def _exactly(measured: float, config: Any) -> float:
    text = config.get_text_config(decoder=True)
    numbers = [1.0, *(v for v in vars(text).values() if isinstance(v, float) and v > 0)]
    nearest = min(numbers, key=lambda number: abs(number - measured))
    return nearest if abs(nearest - measured) <= _NEAR * nearest else measured


@torch.no_grad()
def _states(
    model: Model, block: nn.Module, linear: nn.Module, batch: Inputs, added: Tensor | None
) -> Tensor:
    """(..., d) the block's output, with something added to what its last layer writes."""
    seen: list[Tensor] = []

    def keep(_block: nn.Module, _args: Any, output: Any) -> None:
        seen.append(state_of(output).detach().float().clone())

    def add(_linear: nn.Module, _args: Any, output: Tensor) -> Tensor | None:
        return None if added is None else output + added.to(output)

    with ExitStack() as handles:
        handles.callback(linear.register_forward_hook(add).remove)
        handles.callback(block.register_forward_hook(keep).remove)
        forward(model, batch)
    return torch.cat([one.reshape(-1, one.shape[-1]) for one in seen]) if seen else torch.empty(0)
