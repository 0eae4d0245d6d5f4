"""Models without weights: built on the meta device, and run there although they ask for values."""

import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from shiftlens.models.quiet import quiet_loading


def build_empty(kind: Callable[[Any], Any], config: Any) -> nn.Module:
    """A model without weights, in evaluation mode; takes a tenth of a second and no memory.

    Attention and experts are those that are written in plain PyTorch: others look at the values of
    masks, or at which expert a token went to.

    Args:
        kind: a class of transformers, or a function that makes a model from a configuration.
        config: its configuration; which attention it asks for is changed in place.

    Raises:
        Exception: whatever the family raises; there is no common class.
    """
    config._attn_implementation = "eager"
    config._experts_implementation = "batched_mm"
    with silence(), torch.device("meta"):
        return kind(config).eval()


@contextmanager
def silence() -> Generator[None]:
    """No warnings and no progress bars: whatever matters is an exception or a wrong answer."""
    with quiet_loading(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class NoValues(TorchDispatchMode):
    """Inside this context a tensor without values answers every question about them with no.

    Families ask, for example, whether a mask is all ones, to take a shorter way; either way runs
    through the same blocks. Which entries are true is answered by: none.
    """

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Answer what the meta device cannot; pass every other operation on."""
        if func is torch.ops.aten._local_scalar_dense.default:
            return args[0].new_zeros((), device="cpu").item()
        if func is torch.ops.aten.nonzero.default:
            return args[0].new_empty((0, args[0].ndim), dtype=torch.long)
        if func is torch.ops.aten.index.Tensor:
            args = (args[0], [row for index in args[1] for row in _chosen(index)], *args[2:])
        return func(*args, **(kwargs or {}))


def _chosen(index: Tensor | None) -> list[Tensor | None]:
    """An index as positions: a mask, which takes several dimensions, chooses none."""
    if index is None or index.dtype != torch.bool:
        return [index]
    return [index.new_empty((0,), dtype=torch.long) for _ in range(index.ndim)]
