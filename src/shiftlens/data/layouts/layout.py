"""``Layout``: how a data set lies on disk, how it is recognised, and what reads it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from shiftlens.core.errors import DataError
from shiftlens.core.registry import Registry
from shiftlens.data.sample import Sample, Samples


@runtime_checkable
class LayoutReader(Protocol):
    """What reads a layout: every ``read_...`` of this package."""

    def __call__(
        self, path: str | Path, /, *, prompt: str | None = None, limit: int | None = None
    ) -> Samples:
        """The samples of a folder or file; see the function itself for its other settings."""
        ...


@dataclass(frozen=True)
class Layout:
    """One way in which a public data set lies on disk.

    Attributes:
        fits: whether a folder or file cannot be anything else. It looks at names only.
        read: reads it.
        function: the name of ``read``, for messages.
    """

    fits: Callable[[Path], bool]
    read: LayoutReader
    function: str


layouts: Registry[Layout] = Registry("layout")
"""Every layout by name; importing its module adds it."""


def layout_of(path: Path) -> Layout | None:
    """The layout of a folder or file, or ``None`` where it has none of them.

    Raises:
        DataError: it has more than one, as a folder that holds questions and captions has.
    """
    fitting = [layouts.get(name) for name in layouts.names() if layouts.get(name).fits(path)]
    if len(fitting) > 1:
        raise DataError(
            f"{path} holds more than one data set",
            allowed=", ".join(f"{one.function}(path)" for one in fitting),
            remedy="say which is meant: call its function from shiftlens.data.layouts",
        )
    return fitting[0] if fitting else None


def finish(samples: Sequence[Sample], path: Path, limit: int | None) -> Samples:
    """Cut to the limit and collect.

    Args:
        samples: all of them, in their order.
        path: the folder or file that they were read from.
        limit: keep the first so many.

    Raises:
        DataError: the limit leaves nothing, there is no sample, or two share an id.
    """
    if limit is not None and limit < 1:
        raise DataError(f"limit {limit} leaves nothing", allowed="a whole number from 1 up")
    if not samples:
        raise DataError(f"{path} holds no samples")
    whole = path.resolve()
    return Samples(samples[:limit], root=whole if whole.is_dir() else whole.parent)


def existing(path: str | Path) -> Path:
    """A source as an absolute path.

    Raises:
        DataError: there is nothing.
    """
    if not Path(path).exists():
        raise DataError(f"{path} does not exist")
    return Path(path).resolve()


def asked(question: str, prompt: str | None) -> str:
    """What the model is asked.

    Args:
        question: the data set's own.
        prompt: asked in its place; ``{question}`` within it stands for the question.
    """
    return question if prompt is None else prompt.replace("{question}", question)
