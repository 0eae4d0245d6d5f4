"""Whether the document of a diff can be drawn; what is wrong is named by its place."""

from collections.abc import Mapping, Sequence
from typing import Any

from shiftlens.core.errors import DataError
from shiftlens.reporting.checking import CHANGE, SCHEMA, VERDICT, check_flow, require

_PAGE = "docs/formats/diff.md"
_SECTIONS = {
    "title": str,
    "models": Mapping,
    "data": Mapping,
    "answers": Mapping,
    "ranking": Sequence,
    "site": Mapping,
    "margins": Mapping,
    "summary": Mapping,
    "concepts": Sequence,
}
_DATA = {"samples": int, "read": int, "pictures": int, "parts": Mapping}
_ANSWERS = {"n": int, "changed": Mapping, "examples": Sequence}
_EXAMPLE = {"id": str, "prompt": str, "base": str, "tuned": str, "divergence": Sequence}
_CANDIDATE = {"name": str, "share": object, "divergence": object, "weight": object}
_SITE = {"layer": int, "tokens": Mapping, "rows": Mapping}
_CONCEPT = {**CHANGE, "moved": Mapping, "own": Mapping, "kind": Mapping, "visible": Mapping}
_VISIBLE = {"effect": str, "n_steered": int}
_PLACE = {"layer": int, "moved": Mapping, "own": Mapping}


def check_diff(data: Mapping[str, Any]) -> None:
    """Refuse a document of a diff that page and terminal cannot be drawn from.

    Raises:
        DataError: another schema, or a part that is missing or of the wrong kind.
    """
    if data.get("schema") != SCHEMA:
        raise DataError(
            f"a diff of schema {data.get('schema')!r} cannot be drawn",
            allowed=f"schema {SCHEMA}",
            remedy="run the diff again with this version of shiftlens",
        )
    _require(data, _SECTIONS, "the diff's data")
    for side in ("base", "tuned"):
        _require(data["models"], {side: Mapping}, "models")
        _require(data["models"][side], {"name": str}, f"models.{side}")
    _require(data["data"], _DATA, "data")
    _require(data["answers"], _ANSWERS, "answers")
    _require(data["site"], _SITE, "site")
    _each(data["answers"]["examples"], _EXAMPLE, "answers.examples")
    _each(data["ranking"], _CANDIDATE, "ranking")
    _each(data.get("by_layer") or (), _PLACE, "by_layer")
    _each(data["concepts"], _CONCEPT, "concepts")
    check_flow(data.get("flow"), "flow")
    for number, concept in enumerate(data["concepts"]):
        place = f"concepts[{number}]"
        for statistic in ("moved", "own"):
            _require(concept[statistic], VERDICT, f"{place}.{statistic}")
        _require(concept["visible"], _VISIBLE, f"{place}.visible")


def _each(parts: Sequence[Any], keys: Mapping[str, type], place: str) -> None:
    for number, part in enumerate(parts):
        _require(part, keys, f"{place}[{number}]")


def _require(part: Any, keys: Mapping[str, type], place: str) -> None:
    require(part, keys, place, page=_PAGE)
