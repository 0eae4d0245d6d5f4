"""The page of an evaluation: arms side by side, what each did and what it cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shiftlens.reporting.checking import require
from shiftlens.reporting.images import Pictures
from shiftlens.reporting.intervals import Bar, measure_bars
from shiftlens.reporting.numbers import bounds, decimal, is_number, signed
from shiftlens.reporting.pages import Page, document_of, draw, write_page
from shiftlens.reporting.steering_views import ExampleView, example_view
from shiftlens.reporting.summary import Finding
from shiftlens.reporting.transitions import Transitions, transitions_of

_PARTS: dict[str, type] = {
    "lines": list,
    **dict.fromkeys(("details", "receipts", "examples", "about"), Mapping),
}
_LINE: dict[str, type] = {
    **dict.fromkeys(("arm", "trial", "measure", "label", "role"), str),
    **dict.fromkeys(("n", "value", "higher_is_better"), object),
}
_UNSTEERED = "unsteered"


@dataclass(frozen=True)
class MeasureView:
    """One measure on one trial: a bar and a line for each arm."""

    label: str
    role: str
    bars: tuple[Bar, ...]
    lines: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class TrialView:
    """One thing that was asked, as the page shows it; ``data`` is what the document says of it."""

    name: str
    anchor: str
    data: Mapping[str, Any]
    measures: tuple[MeasureView, ...]
    transitions: tuple[Transitions, ...]
    compared: tuple[Transitions, ...]
    examples: tuple[ExampleView, ...]
    receipts: tuple[str, ...]


def write_evaluation_page(
    data: Mapping[str, Any], path: str | Path, *, image_root: str | Path | None = None
) -> Path:
    """Draw an evaluation (docs/evaluate.md) as one page that loads nothing.

    Args:
        data: ``Evaluation.to_dict()``; it is embedded as it is.
        path: the HTML file; replaced in one step.
        image_root: what relative picture paths start from; the working directory by default.

    Returns:
        the path of the page.

    Raises:
        DataError: another kind or schema, or a part that is missing.
        MachineError: the disk is full.
    """
    return write_page(path, evaluation_page(data, image_root))


def evaluation_page(data: Mapping[str, Any], image_root: str | Path | None = None) -> Page:
    """The same page before it is drawn; it raises the same errors."""
    document = document_of(data, "evaluation", _PARTS, page="docs/evaluate.md")
    _check(document)
    pictures = Pictures(Path(image_root) if image_root is not None else None)
    trials = _trials(document, pictures)
    return draw(
        "evaluation.html.j2",
        document,
        styles=("steering.css",),
        symbols=pictures.symbols,
        findings=_findings(document, trials),
        trials=trials,
        arms=_arms(document),
        model=str((document["about"].get("model") or {}).get("name", "")),
        notes=document["about"].get("notes") or (),
    )


def _check(document: Mapping[str, Any]) -> None:
    for number, line in enumerate(document["lines"]):
        require(line, _LINE, f"lines[{number}]", page="docs/evaluate.md")
        require(line["value"], {"estimate": object}, f"lines[{number}].value")


def _arms(document: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys(line["arm"] for line in document["lines"]))


def _trials(document: Mapping[str, Any], pictures: Pictures) -> list[TrialView]:
    names = list(dict.fromkeys(line["trial"] for line in document["lines"]))
    return [_trial(document, name, at, pictures) for at, name in enumerate(names)]


def _trial(document: Mapping[str, Any], name: str, at: int, pictures: Pictures) -> TrialView:
    about = (document["about"].get("trials") or {}).get(name) or {}
    tables = _tables(document, name, about.get("settings") or {})
    receipts = (document["receipts"].get(name) or {}).items()
    return TrialView(
        name=name,
        anchor=f"trial-{at}",
        data=about,
        measures=_measures([line for line in document["lines"] if line["trial"] == name]),
        transitions=tuple(table for table in tables if not table.baseline),
        compared=tuple(table for table in tables if table.baseline),
        examples=tuple(
            example_view(_shown(one), pictures) for one in document["examples"].get(name) or ()
        ),
        receipts=tuple(f"{arm}: {one.get('summary', '')}" for arm, one in receipts),
    )


def _shown(example: Mapping[str, Any]) -> dict[str, Any]:
    answers = [{"label": arm, "text": text} for arm, text in example["answers"].items()]
    return {**example, "answers": answers}


def _tables(
    document: Mapping[str, Any], name: str, settings: Mapping[str, Any]
) -> Sequence[Transitions]:
    """Tables of the arms whose task keeps them; the unsteered answers became themselves."""
    arms = {
        arm: one
        for arm, one in (document["details"].get(name) or {}).items()
        if arm != _UNSTEERED and one.get("transitions")
    }
    source, target = settings.get("source"), settings.get("target")
    meant = [{"before": source, "after": target}] if source and target else []
    return transitions_of({"changes": {name: arms}, "meant": meant})


def _measures(lines: Sequence[Mapping[str, Any]]) -> tuple[MeasureView, ...]:
    """Effects first, then side effects; each with a bar an arm on one axis."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for line in lines:
        groups.setdefault(line["measure"], []).append(line)
    found = [
        MeasureView(
            label=rows[0]["label"],
            role=rows[0]["role"],
            bars=tuple(measure_bars([{"label": row["arm"], **row["value"]} for row in rows])),
            lines=tuple(rows),
        )
        for rows in groups.values()
    ]
    return tuple(sorted(found, key=lambda one: one.role != "effect"))


