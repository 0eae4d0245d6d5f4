"""Which tokens a verb keeps states of, as the command line names them."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import typer

from shiftlens.cli.steering_options import listed

if TYPE_CHECKING:
    from shiftlens.activations.selections.selection import Selection

PLAIN = ("last-prompt", "first-response", "end-response")
"""One state a sample, where nothing can be aligned."""

SEVERAL = ("response", "reasoning", "image", "prompt", "system", "user")
"""A state for every token; with ``mean-`` before the name, one state a sample."""

NAMES = (*PLAIN, *SEVERAL, *(f"mean-{name}" for name in ("response", "image", "prompt")))
"""What is shown to a person; ``mean-`` goes before any that has several tokens."""


def token_choice(
    words: str, tokens: str, alignment: str, *, every: bool = False
) -> "Selection | None":
    """The selection that the options name; ``None`` where they name none.

    Args:
        words: words of interest between commas; nothing otherwise.
        tokens: one of ``NAMES``; nothing otherwise.
        alignment: ``predict`` or ``read``; nothing for the selection's own.
        every: take every occurrence of the words.

    Raises:
        BadParameter: both words and tokens, an unknown name, or an option that does not fit.
    """
    if alignment not in ("", "predict", "read"):
        raise typer.BadParameter(
            f"there is no alignment {alignment!r}: predict or read", param_hint="--alignment"
        )
    said = listed(words)
    if words.strip() and not said:
        raise typer.BadParameter(f"{words!r} names no word", param_hint="--words man,woman")
    if said and tokens:
        raise typer.BadParameter(
            "words and tokens both say which states are kept: give one of them",
            param_hint="--words, --tokens",
        )
    if every and not said:
        raise typer.BadParameter("only words have occurrences", param_hint="--every with --words")
    if said:
        from shiftlens.activations.tokens import word

        return word(*said, every=every, **_aligned(alignment))
    if alignment and (not tokens or tokens in PLAIN):
        raise typer.BadParameter(
            f"{tokens or 'the last prompt token'} has no alignment",
            param_hint="--alignment with --words, or with --tokens " + ", ".join(SEVERAL),
        )
    return _named(tokens, alignment) if tokens else None


def _named(name: str, alignment: str) -> "Selection":
    from shiftlens.activations import tokens

    inner = name.removeprefix("mean-")
    is_mean = inner != name
    if inner not in SEVERAL and (is_mean or inner not in PLAIN):
        raise typer.BadParameter(
            f"there are no tokens {name!r}; there are {', '.join(NAMES)}", param_hint="--tokens"
        )
    choose: Callable[..., Any] = getattr(tokens, inner.replace("-", "_"))
    found = choose(**_aligned(alignment))
    return tokens.mean(found) if is_mean else found


def _aligned(alignment: str) -> dict[str, Any]:
    return {"alignment": alignment} if alignment else {}
