"""Who runs the parts of a long job: this process, or something that looks the same from here."""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar, runtime_checkable

Part = TypeVar("Part")
Result = TypeVar("Result")


@runtime_checkable
class Executor(Protocol):
    """Runs one function over many independent, idempotent parts."""

    def map(self, function: Callable[[Part], Result], parts: Iterable[Part]) -> Iterator[Result]:
        """Yield one result per part as they become ready, in any order: a result names its part."""
        ...


class SerialExecutor:
    """One part after the other in this process; the default."""

    def map(self, function: Callable[[Part], Result], parts: Iterable[Part]) -> Iterator[Result]:
        """Yield ``function(part)`` for each part, lazily."""
        for part in parts:
            yield function(part)
