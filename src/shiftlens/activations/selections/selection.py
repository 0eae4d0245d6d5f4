"""What every selection is: from a sample and what was said to it, to positions.

Positions are counted along the response: 0 is the last prompt position, the state that emits the
first response token; j is the position of response token j - 1, once it has been read. Positions
before 0 lie in the prompt.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from shiftlens.core.errors import SiteError
from shiftlens.data.sample import Sample

if TYPE_CHECKING:
    from shiftlens.activations.places import Places

Alignment = Literal["predict", "read"]


@dataclass(frozen=True)
class Said:
    """A response with what is needed to find words in it.

    Attributes:
        text: the decoded response.
        token_ids: its tokens.
        truncated: whether the token limit cut it off.
        decode: from token ids to text, as the response itself was decoded.
        reasoning: how many of its first tokens are reasoning, the closing mark included.
    """

    text: str
    token_ids: Sequence[int]
    truncated: bool
    decode: Callable[[Sequence[int]], str]
    reasoning: int = 0


@dataclass(frozen=True)
class Pick:
    """One state of one sample: the mean over ``positions``; ``word`` is what it is about."""

    positions: tuple[int, ...]
    word: str = ""


class Missed(Exception):
    """The sample holds nothing to select; it is counted, not an error."""


class Failed(Exception):
    """The sample would hold it, but was cut off or broken; it is counted, not an error."""


class Selection(ABC):
    """Which states of a sample are kept; a frozen dataclass that can be written down."""

    kind: ClassVar[str]
    part: ClassVar[str] = "response"
    """Where the states lie: ``response`` (last prompt position included), or ``prompt``."""

    @abstractmethod
    def picks(self, sample: Sample, said: Said) -> list[Pick]:
        """The states to keep, of a selection in the response.

        Raises:
            Missed: there is nothing to select in this sample.
            Failed: the token limit cut off what would have been selected.
        """

    def describe(self) -> dict[str, Any]:
        """The selection as JSON, exactly as it comes back from a file: lists, not tuples."""
        named = {one.name: getattr(self, one.name) for one in fields(self)}  # pyright: ignore[reportArgumentType]
        return {
            "kind": self.kind,
            **{k: list(v) if isinstance(v, tuple) else v for k, v in named.items()},
        }


class PromptSelection(Selection):
    """States of positions in the prompt: what the model makes of pictures and text it is given."""

    part = "prompt"

    def picks(self, sample: Sample, said: Said) -> list[Pick]:  # noqa: ARG002
        """None: a prompt's states are kept by their columns, see ``columns``."""
        raise SiteError(f"{self.kind} lies in the prompt, where nothing is said")

    @abstractmethod
    def columns(self, places: "Places") -> list[tuple[int, str]]:
        """Columns of the prompt, and what each is about ("" for nothing of its own).

        Raises:
            Missed: the prompt holds nothing of the kind.
            SiteError: it holds pictures or patches, but not the one that is named.
        """


def check_alignment(alignment: str) -> None:
    """Refuse anything but the two alignments.

    Raises:
        SiteError: another word.
    """
    if alignment not in ("predict", "read"):
        raise SiteError(f"unknown alignment {alignment!r}", allowed="predict, read")


def aligned(columns: Sequence[int], alignment: Alignment) -> list[int]:
    """Columns of the states that have read some tokens, or of those that come just before them."""
    return [at if alignment == "read" else at - 1 for at in columns]
