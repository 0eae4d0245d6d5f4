"""``shiftlens diff``: what a fine-tune changed, in one terminal page and one report."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shiftlens.cli.data_options import ColumnsOption, Rows, WhereOption, rows_option
from shiftlens.cli.no_images import NoImages
from shiftlens.cli.terminal import console, print_json, progress

if TYPE_CHECKING:
    from shiftlens.core.progress import Progress
    from shiftlens.data.sample import Samples
    from shiftlens.study.diff.settings import DiffSettings

_REPORT, _DOCUMENT = "report.html", "diff.json"


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("diff")(diff)


def diff(
    base: Annotated[str, typer.Argument(help="The original model: a directory or an id.")],
    tuned: Annotated[str, typer.Argument(help="Its fine-tune: an adapter or a full model.")],
    data: Annotated[
        str, typer.Argument(help="What both are asked: a folder, a .jsonl, or world:captions.")
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Where results, stores and the report go.")
    ] = Path("runs/diff"),
    placebo: Annotated[
        list[str] | None,
        typer.Option(help="A fine-tune that teaches nothing, or a directory of them; repeatable."),
    ] = None,
    margin: Annotated[
        float | None, typer.Option(help="Spreads that count as nothing, without placebos.")
    ] = None,
    words: Annotated[
        str, typer.Option(help="Look at these words: man,woman; chosen for you otherwise.")
    ] = "",
    layer: Annotated[int, typer.Option(help="The block that is judged; -1 is the last.")] = -1,
    k: Annotated[
        int | None, typer.Option("--k", help="How many concepts; chosen for you otherwise.")
    ] = None,
    topic: Annotated[
        str, typer.Option(help="Words of the fine-tune's topic: beach,sand; for 'refined'.")
    ] = "",
    stop_words: Annotated[str, typer.Option(help="Words that are never listed: a,the.")] = "",
    prompt: Annotated[str | None, typer.Option(help="Asked about every picture.")] = None,
    n: Annotated[
        int | None,
        typer.Option("--n", "-n", help="How many samples; all of them, or 1500 of the world."),
    ] = None,
    where: WhereOption = None,
    columns: ColumnsOption = "",
    seed: Annotated[int, typer.Option(help="Of samples, cuts, learners and refits.")] = 0,
    draws: Annotated[int, typer.Option(help="Refits behind the intervals; 20 or more.")] = 200,
    max_new_tokens: Annotated[int, typer.Option(help="Where an answer is cut off.")] = 64,
    batch_size: Annotated[int, typer.Option(help="Samples at once.")] = 32,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:0, mps.")] = None,
    dtype: Annotated[
        str | None, typer.Option(help="Of the weights: float32, bfloat16, float16.")
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(help="A difference of the pair that is meant, by name; repeatable."),
    ] = None,
    no_images: NoImages = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print diff.json instead of the page.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it would cost, and stop.")
    ] = False,
) -> None:
    """Say what a fine-tune changed: which answers, which concepts, and how sure that is.

    No word list is needed. Verdicts need to know what counts as nothing: placebos, which the verb
    placebo trains, or a margin. A run that was interrupted goes on where it stopped; a finished one
    is read back.

    Example: shiftlens diff world:base world:places world:captions --margin 0.5 --words person
    """
    from shiftlens.cli.diff_inputs import placebo_paths
    from shiftlens.study.diff.settings import DiffSettings

    if placebo and margin is not None:
        raise typer.BadParameter(
            "placebos and a margin both say what counts as nothing: give one of them",
            param_hint="--margin",
        )
    settings = DiffSettings(
        words=_listed(words),
        layer=layer,
        k=k,
        margin=margin,
        topic=_listed(topic),
        stop_words=_listed(stop_words),
        draws=draws,
        max_new_tokens=max_new_tokens,
        batch_size=batch_size,
        images=not no_images,
        seed=seed,
    )
    models = [base, tuned, *placebo_paths(placebo or ())]
    rows = rows_option(where, columns)
    if dry_run:
        _print_cost(_cost(models, data, n, seed, prompt, rows, settings), as_json=as_json)
        return
    from shiftlens.cli.diff_inputs import samples_of

    listener = progress(quiet=quiet or as_json)
    samples = samples_of(data, out, n, seed, prompt, rows)
    loading = {"device": device, "dtype": dtype, "allow": sorted(allow or ())}
    document, note = _document(models, samples, out, settings, loading, listener)
    _write_report(document, out)
    if as_json:
        print_json(document)
    elif not quiet:
        from shiftlens.cli.diff_page import print_diff

        print_diff(document, out / _REPORT, note)


def _document(
    models: Sequence[str],
    samples: "Samples",
    out: Path,
    settings: "DiffSettings",
    loading: dict[str, Any],
    listener: "Progress",
) -> tuple[dict[str, Any], str]:
    """The document, and what of it an earlier run had done already."""
    from shiftlens.cli.diff_inputs import finish, finished, inputs_key

    key = inputs_key(models, samples, settings, loading)
    found = finished(out, key)
    if found is not None:
        return found, f"read back: this was run here before; remove {_DOCUMENT} to run it again"
    begun = (out / "answers").is_dir()
    document = _compute(models, samples, out, settings, loading, listener)
    finish(out, key)
    took = f"took {document['seconds']:.0f} s" if "seconds" in document else "done"
    again = "; answers and states that lay here were used again, all else was computed"
    return document, took + (again if begun else "")


def _compute(
    models: Sequence[str],
    samples: "Samples",
    out: Path,
    settings: "DiffSettings",
    loading: dict[str, Any],
    listener: "Progress",
) -> dict[str, Any]:
    from shiftlens.models.variants import load_variants
    from shiftlens.study.diff.running import diff as run_diff

    base, tuned, *placebos = models
    labels = ["tuned", *(f"placebo-{number}" for number in range(len(placebos)))]
    loaded = load_variants(base, [tuned, *placebos], labels=labels, **loading)
    try:
        return run_diff(
            loaded[0],
            loaded[1],
            samples,
            out,
            placebos=loaded[2:],
            settings=settings,
            progress=listener,
        ).document
    finally:
        listener.stop()


def _write_report(document: dict[str, Any], out: Path) -> None:
    from shiftlens.reporting.html import write_report

    write_report(document, out / _REPORT)


def _cost(
    models: Sequence[str],
    data: str,
    n: int | None,
    seed: int,
    prompt: str | None,
    rows: Rows,
    settings: "DiffSettings",
) -> dict[str, Any]:
    """What it would cost; a collection is not drawn for that, but for one sample that proves it."""
    import tempfile

    from shiftlens.cli.diff_inputs import DRAWN, cost, samples_of
    from shiftlens.data.sources import is_provided

    with tempfile.TemporaryDirectory() as folder:
        drawn = is_provided(data)
        samples = samples_of(data, Path(folder), 1 if drawn else n, seed, prompt, rows)
    if drawn:
        asked = pictures = DRAWN if n is None else n
    else:
        asked, pictures = len(samples), len({one.images for one in samples if one.images})
    return cost(models[0], asked, pictures, len(models) - 2, settings)


def _listed(text: str) -> tuple[str, ...]:
    """Words between commas, without blanks and without empty ones."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _print_cost(cost: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(cost)
        return
    size = "unknown: the model is not here" if cost["bytes"] is None else _size(cost["bytes"])
    lines = [
        f"{cost['samples']} samples of {cost['pictures']} pictures",
        f"{cost['answers']} answers to generate, at most {cost['answers_steered']} steered ones",
        f"{cost['passes']} further passes over the samples, text given",
        f"{cost['rows']} rows of states or so, of up to {cost['layers']} layers",
        f"on disk: {size}",
        f"{cost['refits']} refits",
    ]
    for line in lines:
        console().print(line, markup=False)


def _size(n: int) -> str:
    return f"{n / 1e9:.1f} GB or so" if n >= 1e9 else f"{n / 1e6:.1f} MB or so"
