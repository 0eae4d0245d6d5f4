"""From what ``describe`` wrote down back to the selection."""

from collections.abc import Mapping
from typing import Any

from shiftlens.activations.selections.imported import Imported
from shiftlens.activations.selections.mean import NAMED, Mean
from shiftlens.activations.selections.prompt import ImageTokens, PatchToken, TextTokens
from shiftlens.activations.selections.response import (
    EndResponse,
    FirstResponse,
    LastPrompt,
    ReasoningTokens,
    ResponseTokens,
    Word,
)
from shiftlens.activations.selections.selection import Selection
from shiftlens.core.errors import SiteError

_KINDS: dict[str, type[Selection]] = {
    one.kind: one
    for one in (
        *(Word, LastPrompt, FirstResponse, EndResponse, ResponseTokens, ReasoningTokens),
        *(ImageTokens, PatchToken, TextTokens, Imported),
    )
}


def selection_from(description: Mapping[str, Any]) -> Selection:
    """The selection that ``describe`` wrote down.

    Raises:
        SiteError: an unknown kind.
    """
    rest = dict(description)
    kind = rest.pop("kind", None)
    if kind in NAMED:
        return Mean(NAMED[kind])
    if kind == "mean" and isinstance(rest.get("of"), Mapping):
        return Mean(selection_from(rest["of"]))
    if kind not in _KINDS:
        known = ", ".join([*_KINDS, *NAMED, "mean"])
        raise SiteError(f"unknown selection {kind!r}", allowed=known)
    if "words" in rest:
        rest["words"] = tuple(rest["words"])
    if "forms" in rest:
        rest["forms"] = tuple(tuple(one) for one in rest["forms"])
    return _KINDS[kind](**rest)
