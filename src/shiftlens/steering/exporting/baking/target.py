"""The target ``baked``: a plain checkpoint that steers by its weights."""

from typing import TYPE_CHECKING

from shiftlens.steering.exporting.baking.oven import heat, require_plain
from shiftlens.steering.exporting.target import Plan, Target, targets
from shiftlens.steering.keeping.steering import Steering

if TYPE_CHECKING:
    from shiftlens.steering.exporting.subject import Subject


@targets.register("baked")
class Baked(Target):
    """Weights that steer by themselves: no plugin, no hook, no time."""

    name = "baked"
    needs_model = True
    needs_empty_folder = True

    def __init__(self, *, everywhere: bool = False) -> None:
        self._everywhere = everywhere

    def everywhere(self) -> "Baked":
        """The target that bakes an ablation as weights can do it, which may be more than hooks."""
        return Baked(everywhere=True)

    def plan(self, steering: Steering, subject: "Subject | None") -> Plan:
        """Load the model, find what carries the steering, and try it on a few prompts.

        Raises:
            ExportError: weights cannot carry it, or what they do is not what the hooks do.
        """
        assert subject is not None  # ``export`` has seen to it
        require_plain(subject.config, subject.adapter, subject.name)
        oven = heat(steering, subject.load(), everywhere=self._everywhere)
        return Plan(oven.files, oven.notes, oven.write)
