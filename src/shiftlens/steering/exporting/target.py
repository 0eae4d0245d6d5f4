"""``Target``: a format that a steering can be written in, one small file each.

A package brings its own by the entry point group ``shiftlens.targets``: the name of the target and
the class. Our own stand in ``_HOMES`` and are imported when they are asked for.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import ClassVar

from shiftlens.core.errors import ExportError
from shiftlens.core.registry import Registry
from shiftlens.steering.exporting.subject import Subject
from shiftlens.steering.keeping.steering import Steering

OFFERED = "shiftlens.targets"
"""The group of entry points that packages offer targets in."""


@dataclass(frozen=True)
class Plan:
    """What an export would write; nothing has been written yet.

    Attributes:
        files: names inside the folder, with their size in bytes, or about it.
        notes: sentences that whoever uses the files must know (which block an index means, ...).
        write: writes them into a folder that exists.
    """

    files: Mapping[str, int]
    notes: tuple[str, ...]
    write: Callable[[Path], None]


@dataclass(frozen=True)
class Exported:
    """What an export wrote.

    Attributes:
        target: its name.
        folder: where.
        files: what, as paths.
        notes: sentences that whoever uses the files must know.
    """

    target: str
    folder: Path
    files: tuple[Path, ...]
    notes: tuple[str, ...]


class Target(ABC):
    """A format that a steering can be written in."""

    name: ClassVar[str]
    """As ``--to`` takes it."""

    needs_model: ClassVar[bool] = False
    """Whether ``plan`` cannot do without a model; ``export`` refuses for it, then."""

    needs_empty_folder: ClassVar[bool] = False
    """Whether its files may stand beside no others; ``export`` refuses for it, before the work."""

    def everywhere(self) -> "Target":
        """The target with ablations as the engine can do them, where that is more than hooks do.

        Raises:
            ExportError: the target bakes no ablation.
        """
        raise ExportError(
            f"the target {self.name!r} bakes no ablation into weights",
            allowed="everywhere beside the target baked",
            remedy="leave --everywhere out",
        )

    @abstractmethod
    def plan(self, steering: Steering, subject: Subject | None) -> Plan:
        """Say what would be written, without writing, and hold all that writing needs.

        Args:
            steering: vectors, operators, scopes, gates and strengths.
            subject: the model that it is for, where one was named. ``export`` has compared its
                fingerprint, width and blocks with those of the vectors.

        Raises:
            ExportError: something that the format cannot express (a gate, a projection, a scope):
                it is refused with the alternatives, and never left out.
        """


targets: Registry[type[Target]] = Registry("target")

# Where our own targets live: imported when they are named. Each registers itself.
_HOMES = {
    "baked": "shiftlens.steering.exporting.baking",
    "gguf": "shiftlens.steering.exporting.gguf",
    "transformers": "shiftlens.steering.exporting.transformers",
    "vllm-lens": "shiftlens.steering.exporting.vllm_lens",
}


def target_names() -> tuple[str, ...]:
    """Every target that can be named, those of other packages among them."""
    offered = {entry.name for entry in entry_points(group=OFFERED)}
    return tuple(sorted({*_HOMES, *targets.names(), *offered}))


def find_target(name: str) -> Target:
    """The target of that name.

    Raises:
        ExportError: there is none; the message lists those that exist.
    """
    if name in _HOMES:
        import_module(_HOMES[name])
    if name in targets.names():
        return targets.get(name)()
    for entry in entry_points(group=OFFERED):
        if entry.name == name:
            return entry.load()()
    raise ExportError(
        f"unknown target {name!r}", allowed=f"choose from: {', '.join(target_names())}"
    )
