"""One worker: a process that is given the work once, and then part after part."""

import os
import platform
import time
import traceback
from dataclasses import dataclass
from typing import Any

from shiftlens.core.allocator import keep_freed_memory


@dataclass(frozen=True)
class Numerics:
    """Settings of torch that decide last digits; workers take over the driver's.

    Attributes:
        threads: of one worker's operations.
        precision: of float32 products on a GPU, as ``torch.set_float32_matmul_precision`` names it.
        deterministic: whether operations without a fixed order are refused.
    """

    threads: int
    precision: str
    deterministic: bool

    @classmethod
    def of_this_process(cls, threads: int) -> "Numerics":
        """What holds here, with another number of threads."""
        import torch

        strict = torch.are_deterministic_algorithms_enabled()
        return cls(threads, torch.get_float32_matmul_precision(), strict)

    def apply(self) -> None:
        """Make them hold here."""
        import torch

        torch.set_num_threads(self.threads)
        torch.set_float32_matmul_precision(self.precision)
        torch.use_deterministic_algorithms(self.deterministic)


@dataclass(frozen=True)
class Outcome:
    """What became of one call: a result, or the error that it ended with.

    Attributes:
        result: what the function returned.
        seconds: how long it took, by the worker's clock.
        error: what it raised; its notes hold the worker's own traceback.
    """

    result: Any = None
    seconds: float = 0.0
    error: Exception | None = None


class Worker:
    """Lives in a process of its own; Ray makes an actor of it."""

    def __init__(self) -> None:
        self._function: Any = None

    def hello(self) -> str:
        """Where this worker lives."""
        return f"{os.getpid()} on {platform.node()}"

    def prepare(self, work: list[Any], numerics: Numerics) -> Outcome:
        """Take over the work.

        Args:
            work: holds the reference to the cargo, so that what cannot be read here is an
                outcome like any other.
            numerics: see there.
        """
        try:
            import ray

            keep_freed_memory()
            numerics.apply()
            cargo: Any = ray.get(work[0])
            self._function = cargo.unpacked()
        except Exception as error:
            return Outcome(error=_noted(error))
        return Outcome()

    def do(self, part: Any) -> Outcome:
        """Run one part."""
        start = time.perf_counter()
        try:
            result = self._function(part)
        except Exception as error:
            return Outcome(error=_noted(error))
        return Outcome(result, time.perf_counter() - start)


def _noted(error: Exception) -> Exception:
    """Keep the traceback as text: frames do not leave their process."""
    trace = "".join(traceback.format_exception(error))
    error.add_note(f"in worker {os.getpid()} on {platform.node()}:\n{trace}")
    return error.with_traceback(None)
