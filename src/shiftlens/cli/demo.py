"""``shiftlens demo``: the whole pipeline on the embedded world, ending in a report."""

from pathlib import Path
from typing import Annotated

import typer

from shiftlens.cli.run import run_experiment


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("demo")(demo)


def demo(
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Where results, stores and the report go.")
    ] = Path("demo"),
    as_json: Annotated[
        bool, typer.Option("--json", help="Print metrics.json instead of the summary.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
) -> None:
    """Show the whole pipeline on the embedded picture world: no data, no downloads, two minutes.

    A small multimodal LLM that was trained on drawn scenes is compared with its fine-tune for
    places, then steered in four ways. The result is demo/report.html and demo/metrics.json.

    Example: shiftlens demo
    """
    from importlib.resources import as_file, files

    # A path into the package, not an import of the world: the demo is an ordinary experiment.
    with as_file(files("shiftlens") / "world" / "demo.toml") as experiment:
        run_experiment(experiment, out, as_json=as_json, quiet=quiet)
