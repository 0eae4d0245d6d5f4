"""Which positions of a sample its states are taken from: the functions that a user composes.

A selection of several tokens keeps one state for each of them; ``mean`` of it keeps one in all.
``predict`` takes the state from which a token is emitted, ``read`` the state that has read it: by
default the former in responses, which a model says, and the latter in prompts, which it is given.
"""

from collections.abc import Mapping, Sequence

from shiftlens.activations.selections.mean import Mean
from shiftlens.activations.selections.prompt import ImageTokens, PatchToken, TextTokens
from shiftlens.activations.selections.response import (
    EndResponse,
    FirstResponse,
    LastPrompt,
    ReasoningTokens,
    ResponseTokens,
    Within,
    Word,
)
from shiftlens.activations.selections.selection import (
    Alignment,
    Selection,
    check_alignment,
)
from shiftlens.activations.words.matching import forms_of
from shiftlens.core.errors import DataError, SiteError

_EXAMPLE = 'one or more words: word("dog")'


def word(
    *words: str,
    alignment: Alignment = "predict",
    every: bool = False,
    require_reference: bool = False,
    last: bool = False,
    within: Within = "answer",
    forms: Mapping[str, Sequence[str]] | None = None,
) -> Word:
    """The state where one of some words is said in the response.

    Words are matched whole, in any letter case and script, in the decoded response, never in the
    prompt (Khayatan et al. 2025, section 3.1: the token of interest).

    Args:
        words: any of them counts; one may have spaces ("traffic light").
        alignment: ``predict`` takes the state from which the word is emitted (the position before
            its first token), ``read`` the state at its last token.
        every: take all occurrences in a sample, not only the first.
        require_reference: only samples whose reference text says a word too.
        last: take the last occurrence in place of the first.
        within: ``answer``; or ``reasoning``, for models that think before they answer; or
            ``response`` for both.
        forms: other forms that stand for a word, ``{"dog": ("dogs", "puppy")}``; words that are
            named only here count as well.

    Raises:
        SiteError: no words, a blank one, a form that stands for two words, an unknown alignment or
            part, or both ``every`` and ``last``.
    """
    named = tuple(dict.fromkeys(one.strip() for one in (*words, *(forms or {}))))
    if not named or not all(named):
        raise SiteError(f"words {words} name nothing", allowed=_EXAMPLE)
    check_alignment(alignment)
    if within not in ("answer", "reasoning", "response"):
        raise SiteError(f"unknown part {within!r}", allowed="answer, reasoning, response")
    if every and last:
        raise SiteError("every occurrence and the last one are two things", allowed="one of them")
    listed = tuple((one, *map(str.strip, more)) for one, more in (forms or {}).items())
    try:
        forms_of(dict.fromkeys(named, ()) | {one[0]: one[1:] for one in listed})
    except DataError as error:
        raise SiteError(error.given, allowed=error.allowed or _EXAMPLE) from error
    return Word(named, alignment, every, require_reference, last, within, listed)


def last_prompt() -> LastPrompt:
    """The last prompt position: where the answer's first token is decided."""
    return LastPrompt()


def first_response() -> FirstResponse:
    """The first response token, once it has been read."""
    return FirstResponse()


def end_response() -> EndResponse:
    """The last response token, once it has been read: where it is decided whether to go on."""
    return EndResponse()


def response(*, alignment: Alignment = "predict") -> ResponseTokens:
    """Every token of the answer, one state each; reasoning before it is left out.

    Raises:
        SiteError: an unknown alignment.
    """
    check_alignment(alignment)
    return ResponseTokens(alignment)


def reasoning(*, alignment: Alignment = "predict") -> ReasoningTokens:
    """Every token that a model thinks before it answers, one state each.

    The segment is told by the marks of the model's own vocabulary, such as ``<think>``.

    Raises:
        SiteError: an unknown alignment.
    """
    check_alignment(alignment)
    return ReasoningTokens(alignment)


def image(number: int | None = None, *, alignment: Alignment = "read") -> ImageTokens:
    """Every token of a picture, one state each.

    Args:
        number: which picture of the sample, from 0; all of them by default.
        alignment: ``read`` takes the state at the token, ``predict`` the one before it.

    Raises:
        SiteError: an unknown alignment.
    """
    check_alignment(alignment)
    _check_whole(number=number)
    return ImageTokens(number, alignment)


def patch(number: int, row: int, col: int, *, alignment: Alignment = "read") -> PatchToken:
    """One patch of a picture.

    Args:
        number: which picture of the sample, from 0.
        row: of the finest grid of patches, tiles composed, from 0; negative ones from the end.
        col: the same for its column.
        alignment: as for ``image``.

    Raises:
        SiteError: an unknown alignment. A sample whose picture has no such patch is counted as
            failed when states are harvested.
    """
    check_alignment(alignment)
    _check_whole(number=number, row=row, col=col)
    return PatchToken(number, row, col, alignment)


def prompt(*, alignment: Alignment = "read") -> TextTokens:
    """Every token of the prompt's text, one state each; the template's own tokens included.

    Raises:
        SiteError: an unknown alignment.
    """
    check_alignment(alignment)
    return TextTokens("prompt", alignment)


def system(*, alignment: Alignment = "read") -> TextTokens:
    """Every token of the system prompt, one state each.

    Raises:
        SiteError: an unknown alignment.
    """
    check_alignment(alignment)
    return TextTokens("system", alignment)


def user(*, alignment: Alignment = "read") -> TextTokens:
    """Every token of what the user says, one state each; nothing of the template.

    Raises:
        SiteError: an unknown alignment.
    """
    check_alignment(alignment)
    return TextTokens("user", alignment)


def mean(of: Selection) -> Mean:
    """The mean over the states of another selection: one state a sample.

    Args:
        of: for example ``image(0)``, ``response()``, or ``word("dog", every=True)``.

    Raises:
        SiteError: ``of`` is no selection, or a mean already.
    """
    return Mean(of)


def mean_response() -> Mean:
    """Mean over the states that emit the answer."""
    return Mean(ResponseTokens())


def mean_image() -> Mean:
    """Mean over all image tokens."""
    return Mean(ImageTokens())


def mean_prompt() -> Mean:
    """Mean over the prompt's text tokens: no image tokens, no padding, the template's own included.

    What comes before the picture in the template cannot depend on it, and is the same everywhere.
    """
    return Mean(TextTokens())


def _check_whole(**numbers: object) -> None:
    """Refuse what counts nothing.

    Raises:
        SiteError: one of them is no whole number.
    """
    for name, value in numbers.items():
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            raise SiteError(f"{name} is {value!r}", allowed="a whole number, counted from 0")
