"""How a long function tells how far it is, without knowing who listens."""

from typing import Protocol, runtime_checkable


@runtime_checkable
class Progress(Protocol):
    """A listener: the command line draws a bar, a notebook may count, a test may record."""

    def start(self, label: str, total: int) -> None:
        """A task of ``total`` steps begins."""
        ...

    def advance(self, n: int = 1) -> None:
        """``n`` more steps are done."""
        ...

    def stop(self) -> None:
        """The task has ended, well or not."""
        ...


class Silent:
    """Listens to nothing; the default everywhere."""

    def start(self, label: str, total: int) -> None:
        """Ignore the beginning."""

    def advance(self, n: int = 1) -> None:
        """Ignore the steps."""

    def stop(self) -> None:
        """Ignore the end."""
