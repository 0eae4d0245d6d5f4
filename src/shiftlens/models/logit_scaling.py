"""What a family does to its logits behind the unembedding, measured instead of looked up.

Families multiply by ``logit_scale``, divide by ``logits_scaling``, multiply by the same name, cap
softly, or name such a number in their configuration and never use it. Which of these a model does
is seen when chosen numbers are put in the place of what its unembedding gives.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

# Powers of two, which every type holds exactly: one far below every cap, one far above.
_SMALL, _LARGE = 2.0**-6, 2.0**13
# A measured number is taken for one of the configuration that is as near as this, which is within
# what half precision and a cap leave of a small number.
_NEAR = 5e-3


@dataclass(frozen=True)
class LogitScaling:
    """``logits = soft_cap * tanh(raw * scale / soft_cap)``, or ``raw * scale`` without a cap.

    Attributes:
        scale: what the family multiplies its logits by.
        soft_cap: where the family caps them softly.
    """

    scale: float = 1.0
    soft_cap: float | None = None


def measure_scaling(behind_head: Callable[[Tensor], Tensor], config: Any) -> LogitScaling:
    """Find what turns the output of an unembedding into a model's logits.

    Args:
        behind_head: the logits (n,) that the model makes of given numbers (n,) in the place of what
            its unembedding gives.
        config: of the language model; its numbers are the exact values of what is measured.
    """
    small, large = behind_head(torch.tensor([_SMALL, _LARGE])).tolist()
    numbers = [1.0, *_numbers(config)]
    scale = _exactly(small / _SMALL, [*numbers, *(1 / number for number in numbers)])
    if large >= 0.99 * scale * _LARGE:
        return LogitScaling(scale)
    return LogitScaling(scale, _exactly(large, numbers))


def _numbers(config: Any) -> Iterator[float]:
    for value in vars(config).values():
        if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
            yield float(value)


def _exactly(measured: float, numbers: list[float]) -> float:
    nearest = min(numbers, key=lambda number: abs(number - measured))
    return nearest if abs(nearest - measured) <= _NEAR * nearest else measured
