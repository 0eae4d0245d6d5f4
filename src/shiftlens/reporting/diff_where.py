"""Where a change sits, as a diff's page shows it: layers, roles of tokens, modules, own text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shiftlens.reporting.curves import Chart, chart
from shiftlens.reporting.intervals import Bar, difference_bars, measure_bars

_AXES = {"by_kind": "By kind of module", "by_block": "By block"}
_EFFECTS = {"moved": "All samples together", "own": "Concepts apart from it"}
_SWITCHED = {"remaining": "What is left without it", "alone": "What it does alone"}
_SHARES = {"weights": "new weights", "text": "other words before it", "cross": "cross"}

Group = tuple[str, tuple[Bar, ...]]


@dataclass(frozen=True)
class Part:
    """Groups of bars under one heading, and what could not be measured, with the reason."""

    title: str
    groups: tuple[Group, ...]
    missing: tuple[str, ...] = ()


def layer_chart(document: Mapping[str, Any]) -> Chart | None:
    """The drift over layers with its bands, or ``None`` with fewer than two of them."""
    places = document.get("by_layer") or ()
    if len(places) < 2:
        return None
    names = ("own", "moved")
    return chart(
        "How far states moved, by layer",
        "spreads",
        [one["layer"] for one in places],
        {name: [one[name].get("estimate") for one in places] for name in names},
        x_label="layer (the block whose output is read)",
        at="layer",
        bands={
            name: [(one[name].get("low"), one[name].get("high")) for one in places]
            for name in names
        },
    )


def share_bars(document: Mapping[str, Any]) -> tuple[Bar, ...]:
    """Weights, text and cross on one axis with zero."""
    shares = document.get("weights_or_words") or {}
    figures = [
        {"label": label, "role": "effect", "estimate": shares[name]}
        for name, label in _SHARES.items()
        if name in shares
    ]
    return tuple(difference_bars(figures))


def role_part(document: Mapping[str, Any]) -> Part | None:
    """How far states moved at each role of a token, or ``None`` where that was not measured."""
    roles = (document.get("where") or {}).get("roles")
    return _part("By the role of the tokens", roles, _EFFECTS, "role") if roles else None


def module_parts(document: Mapping[str, Any]) -> tuple[Part, ...]:
    """What groups of the adapter's modules leave and do, one part a way of grouping."""
    modules = (document.get("where") or {}).get("modules") or {}
    if not isinstance(modules, Mapping):
        modules = {"by_kind": modules}
    return tuple(
        _part(title, modules[axis], _SWITCHED, "group")
        for axis, title in _AXES.items()
        if modules.get(axis)
    )


def _part(
    title: str, entries: Sequence[Mapping[str, Any]], effects: Mapping[str, str], name: str
) -> Part:
    groups: list[Group] = []
    for key, label in effects.items():
        known = [{"label": _label(one, name), "role": "effect", **one[key]}
                 for one in entries if one.get(key)]  # fmt: skip
        if known:
            groups.append((label, tuple(measure_bars(known))))
    missing = [f"{_label(one, name)}: {one['reason']}" for one in entries if one.get("reason")]
    return Part(title, tuple(groups), tuple(missing))


def _label(one: Mapping[str, Any], name: str) -> str:
    label = str(one.get(name) or one.get("module") or "")
    n = one.get("modules")
    return f"{label} ({n})" if n else label
