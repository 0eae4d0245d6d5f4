"""What ``learn`` would cost, the table of every k, and the concepts, in eighty columns."""

import shlex
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from shiftlens.cli.terminal import WIDTH, console, print_json, table
from shiftlens.reporting.numbers import DASH, bounds, decimal

if TYPE_CHECKING:
    from shiftlens.concepts.choice import Choice, TriedK
    from shiftlens.concepts.concepts import Concepts

_SHOWN = 40  # concepts in the table
_FEW = 10  # states of a concept; a diff judges none of fewer pictures
_CURED = ("standard", "white")  # spaces that hear every dimension


def print_cost(
    rows: int, counts: Sequence[int], seeds: int, most_rows: int, *, as_json: bool
) -> None:
    """Say how many fits there would be, on how many rows."""
    several = len(counts) > 1
    cost = {
        "rows": rows,
        "k": list(counts),
        "fits": 2 * seeds * len(counts) if several else 0,
        "rows_of_a_fit": min(rows, most_rows) // 2 if several else 0,
        "fits_of_all_rows": 1,
    }
    if as_json:
        print_json(cost)
        return
    if several:
        console().print(
            f"k {', '.join(map(str, counts))}: {cost['fits']} fits on {cost['rows_of_a_fit']} "
            f"states each"
        )
    console().print(f"1 fit on all {rows} states")


def document_of(concepts: "Concepts | None", choice: "Choice | None", out: Path) -> dict[str, Any]:
    """What was learned and chosen, as JSON; tensors stay in their file."""
    learned = None
    if concepts is not None:
        learned = {**concepts.to_data(), "k": concepts.k, "saved": str(out / "concepts")}
    return {"concepts": learned, "choice": choice and choice.to_dict()}


def print_learned(
    concepts: "Concepts | None",
    choice: "Choice | None",
    out: Path,
    *,
    store: Path,
    harvested: Mapping[str, Any],
    model: str | None,
    adapter: str | None,
    same: Sequence[str],
) -> None:
    """Print the choice, the concepts, and the command that comes next.

    Args:
        concepts: what was learned; ``None`` where no k was chosen.
        choice: of several k.
        out: where both were saved.
        store: as the user named it.
        harvested: what the store says of the model that it is of.
        model: that gave the words; ``None`` where they have none.
        adapter: of it.
        same: options that another run of the verb needs.
    """
    screen = console()
    if choice is not None:
        print_choice(choice)
    report: dict[str, Any] = {}
    if concepts is not None:
        report = dict(concepts.learner["report"])
        if choice is not None:
            screen.print()
        _print_concepts(concepts, report)
        if choice is None:
            _warn_small(concepts)
    space = str((concepts.learner if concepts is not None else choice.learner).get("space", "raw"))  # pyright: ignore
    _warn(report or (choice.dominant if choice is not None else {}), space)
    _warn_flat(concepts)
    screen.print()
    lines: list[tuple[str, str]] = []
    if concepts is not None:
        lines.append(("concepts", f"{out / 'concepts'}.safetensors, .json"))
    if choice is not None:
        lines += [("numbers", str(out / "choice.json")), ("page", str(out / "choice.html"))]
    more = [*(["--model", model] if model else []), *(["--adapter", adapter] if adapter else [])]
    if concepts is None:
        lines.append(("next", _again(choice, store, out, [*same, *more])))
    else:
        lines.append(("next", _words_next(store, out, more or _as_harvested(harvested))))
    for name, text in lines:
        screen.print(f"  {name:<9} {text}", markup=False, soft_wrap=True)
    _of_before(concepts, choice, out)


def _warn_small(concepts: "Concepts") -> None:
    """One k is learned without being judged; concepts of a few states are told."""
    small = sum(size < _FEW for size in concepts.sizes)
    if small:
        _say(
            f"{small} of {concepts.k} concepts have fewer than {_FEW} states, and nobody judged "
            "whether they come back on other pictures: several k (--k 5,10,20) are judged",
            style="yellow",
        )


def print_choice(choice: "Choice") -> None:
    """The table of every k, the rule, and what it chose."""
    screen = console()
    sample = "" if choice.n == choice.of else f" (of {choice.of}, a random sample)"
    screen.print(
        f"{choice.n} states of {choice.groups} pictures{sample}, learned on one half and judged\n"
        f"on the other, {choice.n_seeds} seeds each; figures of random samples in brackets",
        markup=False,
    )
    screen.print()
    spoken = any(one.overlap is not None for one in choice.tried)
    columns = ["k", "explained elsewhere", "random", "halves", "random", "seeds"]
    columns += ["words shared"] if spoken else []
    grid = table("", [*columns, ""], [_row(one, choice, spoken) for one in choice.tried])
    grid.columns[0].justify, grid.columns[-1].justify = "right", "left"
    screen.print(grid)
    screen.print()
    _say(f"rule: {choice.rule}", style="dim")
    screen.print()
    if choice.chosen is None:
        _say(f"no k chosen: {choice.reason}", style="yellow")
    else:
        _say(f"chosen: {choice.chosen} concepts: {choice.reason}", style="bold")


