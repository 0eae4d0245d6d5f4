"""A table of named things, filled by one decorator line beside each of them."""

from collections.abc import Callable
from typing import Generic, TypeVar, cast

from shiftlens.core.errors import ShiftLensError

T = TypeVar("T")
Decorated = TypeVar("Decorated")


class Registry(Generic[T]):
    """Names to things of one kind; an unknown name is an error that lists the known ones.

    Args:
        kind: what the things are, in the singular, for the error message ("learner").
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._things: dict[str, T] = {}

    def register(self, name: str) -> Callable[[Decorated], Decorated]:
        """Decorate a thing so that ``get(name)`` finds it."""

        def keep(thing: Decorated) -> Decorated:
            if name in self._things:
                raise ShiftLensError(f"two {self.kind}s are registered under the name {name!r}")
            self._things[name] = cast(T, thing)
            return thing

        return keep

    def get(self, name: str) -> T:
        """Return the thing of that name.

        Raises:
            ShiftLensError: there is none; the message lists the names that exist.
        """
        if name not in self._things:
            raise ShiftLensError(
                f"unknown {self.kind} {name!r}", allowed=f"choose from: {', '.join(self.names())}"
            )
        return self._things[name]

    def names(self) -> tuple[str, ...]:
        """Every registered name, sorted."""
        return tuple(sorted(self._things))
