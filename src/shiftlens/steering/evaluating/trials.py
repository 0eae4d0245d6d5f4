"""``Trial``: a task with the samples that it is asked of."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from shiftlens.core.errors import SteeringError
from shiftlens.data.sample import Samples
from shiftlens.steering.tasks.task import Task


@dataclass(frozen=True, eq=False)
class Trial:
    """What is asked, and how it counts.

    Attributes:
        name: short, for tables ("yes/no", "off target").
        task: scores the answers.
        samples: what is asked.

    Raises:
        SteeringError: no name, no samples, or samples without the labels that the task needs.
    """

    name: str
    task: Task
    samples: Samples

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise SteeringError("a trial without a name", allowed='Trial("answers", task, samples)')
        if not len(self.samples):
            raise SteeringError(f"the trial {self.name!r} asks nothing", remedy="give it samples")
        self.task.check(self.samples)

    def describe(self) -> dict[str, Any]:
        """What is asked, as JSON; a setting that JSON does not have is named, not written."""
        settings = (
            {one.name: _plain(getattr(self.task, one.name)) for one in fields(self.task)}
            if is_dataclass(self.task)
            else {}
        )
        return {
            "task": self.task.name,
            "settings": settings,
            "n": len(self.samples),
            "data": self.samples.fingerprint,
        }


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    known = value is None or isinstance(value, str | int | float | bool)
    return value if known else getattr(value, "__name__", type(value).__name__)
