"""``shiftlens world``: train the embedded world's models, or draw its samples."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from shiftlens.cli.terminal import console, print_json, progress

_Json = Annotated[bool, typer.Option("--json", help="Print where it was written.")]
_Quiet = Annotated[bool, typer.Option("--quiet", help="Print errors only.")]


def register(app: typer.Typer) -> None:
    """Add the verb and its two commands to the command line."""
    world = typer.Typer(
        help="The embedded picture world.",
        short_help="Draw pictures of the embedded world, or train its models",
        no_args_is_help=True,
    )
    world.command("train")(train)
    world.command("draw")(draw)
    app.add_typer(world, name="world")


def train(
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the models go.")] = Path(
        "src/shiftlens/world/models"
    ),
    checkpoints: Annotated[
        Path, typer.Option(help="Where unfinished stages are kept; resumed from there.")
    ] = Path("world-training"),
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    seed: Annotated[int, typer.Option(help="Of weights, pictures and batches.")] = 0,
    scale: Annotated[float, typer.Option(help="Of pictures and steps; 0.01 for a trial.")] = 1.0,
    as_json: _Json = False,
    quiet: _Quiet = False,
) -> None:
    """Train vision, base model, adapters and judge from nothing.

    Example: shiftlens world train --scale 0.01 --out /tmp/world
    """
    from shiftlens.world.training.running import train as train_world

    logging.basicConfig(
        level=logging.WARNING if quiet or as_json else logging.INFO, format="%(message)s"
    )
    train_world(
        out,
        checkpoints=checkpoints,
        device=device,
        seed=seed,
        scale=scale,
        progress=progress(quiet=quiet or as_json),
    )
    if as_json:
        print_json({"models": str(out)})
    elif not quiet:
        console().print(f"models written to {out}", markup=False, soft_wrap=True)


def draw(
    collection: Annotated[str, typer.Argument(help="people, horse, captions, requests, ...")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to write.")],
    n: Annotated[int, typer.Option("-n", help="How many samples.")] = 100,
    seed: Annotated[int, typer.Option(help="Which ones.")] = 0,
    split: Annotated[str, typer.Option(help="train, held_out or combinations.")] = "held_out",
    as_json: _Json = False,
    quiet: _Quiet = False,
) -> None:
    """Write pictures and a data.jsonl that every other verb can read.

    Example: shiftlens world draw people -n 20 -o photos
    """
    from shiftlens.world.source import materialise

    written = materialise(collection, out, n=n, seed=seed, split=split)
    if as_json:
        print_json({"data": str(written), "samples": n})
    elif not quiet:
        # In one piece, however narrow the terminal: it is copied, or read by another program.
        console().print(str(written), markup=False, soft_wrap=True)
