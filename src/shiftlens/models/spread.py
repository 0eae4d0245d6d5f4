"""Where a module computes: models may be split over devices, with weights that lie elsewhere."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


def home_of(module: nn.Module) -> torch.device:
    """The device on which a module's inputs are wanted.

    accelerate puts weights of a split model where there is room, down to the disk, and brings them
    to the module's device while it runs: then what its hook says counts, not where they lie.
    """
    hook: Any = getattr(module, "_hf_hook", None)
    found: Any = getattr(hook, "execution_device", None)
    if found is not None:
        return torch.device(found)
    tensors = [*module.parameters(), *module.buffers()]
    return next((t.device for t in tensors if not t.is_meta), torch.device("cpu"))


def type_of(module: nn.Module, otherwise: torch.dtype) -> torch.dtype:
    """The type in which a module computes; packed weights do not say it."""
    tensors = [*module.parameters(), *module.buffers()]
    if any(not t.is_floating_point() for t in tensors[:1]):
        return otherwise
    return next((t.dtype for t in tensors), otherwise)


@contextmanager
def brought_home(module: nn.Module) -> Generator[None]:
    """Bring a module's own weights to its device for the time of a block, if they lie elsewhere."""
    if not any(t.is_meta for t in module.parameters()):
        yield
        return
    from accelerate.utils.modeling import align_module_device

    with align_module_device(module):
        yield


def is_offloaded(hf: Any) -> bool:
    """Whether some of a model's weights are in memory only while they are needed."""
    return any(t.is_meta for t in hf.parameters())


def is_split(hf: Any) -> bool:
    """Whether accelerate has put a model in several places."""
    return len({str(one) for one in (getattr(hf, "hf_device_map", None) or {}).values()}) > 1
