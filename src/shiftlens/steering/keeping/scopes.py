"""Scopes as JSON, to the last digit; the typed form rounds the edges of boxes."""

from typing import Any

from shiftlens.core.errors import ExportError, StoreError
from shiftlens.core.fields import Fields
from shiftlens.steering.scopes import Image, Named, Patches, Scope, Words, read_scope


def scope_data(scope: str | Scope) -> dict[str, Any]:
    """A scope as JSON.

    Raises:
        ExportError: a scope of the user's own, which a file cannot hold.
    """
    one = read_scope(scope)
    if type(one) is Named:
        return {"scope": one.name}
    if type(one) is Image:
        return {"scope": "image", "picture": one.index}
    if type(one) is Patches:
        return {"scope": "patches", "box": [float(edge) for edge in one.box], "picture": one.index}
    if type(one) is Words:
        return {"scope": "words", "words": list(one.words), "where": one.where}
    raise ExportError(
        f"the scope {type(one).__name__} is a class of yours, which a file cannot hold",
        allowed="the named scopes, image, patches, words",
    )


def scope_from(data: Fields) -> Scope:
    """The scope that ``scope_data`` wrote.

    Raises:
        StoreError: something is missing, or of the wrong kind.
        SteeringError: there is no such scope.
    """
    kind = data.text("scope")
    if kind == "image":
        index = data.take("picture")
        found: Scope = Image(index if index is None else _picture(index, data))
    elif kind == "patches":
        edges = [Fields({"edge": edge}, data.where).number("edge") for edge in data.items("box")]
        if len(edges) != 4:
            raise StoreError(f"the box of {data.where} has {len(edges)} edges", allowed="4")
        found = Patches((edges[0], edges[1], edges[2], edges[3]), data.whole("picture"))
    elif kind == "words":
        found = Words(data.texts("words"), data.text("where"))
    else:
        found = Named(kind)
    data.done()
    return found


def _picture(index: Any, data: Fields) -> int:
    return Fields({"picture": index}, data.where).whole("picture")
