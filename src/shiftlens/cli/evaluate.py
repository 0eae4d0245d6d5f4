"""``shiftlens evaluate``: steering beside an instruction and a fine-tuned model, with its costs."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shiftlens.cli.data_options import ColumnsOption, WhereOption, rows_option
from shiftlens.cli.no_images import NoImages, as_named
from shiftlens.cli.steering_options import (
    LayersOption,
    OperatorOption,
    ScopeOption,
    named_sources,
    setting,
    typed_layers,
)
from shiftlens.cli.terminal import print_json, progress

if TYPE_CHECKING:
    from shiftlens.models.model import Model
    from shiftlens.steering.arms import Arm
    from shiftlens.steering.intervening import Intervention
    from shiftlens.steering.tasks.task import Task

RESULT, PAGE = "evaluation.json", "report.html"
_CONTROLS = 3  # random directions beside a vector, unless another number is given
_BESIDE = "vqa"  # what off-target data are judged by: it needs nothing but right answers


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("evaluate")(evaluate)


def evaluate(
    model: Annotated[str, typer.Argument(help="Who is steered: a directory or an id.")],
    data: Annotated[
        str, typer.Argument(help="What it is asked: a folder, a .jsonl file, or world:yesno.")
    ],
    task: Annotated[
        str,
        typer.Option(help="What answers are judged by: answers, vqa, style, gender, safety, ..."),
    ] = "answers",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="A setting of the task: key=value; repeatable."),
    ] = None,
    vector: Annotated[
        list[Path] | None,
        typer.Option(
            "--vector", "-v", help="A saved steering, vector or edit; several act at once."
        ),
    ] = None,
    strength: Annotated[
        float | None, typer.Option(help="How much of it; 1 (unless given) is the whole vector.")
    ] = None,
    scope: ScopeOption = None,
    operator: OperatorOption = None,
    layers: LayersOption = None,
    gate: Annotated[
        list[str] | None,
        typer.Option(help="says:WORDS, end, prompt:WORDS, probe:FILE, not:...; all must be open."),
    ] = None,
    instruction: Annotated[
        str, typer.Option(help='Put before every prompt instead: "Always answer no."')
    ] = "",
    tuned: Annotated[
        str | None, typer.Option(help="A fine-tuned model, or an adapter, to compare with.")
    ] = None,
    off_target: Annotated[
        list[str] | None,
        typer.Option(help="DATA or DATA:TASK whose answers must stay right; repeatable."),
    ] = None,
    controls: Annotated[
        int | None, typer.Option(help="Random directions beside the vector; 3 unless given.")
    ] = None,
    fluency: Annotated[
        bool, typer.Option("--fluency/--no-fluency", help="Measure whether answers are language.")
    ] = True,
    prompt: Annotated[str | None, typer.Option(help="Asked about every picture.")] = None,
    n: Annotated[int, typer.Option("--n", "-n", help="Samples of each data set, at most.")] = 200,
    where: WhereOption = None,
    columns: ColumnsOption = "",
    seed: Annotated[int, typer.Option(help="Of samples and random directions.")] = 0,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the result goes.")] = Path(
        "runs/evaluate"
    ),
    batch_size: Annotated[int, typer.Option(help="Samples at once.")] = 32,
    adapter: Annotated[str | None, typer.Option(help="Steer the model with this adapter.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:0, mps.")] = None,
    dtype: Annotated[
        str | None, typer.Option(help="Of the weights: float32, bfloat16, float16.")
    ] = None,
    no_images: NoImages = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print evaluation.json instead of tables.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it would cost, and stop.")
    ] = False,
) -> None:
    """Measure what steering does and what it costs, beside the same said in words or trained.

    Give data that the vector was not fitted on: another --seed of world data draws other pictures.

    Example: shiftlens evaluate world:base world:yesno --set source=yes --set target=no -v runs/best
    """
    # These find mistakes before anything is read or loaded.
    given: dict[str, Any] = {
        "strength": 1.0 if strength is None else strength,
        "scope": scope,
        "operator": operator,
        "layers": typed_layers(layers),
        "gates": gate or (),
    }
    _check(n, controls, vector, instruction, tuned)
    if not vector:
        _require_no_settings(strength, scope, operator, layers, gate, controls)
    n_controls = _CONTROLS if controls is None else controls
    judged = _tasks(data, task, settings or (), off_target or ())
    rows = rows_option(where, columns)
    if dry_run:
        from shiftlens.cli.evaluate_summary import print_cost

        arms = [bool(vector), bool(instruction.strip()), tuned is not None]
        told = _cost([one for *_, one in judged], n, arms, n_controls, fluency, batch_size)
        print_cost(told, as_json=as_json)
        return
    from shiftlens.cli.diff_inputs import samples_of
    from shiftlens.steering.evaluating import Trial
    from shiftlens.steering.evaluating import evaluate as run
    from shiftlens.steering.reading import read_interventions, require_files

    if vector:
        require_files(vector, **given)
    # What is asked of one table need not be true of the others.
    first = partial(samples_of, prompt=prompt, rows=rows)
    others = partial(samples_of, prompt=None)
    trials = [
        Trial(name, one, (others if at else first)(source, out, n, seed))
        for at, (name, source, one) in enumerate(judged)
    ]
    if no_images:  # a folder's name is a name too
        trials = [
            replace(one, name=f"data {at}", samples=as_named(one.samples, no_images))
            for at, one in enumerate(trials, start=1)
        ]
    loaded, other = _load(model, tuned, adapter, device, dtype)
    wanted = read_interventions(loaded, vector, **given) if vector else []
    found = run(
        loaded,
        trials,
        _arms(wanted, instruction, other),
        controls=n_controls,
        fluency=fluency,
        batch_size=batch_size,
        seed=seed,
        progress=progress(quiet=quiet or as_json),
    )
    found.save(out / RESULT)
    from shiftlens.reporting.evaluation_page import write_evaluation_page

    page = write_evaluation_page(found.to_dict(), out / PAGE)
    if as_json:
        print_json(found.to_dict())
    elif not quiet:
        from shiftlens.cli.evaluate_summary import print_evaluation

        print_evaluation(found, out / RESULT, page)


def _check(
    n: int, controls: int | None, vector: Sequence[Path] | None, instruction: str, tuned: str | None
) -> None:
    if n < 1:
        raise typer.BadParameter("at least one sample", param_hint="--n")
    if controls is not None and controls < 0:
        raise typer.BadParameter("0 or more random directions", param_hint="--controls")
    if not (vector or instruction.strip() or tuned):
        raise typer.BadParameter(
            "nothing to evaluate: a vector, an instruction, or a fine-tuned model",
            param_hint="--vector, --instruction, --tuned",
        )


def _require_no_settings(*given: object) -> None:
    """Refuse options that say how a vector acts or is compared, where there is none."""
    names = ("--strength", "--scope", "--operator", "--layers", "--gate", "--controls")
    for name, value in zip(names, given, strict=True):
        if value is not None:
            raise typer.BadParameter(
                "it is about a vector, and there is none: name one with --vector",
                param_hint=name,
            )


def _tasks(
    data: str, task: str, settings: Sequence[str], off_target: Sequence[str]
) -> "list[tuple[str, str, Task]]":
    """Names, data and tasks of all trials, the target's first."""
    from shiftlens.steering.tasks.registry import make_task

    asked = [(data, task), *map(_split, off_target)]
    first = make_task(task, dict(setting(one) for one in settings))
    made = [first, *(make_task(name, {}) for _, name in asked[1:])]
    names = [name for name, _ in named_sources([source for source, _ in asked])]
    return [(n, source, one) for n, (source, _), one in zip(names, asked, made, strict=True)]


