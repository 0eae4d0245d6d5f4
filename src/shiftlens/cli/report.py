"""``shiftlens report``: the page of what other verbs left, drawn again from their numbers."""

from pathlib import Path
from typing import Annotated

import typer

from shiftlens.cli.terminal import console, print_json


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("report")(report)


def report(
    results: Annotated[
        list[Path],
        typer.Argument(help="What a verb left: its directory, or the file with its numbers."),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="The page; report.html beside the numbers of one result, here for several.",
        ),
    ] = None,
    title: Annotated[str, typer.Option(help="Of a page of several results.")] = "",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print where the page is as JSON.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
) -> None:
    """Draw the page of a run, diff, search, evaluate, discover, trajectory, explain or learn.

    Several results become one page, with a part for each: a run, the trajectory of its training, an
    evaluation. The page is one file that opens offline. Nothing is computed: every number comes
    from the JSON that the verbs wrote, and no model is loaded.

    Example: shiftlens report runs/search -o search.html
    """
    from shiftlens.core.errors import DataError
    from shiftlens.reporting.documents import FILES, draw_file, find_document

    files = [find_document(one) for one in results]
    if len(files) > 1:
        from shiftlens.reporting.combined import draw_files

        page = draw_files(results, out or Path("report.html"), title=title)
    else:
        if title:
            raise DataError("--title for one result", allowed="with several: one has its own")
        page = draw_file(files[0], out or files[0].parent / "report.html")
    if as_json:
        numbers = str(files[0]) if len(files) == 1 else [str(one) for one in files]
        print_json({"numbers": numbers, "page": str(page), "bytes": page.stat().st_size})
    elif not quiet:
        what = FILES.get(files[0].name, "a page") if len(files) == 1 else f"{len(files)} results"
        said = f"{what}, {page.stat().st_size / 1e6:.1f} MB: {page}"
        console().print(said, markup=False, soft_wrap=True)
