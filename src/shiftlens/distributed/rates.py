"""What each worker of a run has done so far, for a screen or a summary."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class WorkerRate:
    """One worker.

    Attributes:
        number: its place among the workers, from 1 on; a worker that replaces one keeps its place.
        where: process and machine ("1234 on node-a"); empty until it has begun to live.
        state: ``waiting`` (for room on a machine), ``loading``, ``working`` or ``idle``.
        parts: how many it has finished.
        samples: how many samples those held.
        seconds: how long they took it, by its own clock; start-up is not in it.
        lost: how often it died and was replaced.
    """

    number: int
    where: str = ""
    state: str = "waiting"
    parts: int = 0
    samples: int = 0
    seconds: float = 0.0
    lost: int = 0

    @property
    def rate(self) -> float | None:
        """Samples a second of work; ``None`` before the first part."""
        return self.samples / self.seconds if self.seconds else None

    def to_dict(self) -> dict[str, Any]:
        """The worker as JSON."""
        return {
            "worker": self.number,
            "where": self.where,
            "parts": self.parts,
            "samples": self.samples,
            "seconds": round(self.seconds, 3),
            "samples_per_second": None if self.rate is None else round(self.rate, 3),
            "lost": self.lost,
        }


Watch = Callable[[Sequence[WorkerRate]], None]
"""Who is told whenever a worker begins, ends a part, or dies."""
