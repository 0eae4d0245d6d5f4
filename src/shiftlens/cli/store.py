"""``shiftlens store``: what a store holds, and whether every byte of it is sound."""

from typing import Annotated

import typer

from shiftlens.cli.terminal import print_json, progress

_Directory = Annotated[str, typer.Argument(help="A store, or the folder of several models'.")]
_Json = Annotated[bool, typer.Option("--json", help="Print what was found.")]


def register(app: typer.Typer) -> None:
    """Add the verb and its two commands to the command line."""
    store = typer.Typer(help="What a store holds, and whether it is sound.", no_args_is_help=True)
    store.command("info")(info)
    store.command("verify")(verify)
    app.add_typer(store, name="store")


def info(directory: _Directory, as_json: _Json = False) -> None:
    """Say what a store holds, finished or not: rows, bytes, samples, parts, where it is from.

    Example: shiftlens store info runs/people
    """
    from shiftlens.activations.info import info as look
    from shiftlens.activations.info import stores_in

    found = [look(one) for one in stores_in(directory)]
    if as_json:
        several = [one.to_dict() for one in found]
        print_json({"stores": several} if len(several) > 1 else several[0])
        return
    from shiftlens.cli.store_page import print_info

    print_info(found)


def verify(directory: _Directory, as_json: _Json = False) -> None:
    """Check checksums, lengths, numbers of rows, NaN and infinity; exit code 1 if one is wrong.

    Example: shiftlens store verify runs/people
    """
    from shiftlens.activations.info import stores_in
    from shiftlens.activations.verifying import verify as check

    listener = progress(quiet=as_json)
    found = [check(one, progress=listener) for one in stores_in(directory)]
    if as_json:
        several = [one.to_dict() for one in found]
        print_json({"stores": several} if len(several) > 1 else several[0])
    else:
        from shiftlens.cli.store_page import print_verification

        print_verification(found)
    if not all(one.sound for one in found):
        raise typer.Exit(1)
