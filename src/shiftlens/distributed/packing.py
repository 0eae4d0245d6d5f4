"""What workers are sent: the function of a run, its models once, and no listener."""

from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import Any

import torch
from torch import nn

from shiftlens.activations.job import Job
from shiftlens.core.errors import DataError
from shiftlens.core.progress import Progress, Silent
from shiftlens.distributed.arrival import at_home
from shiftlens.models.hooks import RECORDERS
from shiftlens.models.model import Model
from shiftlens.models.spread import is_offloaded, is_split

_MARK = "_output_capturing_hooks_installed"


@dataclass(frozen=True)
class Cargo:
    """What travels: a function, and the transformers models that stand somewhere in it."""

    function: Callable[[Any], Any]
    modules: tuple[nn.Module, ...]

    def unpacked(self) -> Callable[[Any], Any]:
        """The function, once this process knows the classes of the models.

        transformers notes how a class is to be run when one of it is made, and an unpacked one is
        not made: an empty one of each is, and thrown away.
        """
        for module in self.modules:
            known: Any = module
            with torch.device("meta"):
                type(known)._from_config(deepcopy(known.config))
        return self.function


@dataclass(frozen=True)
class Package:
    """A function that can leave the process, and who listens here.

    Attributes:
        function: what workers call with one part.
        listener: told of the samples of each part that is done; the caller starts and stops it.
        models: the models that the function holds.
        counts: whether parts are ``(number, samples)`` and results ``(number, entries)``, as a
            harvest's are.
        roots: where a harvest's parts are written.
    """

    function: Callable[[Any], Any]
    listener: Progress
    models: tuple[Model, ...] = ()
    counts: bool = False
    roots: tuple[Any, ...] = ()

    @property
    def modules(self) -> tuple[nn.Module, ...]:
        """The transformers models, each once."""
        return tuple({id(model.hf): model.hf for model in self.models}.values())

    @property
    def cargo(self) -> Cargo:
        """What workers are sent."""
        return Cargo(self.function, self.modules)

    @property
    def size(self) -> int:
        """Bytes of weights."""
        tensors = (chain(one.parameters(), one.buffers()) for one in self.modules)
        return sum(one.nbytes for one in chain.from_iterable(tensors))

    @property
    def device(self) -> str:
        """The type of device that the models are on; ``cpu`` where there are none."""
        return self.models[0].device.type if self.models else "cpu"

    def samples(self, part: Any) -> int:
        """How many samples a part holds."""
        return len(part[1]) if self.counts else 1

    def name(self, part: Any) -> str:
        """What a person calls a part."""
        if not self.counts:
            return f"part {part!r:.60}"
        number, samples = part
        if not samples:
            return f"part {number}"
        first, last = samples[0].id, samples[-1].id
        return f"part {number} ({len(samples)} samples, {first!r:.60} to {last!r:.60})"


def pack(function: Callable[[Any], Any]) -> Package:
    """Take the listener out of a harvest's function; any other is left as it is.

    Raises:
        DataError: a model is split over devices, and cannot be sent.
    """
    whole: Any = function
    job = whole.args[0] if isinstance(whole, partial) and whole.args else None
    if not isinstance(job, Job):
        return Package(function, Silent())
    for model in job.models:
        if is_split(model.hf) or is_offloaded(model.hf):
            raise DataError(
                f"{model} is split over devices and cannot be given to workers",
                allowed="models that one device holds",
                remedy="load it on one device, or run shares: shiftlens harvest --part 1/8",
            )
    roots = at_home(job)
    sent = replace(job, progress=Silent(), roots=roots)
    bare = partial(whole.func, sent, *whole.args[1:], **whole.keywords)
    return Package(bare, job.progress, job.models, counts=True, roots=roots)


@contextmanager
def without_recorders(modules: Iterable[nn.Module]) -> Generator[None]:
    """Take transformers' own hooks out of its modules for the time of a block.

    It puts them in when hidden states are first asked for, and again in whoever unpacks the
    module: they are closures over this process and cannot be sent.
    """
    taken: list[tuple[dict[int, Any], dict[int, Any]]] = []
    marked: list[nn.Module] = []
    try:
        for module in chain.from_iterable(one.modules() for one in modules):
            found: dict[int, Any] = vars(module)["_forward_hooks"]
            if any(_is_recorder(hook) for hook in found.values()):
                taken.append((found, dict(found)))
                for key in [key for key, hook in found.items() if _is_recorder(hook)]:
                    del found[key]
            if vars(module).pop(_MARK, False):
                marked.append(module)
        yield
    finally:
        for hooks, before in taken:
            hooks.clear()
            hooks.update(before)
        for module in marked:
            setattr(module, _MARK, True)


def _is_recorder(hook: Any) -> bool:
    return getattr(hook, "__module__", "") == RECORDERS
