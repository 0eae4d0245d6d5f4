"""``shiftlens store``: what a store holds, whether it is sound, and what copies take here."""

from typing import Annotated

import typer

from shiftlens.cli.terminal import print_json, progress

_Directory = Annotated[str, typer.Argument(help="A store, or the folder of several models'.")]
_Quiet = Annotated[bool, typer.Option("--quiet", help="Print errors only.")]
_Json = Annotated[bool, typer.Option("--json", help="Print what was found.")]


def register(app: typer.Typer) -> None:
    """Add the verb and its three commands to the command line."""
    store = typer.Typer(
        help="What a store holds, and whether it is sound.",
        short_help="Say what a store holds, and whether it is sound",
        no_args_is_help=True,
    )
    store.command("info")(info)
    store.command("verify")(verify)
    store.command("cache")(cache)
    app.add_typer(store, name="store")


def info(directory: _Directory, as_json: _Json = False, quiet: _Quiet = False) -> None:
    """Say what a store holds, finished or not: rows, bytes, samples, parts, where it is from.

    Example: shiftlens store info runs/people
    """
    from shiftlens.activations.info import info as look
    from shiftlens.activations.info import stores_in

    found = [look(one) for one in stores_in(directory)]
    if as_json:
        several = [one.to_dict() for one in found]
        print_json({"stores": several} if len(several) > 1 else several[0])
    elif not quiet:
        from shiftlens.cli.store_page import print_info

        print_info(found)


def verify(directory: _Directory, as_json: _Json = False, quiet: _Quiet = False) -> None:
    """Check checksums, lengths, numbers of rows, NaN and infinity; exit code 1 if one is wrong.

    Example: shiftlens store verify runs/people
    """
    from shiftlens.activations.info import stores_in
    from shiftlens.activations.verifying import verify as check

    listener = progress(quiet=quiet or as_json)
    found = [check(one, progress=listener) for one in stores_in(directory)]
    if as_json:
        several = [one.to_dict() for one in found]
        print_json({"stores": several} if len(several) > 1 else several[0])
    elif not quiet:
        from shiftlens.cli.store_page import print_verification

        print_verification(found)
    if not all(one.sound for one in found):
        raise typer.Exit(1)


def cache(
    keep: Annotated[
        float | None, typer.Option(help="Remove the oldest until so many GB are left; 0: all.")
    ] = None,
    as_json: _Json = False,
    quiet: _Quiet = False,
) -> None:
    """Say how much room copies of stores from far away take on this machine, or give it back.

    Example: shiftlens store cache --keep 20
    """
    from shiftlens.core.copies import copies, remove_copies

    if keep is not None and not keep >= 0:
        raise typer.BadParameter("0 or more GB", param_hint="--keep")
    removed = None if keep is None else remove_copies(int(keep * 1e9))
    left = copies()
    if as_json:
        found = {"folder": str(left.folder), "files": left.files, "bytes": left.bytes}
        gone = {} if removed is None else {"removed": removed.files, "freed": removed.bytes}
        print_json(found | gone)
    elif not quiet:
        from shiftlens.cli.store_page import print_copies

        print_copies(left, removed)
