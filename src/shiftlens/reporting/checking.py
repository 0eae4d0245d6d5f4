"""Whether a document can be drawn; what is wrong is named by its place in the document."""

from collections.abc import Mapping, Sequence
from typing import Any

from shiftlens.core.errors import DataError

SCHEMA = 1

_SECTIONS = {
    "title": str,
    "models": Mapping,
    "versions": Mapping,
    "seconds": Mapping,
    "toi": Mapping,
    "steering": Mapping,
}
_TOI = {
    "layer": int,
    "members": Sequence,
    "samples": int,
    "rows": Mapping,
    "concepts": Mapping,
    "changes": Sequence,
    "recovery": Mapping,
}
CHANGE: dict[str, type] = {
    "index": int,
    "partner": int,
    "nearest": int,
    **dict.fromkeys(
        (
            *("words_base", "words_tuned", "contrastive_base", "contrastive_tuned"),
            *("came", "went", "words_shifted", "images_base", "images_tuned"),
        ),
        Sequence,
    ),
    # Numbers may be unknown (null): a concept of one sample has no consistency.
    **dict.fromkeys(("share", "overlap", "cosine", "magnitude", "consistency", "lost"), object),
}
VERDICT: dict[str, type] = {
    "verdict": str,
    **dict.fromkeys(("estimate", "low", "high", "margin"), object),
}
_STEERING = {"title": str, "question": str, "figures": Sequence, "examples": Sequence}
_PAIR = {"before": str, "after": str}
_SWEEP = {"effect": str, "cells": Sequence, "chosen": int, "fronts": Mapping, "budgets": Sequence}
_CELL = {"name": str, "cell": Mapping, "effect": object, "costs": Mapping, "dose": object}
_FIGURE = {"label": str, "estimate": object, "role": str}
_EXAMPLE = {"id": str, "prompt": str, "answers": Sequence}
_ANSWER = {"label": str, "text": str}


def check(data: Mapping[str, Any]) -> None:
    """Refuse a document that the page cannot be drawn from.

    Raises:
        DataError: another schema, or a part that is missing or of the wrong kind.
    """
    if data.get("schema") != SCHEMA:
        raise DataError(
            f"a report of schema {data.get('schema')!r} cannot be drawn",
            allowed=f"schema {SCHEMA}",
            remedy="run the experiment again with this version of shiftlens",
        )
    require(data, _SECTIONS, "the report's data")
    require(data["models"], {"base": Mapping, "tuned": Mapping}, "models")
    for side in ("base", "tuned"):
        require(data["models"][side], {"name": str}, f"models.{side}")
    for name, toi in data["toi"].items():
        _check_toi(toi, f"toi.{name}")
    for name, steering in data["steering"].items():
        _check_steering(steering, f"steering.{name}")


def _check_toi(toi: Any, place: str) -> None:
    require(toi, _TOI, place)
    require(toi["concepts"], {"k": int}, f"{place}.concepts")
    for number, change in enumerate(toi["changes"]):
        require(change, CHANGE, f"{place}.changes[{number}]")
    for name in ("recovery", "recovery_own_text"):
        if toi.get(name):
            _check_curves(toi[name], f"{place}.{name}")
    check_flow(toi.get("flow"), f"{place}.flow")
    _check_verdicts(toi.get("verdicts"), f"{place}.verdicts")


def check_flow(flow: Any, place: str) -> None:
    """Refuse a flow of which a row or a name is missing; one that is absent is none.

    Raises:
        DataError: its lists do not fit each other.
    """
    if flow is None:
        return
    require(flow, dict.fromkeys(("counts", "base", "tuned"), Sequence), place)
    rows, columns = len(flow["base"]), len(flow["tuned"])
    sizes = [len(row) for row in flow["counts"]]
    if sizes != [columns] * rows:
        raise DataError(
            f"{place}.counts has rows of {sizes}",
            allowed=f"{rows} rows of {columns} counts, one for each concept of either side",
        )


def _check_verdicts(verdicts: Any, place: str) -> None:
    if not verdicts or "concepts" not in verdicts:
        return
    require(verdicts, {"margins": Mapping, "summary": Mapping, "concepts": Sequence}, place)
    require(verdicts["summary"], {"moved": Mapping}, f"{place}.summary")
    for number, one in enumerate(verdicts["concepts"]):
        for name in ("moved", "own"):
            require(one, {name: Mapping}, f"{place}.concepts[{number}]")
            require(one[name], VERDICT, f"{place}.concepts[{number}].{name}")


