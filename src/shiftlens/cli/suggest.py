"""``shiftlens suggest``: which words and layers are worth looking at, from a small sample."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shiftlens.cli.data_options import ColumnsOption, Rows, WhereOption, rows_option
from shiftlens.cli.no_images import NoImages, as_named
from shiftlens.cli.terminal import console, print_json, progress

if TYPE_CHECKING:
    from shiftlens.data.sample import Samples

_DOCUMENT = "suggestion.json"


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("suggest")(suggest)


def suggest(
    model: Annotated[str, typer.Argument(help="Who is asked: a directory or an id.")],
    data: Annotated[
        str, typer.Argument(help="What it is asked: a folder, a .jsonl, or world:captions.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the numbers go.")] = Path(
        "runs/suggest"
    ),
    samples: Annotated[
        int, typer.Option("--samples", "-n", help="How many samples it is asked.")
    ] = 64,
    tuned: Annotated[
        str | None, typer.Option(help="Its fine-tune, for the command that comes next.")
    ] = None,
    adapter: Annotated[
        str | None, typer.Option(help="Ask the model with this adapter instead.")
    ] = None,
    layers: Annotated[
        str, typer.Option(help="Blocks to look at: 0,4,-1; eight of them otherwise.")
    ] = "",
    k: Annotated[int, typer.Option("--k", help="Concepts that are learned at the word.")] = 4,
    n_words: Annotated[int, typer.Option("--n-words", help="Words that are told.")] = 10,
    words: Annotated[
        str, typer.Option(help="Words of interest: yes,no; the words of content otherwise.")
    ] = "",
    prompt: Annotated[str | None, typer.Option(help="Asked about every picture.")] = None,
    where: WhereOption = None,
    columns: ColumnsOption = "",
    seed: Annotated[int, typer.Option(help="Of the samples, halves and learner.")] = 0,
    max_new_tokens: Annotated[int, typer.Option(help="Where an answer is cut off.")] = 64,
    batch_size: Annotated[int, typer.Option(help="Samples at once.")] = 32,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:0, mps.")] = None,
    dtype: Annotated[
        str | None, typer.Option(help="Of the weights: float32, bfloat16, float16.")
    ] = None,
    no_images: NoImages = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print suggestion.json instead of the tables.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it would cost, and stop.")
    ] = False,
) -> None:
    """Say which words and layers are worth looking at: what is said often enough, and read where.

    The model answers a few samples. Words of content are counted; at each layer it is told how
    often the state before a word reads that word out, and how well concepts that are learned on one
    half of the samples describe the other.

    Example: shiftlens suggest world:base world:captions --tuned world:places
    """
    if samples < 1 or n_words < 1 or k < 2:
        raise typer.BadParameter(
            "at least one sample, one word and two concepts", param_hint="--samples, --n-words, --k"
        )
    blocks = _blocks(layers)
    if dry_run:
        _print_cost(samples, max_new_tokens, batch_size, as_json=as_json)
        return
    from shiftlens.cli.suggest_next import next_command
    from shiftlens.cli.suggest_page import print_suggestion
    from shiftlens.core.manifest import write_json
    from shiftlens.models.loading import load_model
    from shiftlens.study.suggesting import suggest as run

    rows = rows_option(where, columns)
    asked, available = _samples(data, out, samples, seed, prompt, rows)
    asked = as_named(asked, no_images)
    found = run(
        load_model(model, adapter=adapter, device=device, dtype=dtype),
        asked,
        n=samples,
        seed=seed,
        available=available,
        n_words=n_words,
        words=[one.strip() for one in words.split(",") if one.strip()],
        layers=blocks,
        k=k,
        max_new_tokens=max_new_tokens,
        batch_size=batch_size,
        progress=progress(quiet=quiet or as_json),
    )
    called = "DATA" if no_images else data  # a folder's name is a name too
    command = next_command(
        found, model, tuned or adapter, called, prompt=prompt, max_new_tokens=max_new_tokens
    )
    document = {**found.to_dict(), "data": called, "seed": seed, "next": command}
    write_json(out / _DOCUMENT, document)
    if as_json:
        print_json(document)
    elif not quiet:
        print_suggestion(found, data, command, out / _DOCUMENT)


def _blocks(layers: str) -> list[int] | None:
    try:
        return [int(one) for one in layers.split(",")] if layers.strip() else None
    except ValueError as error:
        raise typer.BadParameter(
            f"{layers!r} are no numbers of blocks: 0,4,-1", param_hint="--layers"
        ) from error


def _samples(
    data: str, out: Path, n: int, seed: int, prompt: str | None, rows: Rows
) -> tuple["Samples", int | None]:
    """What may be asked, and how many samples a comparison could ask, where that is not the same.

    Collections of a package are drawn: as many as are asked here, and more for a comparison.
    """
    from shiftlens.cli.diff_inputs import DRAWN, samples_of
    from shiftlens.data.sources import is_provided

    if is_provided(data):
        return samples_of(data, out, n, seed, prompt, rows), DRAWN
    return samples_of(data, out, None, seed, prompt, rows), None


def _print_cost(samples: int, max_new_tokens: int, batch_size: int, *, as_json: bool) -> None:
    batches = -(-samples // batch_size)
    cost: dict[str, Any] = {
        "samples": samples,
        "answers": samples,
        "passes": batches * (max_new_tokens + 1),
    }
    if as_json:
        print_json(cost)
        return
    console().print(
        f"{samples} samples, {samples} answers to generate\n"
        f"at most {cost['passes']} forward passes",
        markup=False,
    )
