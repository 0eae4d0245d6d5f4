"""Selections: which position of a sample its state is taken from.

Positions are counted along the response: 0 is the last prompt position, the state that emits the
first response token; j is the position of response token j - 1, once it has been read.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

from shiftlens.activations.occurrences import Occurrence, find_words
from shiftlens.core.errors import SiteError
from shiftlens.data.sample import Sample

Alignment = Literal["predict", "read"]


@dataclass(frozen=True)
class Said:
    """A response with what is needed to find words in it.

    Attributes:
        text: the decoded response.
        token_ids: its tokens.
        truncated: whether the token limit cut it off.
        decode: from token ids to text, as the response itself was decoded.
    """

    text: str
    token_ids: Sequence[int]
    truncated: bool
    decode: Callable[[Sequence[int]], str]


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
    """Where the states lie: ``response`` (last prompt position included), ``image``, ``prompt``."""

    @abstractmethod
    def picks(self, sample: Sample, said: Said) -> list[Pick]:
        """The states to keep.

        Raises:
            Missed: there is nothing to select in this sample.
            Failed: the token limit cut off what would have been selected.
        """

    def describe(self) -> dict[str, Any]:
        """The selection as JSON, exactly as it comes back from a file: lists, not tuples."""
        fields = asdict(self)  # pyright: ignore[reportArgumentType,reportCallIssue]
        return {
            "kind": self.kind,
            **{k: list(v) if isinstance(v, tuple) else v for k, v in fields.items()},
        }


@dataclass(frozen=True)
class Word(Selection):
    """Where a word is said; see ``word``."""

    kind: ClassVar[str] = "word"
    words: tuple[str, ...]
    alignment: Alignment = "predict"
    every: bool = False
    require_reference: bool = False

    def picks(self, sample: Sample, said: Said) -> list[Pick]:
        """The first occurrence, or every one."""
        if self.require_reference and not self._in_reference(sample):
            raise Missed
        found = find_words(said.text, said.token_ids, said.decode, self.words)
        last = len(said.token_ids) - 1
        whole = [one for one in found if not (said.truncated and one.last_token == last)]
        if not whole:
            raise Failed if found else Missed
        return [
            Pick((self._position(one),), one.word) for one in (whole if self.every else whole[:1])
        ]

    def _position(self, found: Occurrence) -> int:
        return found.first_token if self.alignment == "predict" else found.last_token + 1

    def _in_reference(self, sample: Sample) -> bool:
        from shiftlens.activations.occurrences import word_spans

        return bool(sample.response and word_spans(sample.response, self.words))


@dataclass(frozen=True)
class LastPrompt(Selection):
    """The last prompt position: the state that emits the first response token."""

    kind: ClassVar[str] = "last prompt"

    def picks(self, sample: Sample, said: Said) -> list[Pick]:  # noqa: ARG002
        """Always one."""
        return [Pick((0,))]


@dataclass(frozen=True)
class FirstResponse(Selection):
    """The position of the first response token, once it has been read."""

    kind: ClassVar[str] = "first response"

    def picks(self, sample: Sample, said: Said) -> list[Pick]:  # noqa: ARG002
        """One, unless the response is empty."""
        if not said.token_ids:
            raise Missed
        if said.truncated and len(said.token_ids) == 1:
            raise Failed  # the only token was emitted, and never read
        return [Pick((1,))]


@dataclass(frozen=True)
class EndResponse(Selection):
    """The position of the last response token, once it has been read: it emits the end."""

    kind: ClassVar[str] = "end of response"

    def picks(self, sample: Sample, said: Said) -> list[Pick]:  # noqa: ARG002
        """One, unless the response was cut off."""
        if said.truncated:
            raise Failed  # its last token was emitted, and never read
        return [Pick((len(said.token_ids),))]


@dataclass(frozen=True)
class MeanResponse(Selection):
    """Mean over the states that emit the response's tokens."""

    kind: ClassVar[str] = "mean response"

    def picks(self, sample: Sample, said: Said) -> list[Pick]:  # noqa: ARG002
        """One, unless the response is empty."""
        if not said.token_ids:
            raise Missed
        return [Pick(tuple(range(len(said.token_ids))))]


@dataclass(frozen=True)
class MeanImage(Selection):
    """Mean over the image tokens of the prompt."""

    kind: ClassVar[str] = "mean image"
    part: ClassVar[str] = "image"

    def picks(self, sample: Sample, said: Said) -> list[Pick]:  # noqa: ARG002
        """One, unless the sample has no image."""
        if not sample.images:
            raise Missed
        return [Pick((0,))]


@dataclass(frozen=True)
class MeanPrompt(Selection):
    """Mean over the text tokens of the prompt."""

    kind: ClassVar[str] = "mean prompt"
    part: ClassVar[str] = "prompt"

    def picks(self, sample: Sample, said: Said) -> list[Pick]:  # noqa: ARG002
        """Always one."""
        return [Pick((0,))]


def word(
    *words: str,
    alignment: Alignment = "predict",
    every: bool = False,
    require_reference: bool = False,
) -> Word:
    """The state where one of some words is said in the response.

    Words are matched whole, in any letter case, in the decoded response, never in the prompt
    (Khayatan et al. 2025, section 3.1: the token of interest).

    Args:
        words: any of them counts.
        alignment: ``predict`` takes the state from which the word is emitted (the position before
            its first token), ``read`` the state at its last token.
        every: take all occurrences in a sample, not only the first.
        require_reference: only samples whose reference text says a word too.

    Raises:
        SiteError: no words, a blank one, or an unknown alignment.
    """
    if not words or any(not one.strip() for one in words):
        raise SiteError(f"words {words} name nothing", allowed='one or more words: word("dog")')
    if alignment not in ("predict", "read"):
        raise SiteError(f"unknown alignment {alignment!r}", allowed="predict, read")
    return Word(tuple(one.strip() for one in words), alignment, every, require_reference)


def last_prompt() -> LastPrompt:
    """The last prompt position: where the answer's first token is decided."""
    return LastPrompt()


def first_response() -> FirstResponse:
    """The first response token, once it has been read."""
    return FirstResponse()


def end_response() -> EndResponse:
    """The last response token, once it has been read: where it is decided whether to go on."""
    return EndResponse()


def mean_response() -> MeanResponse:
    """Mean over the states that emit the response."""
    return MeanResponse()


def image() -> MeanImage:
    """Mean over the image tokens."""
    return MeanImage()


def mean_prompt() -> MeanPrompt:
    """Mean over the prompt's text tokens: no image tokens, no padding, the template's own included.

    What comes before the picture in the template cannot depend on it, and is the same everywhere.
    """
    return MeanPrompt()


_KINDS: dict[str, type[Selection]] = {
    one.kind: one
    for one in (
        *(Word, LastPrompt, FirstResponse, EndResponse),
        *(MeanResponse, MeanImage, MeanPrompt),
    )
}


def selection_from(description: Mapping[str, Any]) -> Selection:
    """The selection that ``describe`` wrote down.

    Raises:
        SiteError: an unknown kind.
    """
    rest = dict(description)
    kind = rest.pop("kind", None)
    if kind not in _KINDS:
        raise SiteError(f"unknown selection {kind!r}", allowed=", ".join(_KINDS))
    if "words" in rest:
        rest["words"] = tuple(rest["words"])
    return _KINDS[kind](**rest)