def _row(one: "TriedK", choice: "Choice", spoken: bool) -> list[str]:
    found = one.reconstruction
    cells = [
        str(one.k),
        f"{decimal(found.estimate)} {bounds(found.to_dict())}",
        f"({decimal(one.random_reconstruction.estimate)})",
        decimal(one.halves.mean),
        f"({decimal(one.random_halves.mean)})",
        decimal(one.seeds.mean),
    ]
    if spoken:
        cells.append(f"{decimal(one.overlap)} ({decimal(one.random_overlap)})")
    return [escape(cell) for cell in (*cells, _standing(one, choice))]


def _standing(one: "TriedK", choice: "Choice") -> str:
    if one.k == choice.chosen:
        return "chosen"
    if not one.is_stable(choice.stable):
        return "unstable"
    return "stable" if one.explains else "explains nothing"


def _print_concepts(concepts: "Concepts", report: dict[str, Any]) -> None:
    screen = console()
    name, site = concepts.learner["name"], concepts.site
    told = [f"{concepts.k} concepts by {name} after block {site.layer}"]
    if "converged" in report:
        told.append(
            "converged" if report["converged"] else "not converged: more with --set max_iter=N"
        )
    screen.print(", ".join(told), markup=False)
    words = concepts.contrastive or concepts.words
    room = WIDTH - 17  # beside number and size
    order = sorted(range(concepts.k), key=lambda index: -concepts.sizes[index])
    rows = [
        (
            str(index),
            str(concepts.sizes[index]),
            escape(textwrap.shorten(", ".join(words[index]), room, placeholder=" ..."))
            if words
            else DASH,
        )
        for index in order[:_SHOWN]
    ]
    heading = "words that it says more than the others do" if words else ""
    columns = ("concept", "states", *([heading] if words else []))
    grid = table("", columns, [row[: len(columns)] for row in rows])
    if words:
        grid.columns[2].justify = "left"
    screen.print(grid)
    if concepts.k > _SHOWN:
        screen.print(f"and {concepts.k - _SHOWN} smaller ones")
    idle = int(concepts.provenance["rows"]) - sum(concepts.sizes)
    if idle:
        told = "1 state belongs" if idle == 1 else f"{idle} states belong"
        screen.print(f"{told} to no concept: none is active there")


def _warn(report: dict[str, Any], space: str) -> None:
    dims = report.get("dominant_dimensions")
    if not dims or space in _CURED:
        return
    many = ", ".join(map(str, dims[:5])) + (", ..." if len(dims) > 5 else "")
    which = f"dimension {many} carries" if len(dims) == 1 else f"dimensions {many} carry"
    console().print()
    _say(
        f"{which} {100 * report['dominant_share']:.0f} % of the variance, which decides what "
        "is near: learn with --space standard or --space white to hear the others",
        style="yellow",
    )


def _warn_flat(concepts: "Concepts | None") -> None:
    """Say which concepts stand for no variance: their directions are arbitrary."""
    rank = concepts.learner["report"].get("rank", concepts.k) if concepts is not None else 0
    if concepts is None or rank >= concepts.k:
        return
    console().print()
    _say(
        f"the states vary in {rank} directions: concepts from {rank} on have no variance and are "
        f"arbitrary; learn {rank} or fewer",
        style="yellow",
    )


def _again(choice: "Choice | None", store: Path, out: Path, more: Sequence[str]) -> str:
    """The smallest k alone, which is learned without a choice."""
    smallest = str(choice.tried[0].k) if choice is not None else "K"
    words = ["shiftlens", "learn", str(store), "--k", smallest, *more]
    return shlex.join([*words, "-o", str(out)])


def _words_next(store: Path, out: Path, model: Sequence[str]) -> str:
    words = ["shiftlens", "ground", str(out / "concepts"), str(store), *model]
    return shlex.join([*words, "--sheets", str(out / "sheets")])


def _as_harvested(about: Mapping[str, Any]) -> list[str]:
    """The options that name the model of a store, as it was called when it was harvested."""
    found = ["--model", str(about.get("model") or "MODEL")]
    return [*found, "--adapter", str(about["adapter"])] if about.get("adapter") else found


def _of_before(concepts: "Concepts | None", choice: "Choice | None", out: Path) -> None:
    """Say which files of an earlier run lie there, and do not belong to this one."""
    if choice is None and (out / "choice.json").is_file():
        _say(f"choice.json in {out} is of an earlier run, not of these concepts", style="yellow")
    if concepts is None and (out / "concepts.json").is_file():
        _say(f"concepts.json in {out} is of an earlier run: this one chose none", style="yellow")


def _say(text: str, *, style: str = "") -> None:
    lines = textwrap.wrap(text, WIDTH, break_long_words=False)
    console().print("\n".join(lines), markup=False, style=style or None)
