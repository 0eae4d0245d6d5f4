"""The head of a run's page: three sentences, and what was compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shiftlens.reporting.numbers import count, is_number, percent
from shiftlens.reporting.summary import above, control, differences, furthest, goals, quoted

_KEPT = ("matched", "missed", "failed")
_SAME = (
    ("revision", "revision"),
    ("architecture", "architecture"),
    ("dtype", "number type"),
    ("device", "device"),
)
_MARKS = (
    ("weights", "weights"),
    ("adapter_weights", "adapter’s weights"),
    ("adapter_revision", "adapter’s revision"),
    ("processor", "processor"),
    ("tokenizer", "tokenizer"),
    ("template", "chat template"),
)


@dataclass(frozen=True)
class Origins:
    """What was compared: models side by side, data, and versions."""

    models: tuple[str, ...]
    facts: tuple[tuple[str, tuple[str, ...]], ...]
    marks: tuple[tuple[str, tuple[str, ...]], ...]
    data: tuple[Mapping[str, Any], ...]
    versions: Mapping[str, Any]
    seed: Any


def sentences(document: Mapping[str, Any]) -> tuple[str, ...]:
    """What was asked, what changed, and what can be done with it: one sentence each.

    A run without tokens of interest says so in a single one; one without steering has two.
    """
    tois, steering = document["toi"], document["steering"]
    if not tois and not steering:
        return ("Nothing was compared: the document holds no concepts and no steering.",)
    found = [_asked(document, tois)] if tois else []
    found += [_changed(tois)] if any(toi["changes"] for toi in tois.values()) else []
    return (*found, _held(tois, steering))


def _asked(document: Mapping[str, Any], tois: Mapping[str, Any]) -> str:
    base, tuned = (document["models"][side]["name"] for side in ("base", "tuned"))
    parts = [f"{_rows(toi)} for “{name}”" for name, toi in tois.items()]
    return f"{tuned} was compared with {base} at {_listed(parts)}."


def _rows(toi: Mapping[str, Any]) -> str:
    rows = toi["rows"]
    told = [f"{count(rows[kind])} {kind}" for kind in _KEPT if is_number(rows.get(kind))]
    return f"{count(toi['samples'])} samples ({', '.join(told)})"


def _changed(tois: Mapping[str, Any]) -> str:
    told = _listed([_moved(name, toi) for name, toi in tois.items()], "; ")
    return f"{told[:1].upper()}{told[1:]}."


def _moved(name: str, toi: Mapping[str, Any]) -> str:
    change, judged = furthest(toi["changes"]), toi.get("verdicts") or {}
    if change is None:
        return f"“{name}” has no concept"
    n = len(toi["changes"])
    start = f"of {n} concepts of “{name}”"
    margin = (judged.get("margins") or {}).get("moved")
    if "summary" in judged and is_number(margin):
        start += f" {judged['summary']['moved']['changed']} surely moved, and"
    before, after = quoted(change["contrastive_base"], 2), quoted(change["contrastive_tuned"], 2)
    share = percent(change["share"])
    return f"{start} number {change['index']} ({share}) moved furthest, from {before} to {after}"


def _held(tois: Mapping[str, Any], steering: Mapping[str, Any]) -> str:
    parts = [f"for “{name}” {_own(toi)}" for name, toi in tois.items()]
    if steering:
        whole = [goals(one) for one in steering.values()]
        reached, asked = (sum(pair) for pair in zip(*whole, strict=True))
        parts.append(f"{reached} of {asked} goals of steering are reached")
    told = _listed(parts, "; ")
    return f"{told[:1].upper()}{told[1:]}."


def _own(toi: Mapping[str, Any]) -> str:
    found = differences(toi["recovery"])
    better = above(found)
    if not found:
        return "shifts were not compared with controls"
    told = f"a concept’s own shift comes closer than {len(better)} of {len(found)} controls"
    rest = [control(one["name"]) for one in found if one not in better]
    return f"{told}, not than {_listed(rest)}" if rest and better else told


def _listed(parts: Sequence[str], mark: str = ", ") -> str:
    if mark == "; " or len(parts) < 2:
        return mark.join(parts)
    return f"{mark.join(parts[:-1])} and {parts[-1]}"


def origins(document: Mapping[str, Any]) -> Origins:
    """Where models and data come from, as far as the document says."""
    base, tuned = document["models"]["base"], document["models"]["tuned"]
    several = tuned.get("fine_tunes") or {}
    sides = [base, *(several.values() if several else [tuned])]
    return Origins(
        models=tuple(str(side.get("name", "")) for side in sides),
        facts=_known(sides, _SAME),
        marks=_known(sides, _MARKS),
        data=tuple(_data(name, toi) for name, toi in document["toi"].items()),
        versions=document["versions"],
        seed=document.get("seed"),
    )


def _known(
    sides: Sequence[Mapping[str, Any]], keys: Sequence[tuple[str, str]]
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Rows that at least one model has something to say in."""
    rows = [(label, tuple(str(s.get(key) or "—") for s in sides)) for key, label in keys]
    return tuple((label, values) for label, values in rows if set(values) != {"—"})


def _data(name: str, toi: Mapping[str, Any]) -> Mapping[str, Any]:
    data = toi.get("data") or {}
    return {
        "toi": name,
        "source": data.get("source") or "—",
        "fingerprint": data.get("fingerprint"),
        "samples": toi["samples"],
        **{kind: toi["rows"].get(kind) for kind in _KEPT},
    }