def _findings(document: Mapping[str, Any], trials: Sequence[TrialView]) -> list[Finding]:
    main = next((one for trial in trials for one in trial.measures if one.role == "effect"), None)
    found = [] if main is None else [_effect(main)]
    return [*found, _costs(document)]


def _effect(main: MeasureView) -> Finding:
    """What each arm reached of the first effect, and whether the steered one beats chance."""
    heading = "What did it reach?"
    told = [row for row in main.lines if row["arm"] != _UNSTEERED]
    lines = [f"{row['arm']}: {_said(row['value'])}" for row in told[1:]]
    plain = next((row for row in main.lines if row["arm"] == _UNSTEERED), None)
    if plain is not None:
        lines.append(f"unsteered: {_said(plain['value'])}")
    if not told:
        return Finding(heading, "nobody but the unsteered model was asked", (), "plain")
    above = told[0].get("above_random")
    if above:
        sure = is_number(above["low"]) and above["low"] > 0
        chance = f"{signed(above['estimate'])} {bounds(above)} above random directions"
        lines.insert(0, chance if sure else f"{chance}: NOT surely above them")
    verdict = f"{told[0]['arm']}: {_said(told[0]['value'])}"
    good = bool(above) and is_number(above["low"]) and above["low"] > 0
    lines.insert(0, f"{main.label}, in its 95 % interval")
    return Finding(heading, verdict, tuple(lines), "good" if good else "plain")


def _said(one: Mapping[str, Any]) -> str:
    return f"{decimal(one['estimate'])} {bounds(one)}".rstrip()


def _costs(document: Mapping[str, Any]) -> Finding:
    """Side effects that surely became worse, by the interval of the change."""
    heading = "What did it cost?"
    asked = [x for x in document["lines"] if x["role"] == "side effect" and x.get("change")]
    if not asked:
        return Finding(heading, "no side effect was measured", (), "plain")
    worse = [line for line in asked if _is_worse(line)]
    lines = tuple(
        f"{x['arm']}, {x['trial']}: {x['label']} {signed(x['change']['estimate'])} "
        f"{bounds(x['change'])}"
        for x in worse[:4]
    )
    if len(worse) > len(lines):
        lines = (*lines, f"and {len(worse) - len(lines)} more, below")
    if not worse:
        said = f"none of {len(asked)} side effects is surely worse"
        return Finding(heading, said, ("By the 95 % interval of each change.",), "good")
    return Finding(heading, f"{len(worse)} of {len(asked)} side effects are worse", lines, "mixed")


def _is_worse(line: Mapping[str, Any]) -> bool:
    low, high = line["change"]["low"], line["change"]["high"]
    if not (is_number(low) and is_number(high)):
        return False
    return high < 0 if line["higher_is_better"] else low > 0
