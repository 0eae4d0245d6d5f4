"""The command that a suggestion ends in."""

import shlex
from typing import TYPE_CHECKING

from shiftlens.cli.diff_inputs import DRAWN

if TYPE_CHECKING:
    from shiftlens.study.suggesting import Suggestion

TUNED = "TUNED"
"""Stands for a fine-tune that was not named."""

_MAX_NEW_TOKENS = 64  # what ``diff`` does by itself


def next_command(
    found: "Suggestion",
    model: str,
    tuned: str | None,
    data: str,
    *,
    prompt: str | None = None,
    max_new_tokens: int = _MAX_NEW_TOKENS,
) -> str:
    """``shiftlens diff`` with the word and the layer that were found, ready for a shell.

    Args:
        found: the suggestion.
        model: the model as the user called it.
        tuned: its fine-tune; a placeholder stands where there is none.
        data: the samples as the user called them.
        prompt: the same as here, where one was given.
        max_new_tokens: the same as here.
    """
    words = ["shiftlens", "diff", model, tuned or TUNED, data]
    if found.words:
        first = found.words[0]
        words += ["--words", first.said.word]
        # A collection that is drawn gives as many samples as are asked for.
        if first.ask > found.available == DRAWN:
            words += ["--n", str(first.ask)]
    if found.layer is not None:
        words += ["--layer", str(found.layer)]
    if prompt is not None:
        words += ["--prompt", prompt]
    if max_new_tokens != _MAX_NEW_TOKENS:
        words += ["--max-new-tokens", str(max_new_tokens)]
    return shlex.join(words)
