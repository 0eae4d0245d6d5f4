"""A document of a search, as ``Search.to_dict`` gives it."""

from typing import Any


def _interval(value: float, half: float = 0.05) -> dict[str, float]:
    return {"estimate": value, "low": value - half, "high": value + half}


def _cell(number: int, effect: float | None, loss: float, **fields: Any) -> dict[str, Any]:
    cell = {
        "layer": number,
        "strength": 1.0,
        "operator": "add",
        "scope": "response",
        "gate": "none",
    }
    return {
        "name": f"layer {number} <b>",
        "cell": cell,
        "n": 50,
        "counted": 25,
        "effect": None if effect is None else _interval(effect),
        "costs": {"loss:number": _interval(loss), "first_token_kl:number": _interval(5 * loss)},
        "dose": 0.5 + number / 10,
        "touched": 50,
        "lower_is_better": False,
        "dropped": "",
        **fields,
    }


def build_search() -> dict[str, Any]:
    """A finished search of four cells, of which the second was chosen."""
    cells = [
        _cell(0, 0.2, 0.0),
        _cell(1, 0.9, 0.01),
        _cell(2, 0.95, 0.4, dropped="breaks loss <= 0.02"),
        _cell(3, None, 0.0),
    ]
    return {
        "schema": 1,
        "kind": "search",
        "about": {
            "task": {"name": "answers", "source": "yes", "target": "</script>"},
            "objective": {"name": "moved", "label": "source answers that became the target"},
            "model": {"name": "world:base", "adapter": None},
            "n": {"choosing": {"target": 50}, "reporting": {"target": 60}},
        },
        "budgets": ["loss <= 0.02"],
        "standings": {"loss <= 0.02": "undecided"},
        "against": "loss",
        "chosen": 1,
        "fronts": {"loss": [0, 1], "dose": [0, 1]},
        "above_controls": True,
        "winners_curse": _interval(0.02),
        "unsteered": _cell(0, 0.0, 0.0, name="unsteered", cell=None),
        "held_out": _cell(1, 0.88, 0.015),
        "held_out_unsteered": _cell(0, 0.0, 0.0, name="unsteered", cell=None),
        "controls": [_cell(1, 0.05, 0.0, name="random 0")],
        "cells": cells,
        "examples": [{"id": "a", "prompt": "Q?", "unsteered": "yes", "steered": "no", "score": 1}],
    }
