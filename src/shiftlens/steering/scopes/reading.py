"""Scopes as they are typed: ``response``, ``image:0``, ``patches:0,0,.5,1``, ``words:dog,cat``."""

from shiftlens.core.errors import SteeringError
from shiftlens.steering.scopes.pictures import Image, Patches
from shiftlens.steering.scopes.scope import Named, Scope
from shiftlens.steering.scopes.words import Words


def read_scope(scope: str | Scope) -> Scope:
    """The scope of a text; a scope is returned as it is.

    ``image`` and ``image:1`` are the tokens of all pictures or of the second one,
    ``patches:0,0,.5,1`` the left half of the first (``patches@1:...`` of the second one),
    ``words:dog,cat`` the positions where one of the words has been read (``words@prompt:``,
    ``words@response:``).

    Raises:
        SteeringError: an unknown or malformed scope; the message lists what there is.
    """
    if isinstance(scope, Scope):
        return scope
    if not isinstance(scope, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise SteeringError(f"{scope!r} is not a scope", allowed="a name, or a Scope")
    head, _, rest = scope.partition(":")
    kind, _, which = head.partition("@")
    if kind == "image" and not which:
        return Image(None if scope == "image" else _integer(scope, rest))
    if kind == "patches":
        return Patches(_box(scope, rest), _integer(scope, which or "0"))
    if kind == "words" and rest:
        return Words(tuple(word.strip() for word in rest.split(",")), which or "both")
    return Named(scope)


def _integer(scope: str, text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise _unreadable(scope) from error


def _box(scope: str, text: str) -> tuple[float, float, float, float]:
    try:
        left, top, right, bottom = (float(edge) for edge in text.split(","))
    except ValueError as error:
        raise _unreadable(scope) from error
    return left, top, right, bottom


def _unreadable(scope: str) -> SteeringError:
    return SteeringError(f"the scope {scope!r} cannot be read", allowed="image:0, patches:0,0,.5,1")
