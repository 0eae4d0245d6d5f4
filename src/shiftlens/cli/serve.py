"""``shiftlens serve``: the playground of a run, in a browser on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from shiftlens.cli.terminal import console, print_json


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("serve")(serve)


def serve(
    run: Annotated[Path, typer.Argument(help="The run's directory, or one above several runs.")],
    model: Annotated[
        str | None,
        typer.Option(help="Who is steered: a directory, an id, world:base; the run's own."),
    ] = None,
    adapter: Annotated[str | None, typer.Option(help="An adapter of the model.")] = None,
    port: Annotated[int, typer.Option(help="Where to listen.")] = 7860,
    host: Annotated[
        str, typer.Option(help="Another address than this machine's own needs --token.")
    ] = "127.0.0.1",
    token: Annotated[
        str | None,
        typer.Option(
            help="A secret that visitors must know.", envvar="SHIFTLENS_TOKEN", show_envvar=True
        ),
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:0, mps.")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32, bfloat16, float16.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the address as JSON, once it listens.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
) -> None:
    """Look at what a run found, and steer with it, in a browser: nothing leaves this machine.

    Stop it with Ctrl-C.

    Example: shiftlens serve runs/experiment --model world:base
    """
    from shiftlens.playground.serving import Address, prepare
    from shiftlens.playground.serving import serve as serving

    address = Address(host, port, token)
    shown = prepare(run, model=model, adapter=adapter, device=device, dtype=dtype)
    screen, damaged = console(), shown.library.found.damaged
    for one in () if quiet or as_json else damaged:
        screen.print(f"left out: {one.path}: {one.why}", markup=False, soft_wrap=True)
    for one in () if quiet or as_json else shown.library.found.unfinished:
        screen.print(f"not finished: {one.path}: {one.why}", markup=False, soft_wrap=True)

    def ready(url: str) -> None:
        if as_json:
            left_out = [{"path": str(one.path), "why": one.why} for one in damaged]
            print_json({"url": url, "left_out": left_out})
        if as_json or quiet:
            return
        secret = f" (it asks for the token; or open {url}?token=...)" if token else ""
        screen.print(f"open {url}{secret}", markup=False, soft_wrap=True)
        screen.print("stop with Ctrl-C", style="dim")

    serving(shown, address, ready=ready)