def _check_curves(recovery: Any, place: str) -> None:
    require(recovery, {"strength": Sequence, "centred_cosine": Mapping}, place)
    strengths = len(recovery["strength"])
    for group in ("centred_cosine", "t_overlap"):
        for name, curve in (recovery.get(group) or {}).items():
            if len(curve) != strengths:
                raise DataError(
                    f"{place}.{group}.{name} has {len(curve)} values",
                    allowed=f"one for each of the {strengths} strengths",
                )


def _check_steering(steering: Any, place: str) -> None:
    require(steering, _STEERING, place)
    for number, figure in enumerate(steering["figures"]):
        require(figure, _FIGURE, f"{place}.figures[{number}]")
    _check_changes(steering, place)
    if steering.get("sweep"):
        _check_sweep(steering["sweep"], f"{place}.sweep")
    for number, example in enumerate(steering["examples"]):
        where = f"{place}.examples[{number}]"
        require(example, _EXAMPLE, where)
        for position, answer in enumerate(example["answers"]):
            require(answer, _ANSWER, f"{where}.answers[{position}]")


def _check_changes(steering: Mapping[str, Any], place: str) -> None:
    """Counts of answers before and after, which documents of earlier versions lack."""
    for number, pair in enumerate(steering.get("meant") or ()):
        require(pair, _PAIR, f"{place}.meant[{number}]")
    for data, arms in (steering.get("changes") or {}).items():
        for arm, one in arms.items():
            where = f"{place}.changes.{data}.{arm}"
            require(one, {"transitions": Mapping}, where)
            for kind, matrix in one["transitions"].items():
                _check_matrix(matrix, f"{where}.transitions.{kind}")
            for kind, rows in (one.get("rates") or {}).items():
                _check_rates(rows, f"{where}.rates.{kind}")


def _check_matrix(matrix: Any, place: str) -> None:
    if not isinstance(matrix, Mapping):
        raise DataError(f"{place} is not an object", allowed="{before: {after: count}}")
    for before, row in matrix.items():
        if not isinstance(row, Mapping) or not all(_is_count(n) for n in row.values()):
            raise DataError(
                f"{place}.{before} holds no counts", allowed="{after: a whole number from 0 up}"
            )


def _check_rates(rows: Any, place: str) -> None:
    require(rows, {}, place)
    for before, row in rows.items():
        require(row, {"after": Mapping, "none": Mapping}, f"{place}.{before}")
        require(row["after"], {}, f"{place}.{before}.after")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _check_sweep(sweep: Any, place: str) -> None:
    require(sweep, _SWEEP, place)
    places = [sweep["chosen"], *(one for edge in sweep["fronts"].values() for one in edge)]
    for number, cell in enumerate(sweep["cells"]):
        require(cell, _CELL, f"{place}.cells[{number}]")
    if sweep.get("against") not in sweep["fronts"] or not all(
        _is_count(one) and one < len(sweep["cells"]) for one in places
    ):
        raise DataError(
            f"{place} names cells or a cost that it does not have",
            allowed=f"places in its {len(sweep['cells'])} cells, and a cost of its fronts",
        )


def require(
    part: Any, keys: Mapping[str, type], place: str, *, page: str = "docs/formats/metrics.md"
) -> None:
    """Refuse a part of a document that is not an object with some keys of some kinds.

    Args:
        part: of the document.
        keys: what must be there, and of what kind it is.
        place: where the part stands in the document.
        page: the document's description.

    Raises:
        DataError: it is something else.
    """
    if not isinstance(part, Mapping):
        raise DataError(f"{place} is not an object", allowed=f"an object with {', '.join(keys)}")
    for key, kind in keys.items():
        if key not in part:
            raise DataError(
                f"{place} lacks {key!r}",
                allowed=f"an object with {', '.join(keys)}",
                remedy=f"{page} describes every key",
            )
        value = part[key]
        # A text is a sequence of letters, which is never what a list is meant to be.
        if not isinstance(value, kind) or (kind is Sequence and isinstance(value, str)):
            raise DataError(
                f"{place}.{key} is a {type(value).__name__}",
                allowed=kind.__name__,
                remedy=f"{page} describes every key",
            )
