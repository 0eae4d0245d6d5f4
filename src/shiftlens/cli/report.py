"""``shiftlens report``: the page of what another verb left, drawn again from its numbers."""

from pathlib import Path
from typing import Annotated

import typer

from shiftlens.cli.terminal import console, print_json


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("report")(report)


def report(
    results: Annotated[
        Path, typer.Argument(help="What a verb left: its directory, or the file with its numbers.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The page; report.html beside the numbers.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print where the page is as JSON.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
) -> None:
    """Draw the page of a run, diff, search, evaluate, discover, trajectory, explain or learn.

    The page is one file that opens offline. Nothing is computed: every number comes from the JSON
    that the verb wrote, and no model is loaded.

    Example: shiftlens report runs/search -o search.html
    """
    from shiftlens.reporting.documents import FILES, draw_file, find_document

    file = find_document(results)
    page = draw_file(file, out or file.parent / "report.html")
    if as_json:
        print_json({"numbers": str(file), "page": str(page), "bytes": page.stat().st_size})
    elif not quiet:
        what = FILES.get(file.name, "a page")
        said = f"{what}, {page.stat().st_size / 1e6:.1f} MB: {page}"
        console().print(said, markup=False, soft_wrap=True)
