"""``shiftlens doctor``: where a model's residual stream is, and what cannot be done with it."""

from typing import Annotated

import typer

from shiftlens.cli.terminal import print_json, progress
from shiftlens.core.errors import DataError


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("doctor")(doctor)


def doctor(
    model: Annotated[
        str | None,
        typer.Argument(help="A model or an adapter: a directory, an id, or world:base."),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Every architecture that transformers registers.")
    ] = False,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit on the hub.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
) -> None:
    """Say where everything is in a model, without its weights; exit code 1 if it cannot be used.

    Example: shiftlens doctor world:base
    """
    if every == (model is not None):
        raise DataError(
            "doctor looks at one model or at every architecture",
            allowed="the name of a model, or --all",
        )
    if every:
        _sweep(as_json=as_json, quiet=quiet)
    elif model is not None:
        _inspect(model, revision, as_json=as_json, quiet=quiet)


def _inspect(model: str, revision: str | None, *, as_json: bool, quiet: bool) -> None:
    from shiftlens.models.inspecting.looking import inspect

    found = inspect(model, revision=revision)
    if as_json:
        print_json(found.to_dict())
    elif not quiet:
        from shiftlens.cli.doctor_summary import print_inspection

        print_inspection(found)
    if not found.usable:
        raise typer.Exit(1)


def _sweep(*, as_json: bool, quiet: bool) -> None:
    from shiftlens.models.inspecting.sweeping import sweep

    found = sweep(progress=progress(quiet=quiet or as_json))
    if as_json:
        print_json({"architectures": [one.to_dict() for one in found]})
    elif not quiet:
        from shiftlens.cli.doctor_summary import print_sweep

        print_sweep(found)
