"""Whether what a block's last linear layer is given reaches the block's output, and how much of it.

A block may scale what it writes (Granite), or bring it to a length first (Gemma 2 and 3): the one
is undone by dividing, the other not at all. Which it is gets measured.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Place:
    """Where a vector is to be added.

    Attributes:
        block: its output is a state.
        linear: the layer that runs last in it.
        direction: (d,) what is added to the layer's output.
    """

    block: nn.Module
    linear: nn.Module
    direction: Tensor


def measure_factors(
    model: Model, places: Sequence[Place], inputs: Sequence[Inputs]
) -> list[float | None]:
    """What each block multiplies its last linear layer's output by before it adds it.

    Each block is run twice on what it is given, with and without, in one pass of the model: a pass
    for each block would take hours where there are many.

    Args:
        model: whose blocks.
        places: the blocks, each once.
        inputs: what is read.

    Returns:
        the factors; ``None`` where what arrives is no multiple of what was added, or differs
        between positions: behind a norm, a gate, or a router.
    """
    watched = [_Twice(one, float(torch.finfo(model.dtype).eps)) for one in places]
    with ExitStack() as handles:
        for one in watched:
            handles.callback(one.place.block.register_forward_hook(one, with_kwargs=True).remove)
            before = one.place.block.register_forward_pre_hook(one.keep, with_kwargs=True)
            handles.callback(before.remove)
        for batch in inputs:
            forward(model, batch)
    return [_agreed(one.factors, model.hf.config) for one in watched]


def _agreed(factors: Sequence[float | None], config: Any) -> float | None:
    """One factor of all that were measured."""
    known = [one for one in factors if one is not None]
    if len(known) < len(factors) or not known:
        return None
    middle = sum(known) / len(known)
    if any(abs(one - middle) > _NEAR * abs(middle) for one in known):
        return None
    return _exactly(middle, config)


class _Twice:
    """A hook on a block that runs it once more, with something added to its last linear layer.

    A block that does not run (of the vision tower, behind text alone) is not measured.
    """

    def __init__(self, place: Place, eps: float) -> None:
        self.place, self.factors = place, list[float | None]()
        self._eps, self._again, self._given = eps, False, ((), dict[str, Any]())

    def keep(self, _block: nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
        """What the block is given, before it can write into it."""
        if not self._again:
            told = {key: _copied(value) for key, value in kwargs.items()}
            self._given = (tuple(map(_copied, args)), told)

    def __call__(self, block: nn.Module, _args: Any, _kwargs: Any, output: Any) -> None:
        if self._again:
            return
        plain = state_of(output).detach().float()
        # As large as the states, so that rounding does not hide it.
        direction = self.place.direction.float().to(plain.device)
        added = direction * (plain.norm(dim=-1).mean() / direction.norm())
        args, kwargs = self._given
        handle = self.place.linear.register_forward_hook(_adding(added))
        self._again = True
        try:
            other = state_of(block(*args, **kwargs)).detach().float()
        finally:
            self._again = False
            handle.remove()
        self.factors.append(_factor(plain, other, added, self._eps))


def _copied(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value


def _adding(added: Tensor) -> Callable[[nn.Module, Any, Tensor], Tensor]:
    def hook(_linear: nn.Module, _args: Any, output: Tensor) -> Tensor:
        return output + added.to(output)

    return hook


def _factor(before: Tensor, after: Tensor, added: Tensor, eps: float) -> float | None:
    """By which multiple of what was added two states differ; ``None`` where by no multiple."""
    if after.shape != before.shape:
        return None
    change = (after - before).reshape(-1, len(added)).double().cpu()
    wanted = added.double().cpu()
    factor = float((change @ wanted).mean() / (wanted @ wanted))
    size = max(float(one.abs().max()) for one in (after, before, wanted))
    off = float((change - factor * wanted).abs().max())
    return None if off > _ROUNDINGS * eps * size or abs(factor) < 1e-6 else factor


def _exactly(measured: float, config: Any) -> float:
    text = config.get_text_config(decoder=True)
    numbers = [1.0, *(v for v in vars(text).values() if isinstance(v, float) and v > 0)]
    nearest = min(numbers, key=lambda number: abs(number - measured))
    return nearest if abs(nearest - measured) <= _NEAR * nearest else measured
