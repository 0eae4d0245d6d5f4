"""``shiftlens placebo``: train adapters that teach nothing, the null of every verdict."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shiftlens.cli.data_options import ColumnsOption, Rows, WhereOption, rows_option
from shiftlens.cli.terminal import console, print_json, progress, table

if TYPE_CHECKING:
    from shiftlens.data.sample import Samples

_PROVIDED = 1000  # samples that a package is asked for


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("placebo")(placebo)


def placebo(
    base: Annotated[str, typer.Argument(help="The original model: a directory or an id.")],
    data: Annotated[
        str, typer.Argument(help="What it is asked: a folder, a .jsonl file, or world:captions.")
    ],
    like: Annotated[str, typer.Option("--like", help="The adapter whose PEFT recipe is copied.")],
    rate: Annotated[
        float, typer.Option("--rate", help="Highest learning rate: that of your fine-tune.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the adapters go.")] = Path(
        "placebos"
    ),
    seeds: Annotated[int, typer.Option(help="How many placebos; 5 or more make a null.")] = 5,
    steps: Annotated[int, typer.Option(help="Of training: as many as your fine-tune had.")] = 240,
    batch_size: Annotated[int, typer.Option(help="Responses in a step.")] = 32,
    n: Annotated[
        int | None,
        typer.Option("--n", "-n", help="How many samples; all of them, or 1000 of the world."),
    ] = None,
    where: WhereOption = None,
    columns: ColumnsOption = "",
    data_seed: Annotated[int, typer.Option(help="Which n samples are chosen or drawn.")] = 0,
    responses: Annotated[int, typer.Option(help="Drawn for each sample.")] = 4,
    averaging: Annotated[
        float, typer.Option(help="Share that a running average of the weights keeps; 0 for none.")
    ] = 0.0,
    prompt: Annotated[str | None, typer.Option(help="Asked about every picture.")] = None,
    max_new_tokens: Annotated[int, typer.Option(help="Where a response is cut off.")] = 64,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:0, mps.")] = None,
    dtype: Annotated[
        str | None, typer.Option(help="Of the base: float32, bfloat16, float16.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it would cost, and stop.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the placebos' cards instead of a table.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
) -> None:
    """Train adapters that teach nothing: what any fine-tune of this recipe changes.

    Each is trained on responses that the base itself says by chance. Steps, rate, batch size and
    amount of data do not stand in an adapter: give those of your fine-tune. Finished placebos are
    kept when the command is repeated.

    Example: shiftlens placebo world:base world:captions --like world:places --rate 4e-3 -o placebos
    """
    from shiftlens.models.placebos import CARD, cost, train_placebos

    if seeds < 1:
        raise typer.BadParameter("at least one placebo", param_hint="--seeds")
    amount: dict[str, Any] = {
        "like": like,
        "seeds": range(seeds),
        "steps": steps,
        "batch_size": batch_size,
        "n_responses": responses,
    }
    rows = rows_option(where, columns)
    # Finds mistakes before a model is loaded.
    told = cost(_count(data, n, data_seed, prompt, rows), out, **amount)
    if dry_run:
        _print_cost(told, as_json=as_json)
        return
    from shiftlens.models.loading import load_model

    samples = _samples(data, out, n, data_seed, prompt, rows)
    made = train_placebos(
        load_model(base, device=device, dtype=dtype),
        samples,
        out,
        **amount,
        rate=rate,
        averaging=averaging,
        max_new_tokens=max_new_tokens,
        progress=progress(quiet=quiet or as_json),
    )
    cards = [
        {"path": str(path), **json.loads((path / CARD).read_text(encoding="utf-8"))}
        for path in made
    ]
    if as_json:
        print_json({"placebos": cards})
    elif not quiet:
        _print_cards(cards)


def _samples(
    source: str, out: Path, n: int | None, seed: int, prompt: str | None, rows: Rows
) -> "Samples":
    """The samples of a folder, of a file, or of a package, which are written on first use."""
    from shiftlens.cli.diff_inputs import samples_of
    from shiftlens.data.sources import is_provided

    wanted = _PROVIDED if n is None and is_provided(source) else n
    return samples_of(source, out, wanted, seed, prompt, rows)


def _count(source: str, n: int | None, seed: int, prompt: str | None, rows: Rows) -> int:
    """How many samples there will be; nothing is left behind."""
    import tempfile

    from shiftlens.data.sources import is_provided

    if n == 0 or (is_provided(source) and not rows.where):
        return _PROVIDED if n is None else n
    with tempfile.TemporaryDirectory() as folder:
        return len(_samples(source, Path(folder), n, seed, prompt, rows))


def _print_cost(cost: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(cost)
        return
    size = "unknown" if cost["bytes"] is None else f"{cost['bytes'] / 1e6:.1f} MB"
    console().print(
        f"{cost['missing']} of {cost['placebos']} placebos to train, on {cost['samples']} samples\n"
        f"each: {cost['responses']} responses drawn, then {cost['steps']} steps of "
        f"{cost['batch_size']} responses\n"
        f"on disk: {size}",
        markup=False,
    )


def _print_cards(cards: list[dict[str, Any]]) -> None:
    lines = [
        (
            Path(card["path"]).name,
            str(card["drawn"]["responses"]),
            str(card["drawn"]["truncated"]),
            f"{card['first_loss']:.3f}",
            f"{card['last_loss']:.3f}",
        )
        for card in cards
    ]
    columns = ("placebo", "responses", "cut off", "first loss", "last loss")
    console().print(f"in {Path(cards[0]['path']).parent}", markup=False, soft_wrap=True)
    console().print(table("", columns, lines))
    console().print(
        "losses are nats a token; both are the base's own entropy, give or take what is learned by "
        "heart",
        soft_wrap=True,
    )
