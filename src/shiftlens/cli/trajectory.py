"""``shiftlens trajectory``: concepts along checkpoints, or along the scale of one adapter."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shiftlens.cli.data_options import ColumnsOption, WhereOption, rows_option
from shiftlens.cli.no_images import NoImages, as_named
from shiftlens.cli.terminal import console, print_json, progress

if TYPE_CHECKING:
    from shiftlens.shift.trajectory import Step

PAGE = "report.html"
_DRAWN = 600  # samples of a package's collection, unless another number is named
_SCALES = "0,.1,.2,.5,1"


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("trajectory")(trajectory)


def trajectory(
    base: Annotated[str, typer.Argument(help="The original model: a directory or an id.")],
    tuned: Annotated[
        list[str], typer.Argument(help="One adapter, or the checkpoints of a training in order.")
    ],
    data: Annotated[
        str, typer.Argument(help="What the base is asked: a folder, a .jsonl, or world:captions.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where results and states go.")] = Path(
        "runs/trajectory"
    ),
    scales: Annotated[
        str | None,
        typer.Option(help=f"Of the one adapter, from 0 to 1; {_SCALES} unless named."),
    ] = None,
    words: Annotated[
        str, typer.Option(help="Where one of these is said: man,woman; else the last prompt token.")
    ] = "",
    layer: Annotated[int, typer.Option(help="The block that is followed; -1 is the last.")] = -1,
    k: Annotated[int, typer.Option("--k", help="How many concepts.")] = 8,
    placebo: Annotated[
        list[str] | None,
        typer.Option(help="A fine-tune that teaches nothing, or a directory of them; repeatable."),
    ] = None,
    margin: Annotated[
        float | None, typer.Option(help="Spreads that count as nothing, without placebos.")
    ] = None,
    answers: Annotated[
        bool, typer.Option("--answers", help="Let every step answer too: which answers differ.")
    ] = False,
    prompt: Annotated[str | None, typer.Option(help="Asked about every picture.")] = None,
    n: Annotated[
        int | None,
        typer.Option("--n", "-n", help=f"How many samples; all, or {_DRAWN} of the world."),
    ] = None,
    where: WhereOption = None,
    columns: ColumnsOption = "",
    seed: Annotated[int, typer.Option(help="Of samples, the cut, learners and refits.")] = 0,
    draws: Annotated[int, typer.Option(help="Refits behind the intervals.")] = 200,
    max_new_tokens: Annotated[int, typer.Option(help="Where an answer is cut off.")] = 64,
    batch_size: Annotated[int, typer.Option(help="Samples at once.")] = 32,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:0, mps.")] = None,
    dtype: Annotated[
        str | None, typer.Option(help="Of the weights: float32, bfloat16, float16.")
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(help="A difference from the base that is meant, by name; repeatable."),
    ] = None,
    no_images: NoImages = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print trajectory.json instead of the table.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it would cost, and stop.")
    ] = False,
) -> None:
    """Follow the base's concepts along a training: how far each has drifted, and from when on.

    With one adapter, its scale goes from 0 to 1; with several checkpoints, steps are the numbers at
    the end of their names (checkpoint-500), or 1, 2, 3 where they have none.

    Example: shiftlens trajectory world:base world:places world:dog --margin .3 --words dog
    """
    from shiftlens.cli.diff_inputs import placebo_paths, samples_of

    _check(tuned, scales, placebo, margin)
    placebos = placebo_paths(placebo or ())
    values = _numbers(scales or _SCALES) if len(tuned) == 1 else step_numbers(tuned)
    drawn, rows = _drawn(data, n), rows_option(where, columns)
    if dry_run:
        asked = drawn or len(samples_of(data, out, n, seed, prompt, rows))
        _print_cost(asked, len(values), len(placebos), draws, answers, as_json=as_json)
        return
    samples = samples_of(data, out, drawn or n, seed, prompt, rows)
    samples = as_named(samples, no_images)
    from shiftlens.activations.site import Site
    from shiftlens.activations.tokens import last_prompt, word
    from shiftlens.cli.trajectory_page import print_trajectory
    from shiftlens.concepts.learners.kmeans import KMeans
    from shiftlens.models.variants import load_variants
    from shiftlens.shift.margins import Margins
    from shiftlens.shift.trajectory import trajectory as follow

    named = tuple(one.strip() for one in words.split(",") if one.strip())
    labels = [
        *(f"tuned-{i}" for i in range(len(tuned))),
        *(f"null-{i}" for i in range(len(placebos))),
    ]
    first, *others = load_variants(
        base,
        [*tuned, *placebos],
        labels=labels,
        device=device,
        dtype=dtype,
        allow=tuple(allow or ()),
    )
    found = follow(
        first,
        _steps(others[: len(tuned)], values),
        samples,
        Site(layer, word(*named) if named else last_prompt()),
        out,
        learner=KMeans(k=k, seed=seed),
        margins=None if margin is None else Margins.named(margin),
        placebos=others[len(tuned) :],
        answers=answers,
        max_new_tokens=max_new_tokens,
        batch_size=batch_size,
        seed=seed,
        draws=draws,
        progress=progress(quiet=quiet or as_json),
    )
    from shiftlens.reporting.trajectory_page import write_trajectory_page

    page = write_trajectory_page(found.to_dict(), out / PAGE)
    if as_json:
        print_json(found.to_dict())
    elif not quiet:
        print_trajectory(found, out, page)


def step_numbers(names: Sequence[str]) -> list[float]:
    """Training steps of checkpoints: the numbers that end their names, or their places from 1.

    Args:
        names: directories or ids, in the order of the training.
    """
    found = [re.search(r"(\d+)$", name.rstrip("/\\")) for name in names]
    if all(found):
        return [float(one[1]) for one in found if one is not None]
    return [float(place) for place in range(1, len(names) + 1)]


def _check(
    tuned: Sequence[str], scales: str | None, placebo: Sequence[str] | None, margin: float | None
) -> None:
    if scales is not None and len(tuned) > 1:
        raise typer.BadParameter(
            "scales are of one adapter: give one, or follow the checkpoints without scales",
            param_hint="--scales",
        )
    if placebo and margin is not None:
        raise typer.BadParameter(
            "placebos and a margin both say what counts as nothing: give one of them",
            param_hint="--margin",
        )


def _numbers(text: str) -> list[float]:
    try:
        return [float(one) for one in text.split(",") if one.strip()]
    except ValueError as error:
        raise typer.BadParameter(
            f"{text!r} is no list of numbers, such as {_SCALES}", param_hint="--scales"
        ) from error


def _steps(models: Sequence[Any], values: Sequence[float]) -> "list[Step]":
    from shiftlens.shift.trajectory import scales

    if len(models) == 1:
        return scales(models[0], values)
    return list(zip(values, models, strict=True))


def _drawn(data: str, n: int | None) -> int | None:
    """How many samples a package is asked for; ``None`` where the data lie here."""
    from shiftlens.data.sources import is_provided

    if not is_provided(data):
        return None
    return _DRAWN if n is None else n


def _print_cost(
    samples: int, steps: int, placebos: int, draws: int, answers: bool, *, as_json: bool
) -> None:
    cost = {
        "samples": samples,
        "steps": steps,
        "answers": samples * (1 + steps * answers),
        "passes": 1 + steps + placebos,
        "rows": samples * (1 + steps + placebos),
        "refits": draws,
    }
    if as_json:
        print_json(cost)
        return
    console().print(
        f"{samples} samples at {steps} steps\n"
        f"{cost['answers']} answers to generate, then {cost['passes']} passes over the samples\n"
        f"{cost['rows']} rows of states at most\n"
        f"{draws} refits",
        markup=False,
    )
