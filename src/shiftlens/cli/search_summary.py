"""What ``search`` says in the end: the cells, the chosen one, and what other samples say of it."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len

from shiftlens.cli.columns import padded
from shiftlens.cli.terminal import console, print_json, table
from shiftlens.reporting.numbers import bounds, decimal, signed
from shiftlens.reporting.search_page import random_direction

if TYPE_CHECKING:
    from shiftlens.steering.searching import Search
    from shiftlens.steering.searching.measured import Measured

_MANY = 3  # axes beside which intervals fit into eighty columns, at most
_LABEL = 48  # columns of a measure's name
_SHOWN = 20  # cells in the table; all of them are in search.json
_AXES = ("layer", "strength", "operator", "scope", "gate")
_HEADS = {"first_token_kl": "kl"}


def blocks_of(name: str) -> int | None:
    """How many blocks a model has, where it lies here and its configuration says so."""
    from shiftlens.core.errors import StoreError
    from shiftlens.core.manifest import read_json
    from shiftlens.data.sources import provided_model

    path = Path(provided_model(name)).expanduser() / "config.json"
    try:
        config = read_json(path)
    except StoreError:
        return None
    text = config.get("text_config", config) if isinstance(config, dict) else {}
    found = text.get("num_hidden_layers")
    return found if isinstance(found, int) else None


def print_cost(cost: dict[str, Any], *, as_json: bool) -> None:
    """Print what a search would cost.

    Args:
        cost: ``cells``, ``samples`` of each half, ``answers`` and ``passes`` at most; ``None``
            where the model is not here to be counted.
        as_json: print it as it is.
    """
    if as_json:
        print_json(cost)
        return
    if cost["cells"] is None:
        console().print("the number of cells is not known: the model is not here; name --layers")
        return
    console().print(
        f"{cost['cells']} cells, {cost['samples']['choosing']} samples of all data for each\n"
        f"at most {cost['answers']} answers to generate; halving asks worse cells less\n"
        f"at most {cost['passes']} forward passes",
        markup=False,
    )


def print_search(found: "Search", out: Path) -> None:
    """Print a search in eighty columns.

    Args:
        found: what was found.
        out: where it is.
    """
    page, about = console(), found.about
    sizes = about["n"]
    page.print(
        f"{len(found.cells)} cells, chosen on {sizes['choosing']['target']} samples, "
        f"reported on {sizes['reporting']['target']} others",
        markup=False,
    )
    page.print(_table(found))
    kinds = dict.fromkeys(name.partition(":")[0] for name in found.chosen.costs)
    still = [kind for kind in kinds if kind not in _moved(found)]
    if still:
        page.print(f"no cost in any of these: {', '.join(still)}", markup=False)
    for reason, count in Counter(one.dropped for one in found.cells if one.dropped).items():
        many = "1 cell was" if count == 1 else f"{count} cells were"
        page.print(f"{many} dropped early: {reason}", markup=False)
    page.print()
    _print_held_out(found)
    page.print()
    page.print(f"  front    {out / 'front.html'}", markup=False, soft_wrap=True)
    page.print(f"  numbers  {out / 'search.json'}", markup=False, soft_wrap=True)
    page.print(f"  vector   {out / 'best.safetensors'}", markup=False, soft_wrap=True)
    page.print(f"  use      {_options(found, out)}", markup=False, soft_wrap=True)
    if (out / "steering.json").is_file():  # a gate that is a program is in no file
        page.print(f"  or       --vector {out}, all as it was chosen", markup=False, soft_wrap=True)


def _options(found: "Search", out: Path) -> str:
    """The chosen cell as options of the verbs that steer: a vector's file holds no setting."""
    from shiftlens.steering.operators import OPERATORS

    cell = found.chosen.cell
    assert cell is not None  # only the unsteered run has none
    said = f"--vector {out / 'best'} --layers {cell.layer} --strength {cell.strength:g}"
    said += f" --scope {cell.scope}"
    if cell.operator.partition(":")[0] in OPERATORS:
        said += f" --operator {cell.operator}"
    return said if cell.gate == "none" else f"{said} --gate {cell.gate}"


def _table(found: "Search") -> Any:
    cells = [one for one in found.cells if not one.dropped]
    cells.sort(key=lambda one: (one is not found.chosen, -one.merit.estimate if one.merit else 9e9))
    axes = [axis for axis in _AXES if len({getattr(one.cell, axis) for one in found.cells}) > 1]
    heads = _moved(found)
    edge = {id(one) for one in found.front()}
    rows = [_row(one, found, axes, heads, edge) for one in cells[:_SHOWN]]
    columns = ("", *axes, "effect", *(_HEADS.get(head, head) for head in heads), "dose")
    return table("", columns, rows)


def _moved(found: "Search") -> list[str]:
    """Kinds of costs that any cell in the table has; a column of zeros would say nothing."""
    kinds = dict.fromkeys(name.partition(":")[0] for name in found.chosen.costs)
    cells = [one for one in found.cells if not one.dropped]
    return [
        kind
        for kind in kinds
        if any((cost := one.worst(kind)) is not None and cost.estimate != 0 for one in cells)
    ]


def _row(
    one: "Measured", found: "Search", axes: Sequence[str], heads: Sequence[str], edge: set[int]
) -> tuple[str, ...]:
    from rich.markup import escape

    mark = "chosen" if one is found.chosen else "front" if id(one) in edge else ""
    costs = [one.worst(head) for head in heads]
    return (
        f"[bold]{mark}[/bold]" if mark == "chosen" else mark,
        *(escape(_axis(getattr(one.cell, axis))) for axis in axes),
        escape(_effect(one, narrow=len(axes) > _MANY)),
        *("-" if cost is None else decimal(cost.estimate, 3) for cost in costs),
        decimal(one.dose),
    )


def _effect(one: "Measured", *, narrow: bool) -> str:
    """With its interval where there is room; the numbers below and the page have it anyway."""
    if narrow and one.effect is not None:
        return decimal(one.effect.estimate)
    return _interval(one.effect)


def _axis(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _print_held_out(found: "Search") -> None:
    page, mine = console(), found.held_out
    page.print(f"chosen: {found.chosen.name}", markup=False)
    lines = [
        (found.about["objective"]["label"], _interval(mine.effect)),
        ("  unsteered", _interval(found.held_out_unsteered.effect)),
        *((f"  {random_direction(one.name)}", _interval(one.effect)) for one in found.controls),
        *((f"cost {name}", _interval(one, 3)) for name, one in mine.costs.items()),
    ]
    width = min(max(cell_len(label) for label, _ in lines), _LABEL)
    page.print(f"on {mine.counted} of {mine.n} held-out samples:", markup=False)
    for label, numbers in lines:
        page.print(f"  {padded(label, width)}  {numbers}", markup=False)
    if not found.above_controls:
        page.print("  NOT surely above random directions of equal length", markup=False)
    for budget, said in found.standings.items():
        page.print(f"  budget {budget}: {said}", markup=False)
    for name in found.unbounded:
        said = padded(name, _LABEL).rstrip()
        page.print(f"  NO BUDGET bounds {said}, which surely rose", markup=False)
    curse = found.winners_curse
    page.print(
        f"  winner's curse (chosen minus held-out): {signed(curse.estimate)} "
        f"{bounds(curse.to_dict())}",
        markup=False,
    )


def _interval(one: Any, digits: int = 2) -> str:
    return (
        "-" if one is None else f"{decimal(one.estimate, digits)} {bounds(one.to_dict(), digits)}"
    )
