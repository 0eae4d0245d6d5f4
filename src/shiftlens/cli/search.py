"""``shiftlens search``: which layer, how strong, what it costs; chosen on one half of the data."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shiftlens.cli.data_options import ALL_ROWS, ColumnsOption, Rows, WhereOption, rows_option
from shiftlens.cli.no_images import NoImages, as_named
from shiftlens.cli.steering_options import (
    layer_numbers,
    layers_of,
    listed,
    named_sources,
    setting,
)
from shiftlens.cli.terminal import print_json, progress

if TYPE_CHECKING:
    from shiftlens.core.progress import Progress
    from shiftlens.data.sample import Samples
    from shiftlens.models.model import Model
    from shiftlens.steering.searching import OffTarget
    from shiftlens.steering.searching.grid import Direction
    from shiftlens.steering.tasks.task import Task

PAGE = "front.html"
_STRENGTHS = ".5,.75,1,1.5,2"
UNGATED = "none"
_WHOLE = 3  # parts of the data: one fits the direction, one chooses, one reports


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("search")(search)


def search(
    model: Annotated[str, typer.Argument(help="Who is steered: a directory or an id.")],
    data: Annotated[
        str, typer.Argument(help="What it is asked: a folder, a .jsonl file, or world:yesno.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where results go.")] = Path(
        "runs/search"
    ),
    source: Annotated[
        str | None, typer.Option(help="The answer to move away from; fits a direction too.")
    ] = None,
    target: Annotated[str | None, typer.Option(help="The answer to move to.")] = None,
    vector: Annotated[
        list[str] | None,
        typer.Option(help="A saved vector instead of a fitted one, without ending; repeatable."),
    ] = None,
    task: Annotated[str, typer.Option(help="What answers are judged by.")] = "answers",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="A setting of the task: key=value; repeatable."),
    ] = None,
    objective: Annotated[
        str | None, typer.Option(help="The task's measure that counts; its first effect.")
    ] = None,
    layers: Annotated[str, typer.Option(help="0,2,4 or all; the vectors' own with --vector.")] = "",
    strengths: Annotated[str, typer.Option(help="How much of the direction.")] = _STRENGTHS,
    operators: Annotated[
        str | None,
        typer.Option(
            help="Of vectors: add (unless given), add-keeping-norm, ablate, move-to:TARGET."
        ),
    ] = None,
    scope: Annotated[
        list[str] | None, typer.Option(help="Positions: response, all, image, ...; repeatable.")
    ] = None,
    gate: Annotated[
        list[str] | None,
        typer.Option(help="Tried beside no gate: says:WORDS, end, prompt:WORDS, probe:FILE."),
    ] = None,
    off_target: Annotated[
        list[str] | None,
        typer.Option(help="Data whose answers must stay right (label 'answer'); repeatable."),
    ] = None,
    budget: Annotated[
        list[str] | None,
        typer.Option(help='"loss <= .01", "first_token_kl <= .5", "repeats <= .05"; repeatable.'),
    ] = None,
    prompt: Annotated[str | None, typer.Option(help="Asked about every picture.")] = None,
    n: Annotated[int, typer.Option("--n", "-n", help="Samples of each half, at most.")] = 200,
    where: WhereOption = None,
    columns: ColumnsOption = "",
    halving: Annotated[
        bool, typer.Option(help="Ask worse cells fewer samples.", show_default=True)
    ] = True,
    controls: Annotated[int, typer.Option(help="Random directions to compare with.")] = 3,
    seed: Annotated[int, typer.Option(help="Of samples, cuts and random directions.")] = 0,
    max_new_tokens: Annotated[
        int | None, typer.Option(help="Where an answer is cut off; the task's own.")
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Samples at once.")] = 32,
    adapter: Annotated[str | None, typer.Option(help="Steer the model with this adapter.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:0, mps.")] = None,
    dtype: Annotated[
        str | None, typer.Option(help="Of the weights: float32, bfloat16, float16.")
    ] = None,
    no_images: NoImages = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print search.json instead of the table.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it would cost, and stop.")
    ] = False,
) -> None:
    """Find the setting with the greatest effect within budgets, and measure it on other samples.

    With --source and --target a third of the data fits the mean difference between the states that
    emit the two answers, at every layer; the other two thirds choose and report. A search that was
    interrupted goes on where it stopped.

    Example: shiftlens search world:base world:yesno --source yes --target no --budget "loss <= .01"
    """
    from shiftlens.steering.searching.budgets import read_budget

    _require_direction(source, target, vector)
    # These find mistakes before anything is read or loaded.
    layer_numbers(layers)
    limits = [read_budget(one) for one in budget or ()]
    judged = _task(task, settings or (), source, target, max_new_tokens)
    rows = rows_option(where, columns)
    axes: dict[str, Any] = {
        "strengths": _numbers(strengths, "--strengths"),
        "operators": ["add"] if operators is None else listed(operators),
        "scopes": scope or ["response"],
        "gates": [UNGATED, *(gate or ())],
    }
    parts = _WHOLE - 1 if vector else _WHOLE
    if n < 1:
        raise typer.BadParameter("at least one sample a half", param_hint="--n")
    if dry_run:
        from shiftlens.cli.search_summary import print_cost

        cells = _cells(model, layers, vector or (), axes)
        told = _cost(cells, n, len(off_target or ()), controls, judged.max_new_tokens, batch_size)
        print_cost(told, as_json=as_json)
        return
    from shiftlens.models.loading import load_model
    from shiftlens.steering.reading import read_gate, read_vector
    from shiftlens.steering.searching import search as run

    for one in vector or ():
        read_vector(one)
    listener = progress(quiet=quiet or as_json)
    samples = _samples(data, out, parts * n, seed, prompt, rows)
    beside = [_off_target(one, out, n, seed) for one in named_sources(off_target or ())]
    samples = as_named(samples, no_images)
    beside = [replace(one, samples=as_named(one.samples, no_images)) for one in beside]
    loaded = load_model(model, adapter=adapter, device=device, dtype=dtype)
    if vector:
        directions, chosen = _read(vector, layers_of(layers, loaded))
        if operators is not None:
            _require_vectors(directions)
    else:
        fit, samples = samples.split(1 / _WHOLE, 1 - 1 / _WHOLE, seed=seed)
        chosen = layers_of(layers, loaded) or list(range(loaded.address.n_layers))
        ends = (str(source), str(target))
        directions = _fit(loaded, fit, chosen, ends, out, batch_size, listener)
    axes["gates"] = {
        name: None if name == UNGATED else read_gate(loaded, name) for name in axes["gates"]
    }
    found = run(
        loaded,
        judged,
        samples,
        directions=directions,
        layers=chosen,
        off_target=beside,
        budgets=limits,
        objective=objective,
        out=out,
        n=n,
        halving=halving,
        controls=controls,
        seed=seed,
        batch_size=batch_size,
        progress=listener,
        **axes,
    )
    from shiftlens.reporting.search_page import write_search_page

    write_search_page(found.to_dict(), out / PAGE)
    if as_json:
        print_json(found.to_dict())
    elif not quiet:
        from shiftlens.cli.search_summary import print_search

        print_search(found, out)


def _require_direction(
    source: str | None, target: str | None, vector: Sequence[str] | None
) -> None:
    if (source is None) != (target is None):
        raise typer.BadParameter(
            "a source and a target belong together", param_hint="--source, --target"
        )
    if source is None and not vector:
        raise typer.BadParameter(
            "a direction is needed: answers to fit one between, or a saved vector",
            param_hint="--source and --target, or --vector",
        )


def _task(
    name: str,
    settings: Sequence[str],
    source: str | None,
    target: str | None,
    max_new_tokens: int | None,
) -> "Task":
    """The task with its settings; ``answers`` takes source and target from the command line."""
    from shiftlens.steering.tasks.registry import make_task

    given = dict(setting(one) for one in settings)
    if name in ("answers", "vqa"):
        ends = {"source": source, "target": target}
        given = {**{key: value for key, value in ends.items() if value is not None}, **given}
    if max_new_tokens is not None:
        given["max_new_tokens"] = max_new_tokens
    return make_task(name, given)


def _numbers(text: str, option: str) -> list[float]:
    try:
        return [float(one) for one in listed(text)]
    except ValueError as error:
        raise typer.BadParameter(
            f"{text!r} is no list of numbers, such as {_STRENGTHS}", param_hint=option
        ) from error


def _samples(
    source: str, out: Path, n: int, seed: int, prompt: str | None, rows: Rows = ALL_ROWS
) -> "Samples":
    from shiftlens.cli.diff_inputs import samples_of

    return samples_of(source, out, n, seed, prompt, rows)


def _off_target(named: tuple[str, str], out: Path, n: int, seed: int) -> "OffTarget":
    from shiftlens.steering.searching import OffTarget

    name, source = named
    return OffTarget(name, _samples(source, out, 2 * n, seed, None))


def _read(paths: Sequence[str], layers: Sequence[int]) -> "tuple[dict[int, Direction], list[int]]":
    """Saved vectors by layer; a single one serves every layer that was named."""
    from shiftlens.steering.reading import read_vector

    vectors = [read_vector(path) for path in paths]
    if len(vectors) == 1 and layers:
        return dict.fromkeys(layers, vectors[0]), list(layers)
    found: dict[int, Direction] = {}
    for one in vectors:
        if one.layer in found:
            raise typer.BadParameter(
                f"two vectors live at layer {one.layer}: search them one by one",
                param_hint="--vector",
            )
        found[one.layer] = one
    return found, list(layers) or sorted(found)


def _require_vectors(directions: "dict[int, Direction]") -> None:
    """Refuse operators beside an affine edit, which brings its own."""
    from shiftlens.concepts.vectors import SteeringVector

    for one in directions.values():
        if not isinstance(one, SteeringVector):
            raise typer.BadParameter(
                f"{one.name!r} is an affine edit and brings its own operation",
                param_hint="--operators",
            )


def _fit(
    model: "Model",
    samples: "Samples",
    layers: Sequence[int],
    ends: tuple[str, str],
    out: Path,
    batch_size: int,
    listener: "Progress",
) -> "dict[int, Direction]":
    """Mean differences at all layers from one harvest of what emits the answer."""
    from shiftlens.activations.harvesting import harvest
    from shiftlens.activations.site import Site
    from shiftlens.activations.tokens import last_prompt
    from shiftlens.core.manifest import digest
    from shiftlens.steering.outcomes import is_answer
    from shiftlens.steering.searching import layer_directions

    source, target = ends
    site = Site(tuple(layers), last_prompt())
    # Other models, samples or layers get a store of their own beside this one.
    mark = digest([model.identity, samples.fingerprint, site.describe(), batch_size])[:12]
    store = harvest(
        model,
        samples,
        site,
        out / "fit" / mark,
        max_new_tokens=8,
        batch_size=batch_size,
        progress=listener,
    )
    return {
        **layer_directions(
            store,
            source=lambda row: is_answer(row.response, source),
            target=lambda row: is_answer(row.response, target),
            name=f"{source} to {target}",
        )
    }


def _cells(name: str, layers: str, vector: Sequence[str], axes: dict[str, Any]) -> int | None:
    """How many cells there are, where the number of layers is known without loading a model."""
    from shiftlens.cli.search_summary import blocks_of

    named = layer_numbers(layers)
    if named is not None:
        count = len(named)
    elif vector and layers.strip() != "all":
        count = len(vector)
    else:
        known = blocks_of(name)
        if known is None:
            return None
        count = known
    for axis in axes.values():
        count *= len(axis)
    return count


def _cost(
    cells: int | None, n: int, sets: int, controls: int, max_new_tokens: int, batch_size: int
) -> dict[str, Any]:
    """What a search costs at most; halving makes it less."""
    each = n * (1 + sets)
    reported = each * (2 + controls)
    answers = None if cells is None else each * (cells + 1) + reported
    passes = None if answers is None else -(-answers // batch_size) * max_new_tokens
    return {
        "cells": cells,
        "samples": {"choosing": each, "reporting": each},
        "answers": answers,
        "passes": passes,
    }
