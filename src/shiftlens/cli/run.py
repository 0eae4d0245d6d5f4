"""``shiftlens run``: all stages from one experiment file."""

import json
from pathlib import Path
from typing import Annotated

import typer

from shiftlens.cli.terminal import console, progress


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("run")(run)


def run(
    experiment: Annotated[Path, typer.Argument(help="The experiment file (TOML).")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Where results, stores and the report go.")
    ] = Path("runs/experiment"),
    as_json: Annotated[
        bool, typer.Option("--json", help="Print metrics.json instead of the summary.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
) -> None:
    """Run every stage of an experiment file; finished stages are taken from the last run.

    Example: shiftlens run experiment.toml --out runs/places
    """
    run_experiment(experiment, out, as_json=as_json, quiet=quiet, tables=True)


def run_experiment(
    experiment: Path, out: Path, *, as_json: bool, quiet: bool, tables: bool = False
) -> None:
    """Run the study and print what it found; shared by ``run`` and ``demo``.

    Args:
        experiment: the file.
        out: the run's directory.
        as_json: print metrics.json instead.
        quiet: print nothing.
        tables: print also every arm of every steering.
    """
    from shiftlens.cli.summary import print_summary
    from shiftlens.study.experiment import load_experiment
    from shiftlens.study.running import run_study

    outcome = run_study(load_experiment(experiment), out, progress=progress(quiet=quiet or as_json))
    if as_json:
        console().print(json.dumps(outcome.metrics, indent=1), markup=False, soft_wrap=True)
    elif not quiet:
        print_summary(outcome, tables=tables)