def _split(text: str) -> tuple[str, str]:
    """Data and task of ``DATA[:TASK]``; the part behind the colon may belong to the data."""
    from importlib import import_module

    from shiftlens.data.sources import is_provided
    from shiftlens.steering.tasks.registry import tasks

    import_module("shiftlens.steering.tasks")
    source, _, task = text.rpartition(":")
    if source and task in tasks.names() and not (":" not in source and is_provided(text)):
        return source, task
    return text, _BESIDE


def _load(
    model: str, tuned: str | None, adapter: str | None, device: str | None, dtype: str | None
) -> "tuple[Model, Model | None]":
    """Who is steered, and the fine-tuned model beside it, on one copy of the weights if it can."""
    if tuned is None:
        from shiftlens.models.loading import load_model

        return load_model(model, adapter=adapter, device=device, dtype=dtype), None
    from shiftlens.models.loading import load_pair

    return load_pair(model, tuned, device=device, dtype=dtype, base_adapter=adapter)


def _arms(wanted: "Sequence[Intervention]", instruction: str, tuned: "Model | None") -> "list[Arm]":
    from shiftlens.steering.arms import Arm

    found: list[Arm] = []
    if wanted:
        found.append(Arm("steered", tuple(wanted)))
    if instruction.strip():
        found.append(Arm("instruction", instruction=instruction.strip()))
    if tuned is not None:
        found.append(Arm("tuned", model=tuned))
    return found


def _cost(
    tasks: "Sequence[Task]",
    n: int,
    arms: Sequence[bool],
    controls: int,
    fluency: bool,
    batch_size: int,
) -> dict[str, Any]:
    """What it costs at most: answers to generate, and forward passes for them and to read them."""
    runs = 1 + sum(arms)
    asked = runs + (controls if arms[0] else 0)
    batches = -(-n // batch_size)
    steps = sum(one.max_new_tokens for one in tasks)
    return {
        "trials": len(tasks),
        "samples": n,
        "answers": n * len(tasks) * asked,
        "passes": batches * (asked * steps + (runs * len(tasks) if fluency else 0)),
    }
