"""Which rows a verb reads, and what their columns mean, as the command line says it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

import typer

from shiftlens.cli.steering_options import listed

WhereOption = Annotated[
    list[str] | None,
    typer.Option("--where", help="Only rows with this: kind=animal; again for more values."),
]
ColumnsOption = Annotated[
    str, typer.Option("--columns", help="Of a table: image=file_name,prompt=question.")
]


@dataclass(frozen=True)
class Rows:
    """Which rows are read, and how; all of them, as they are named, by default.

    Attributes:
        where: the values that a column may have.
        columns: the table's name for each of ours.
    """

    where: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    columns: dict[str, str] | None = None


ALL_ROWS = Rows()


def rows_option(where: Sequence[str] | None, columns: str) -> Rows:
    """What ``--where`` and ``--columns`` say.

    Args:
        where: ``column=value`` each; values of one column are alternatives.
        columns: ``ours=theirs`` between commas.

    Raises:
        BadParameter: something is no pair, or one of our names is given twice.
    """
    values: dict[str, list[str]] = {}
    for one in where or ():
        name, value = _pair(one, "--where kind=animal")
        values.setdefault(name, []).append(value)
    hint = "--columns image=file_name,prompt=question"
    pairs = [_pair(one, hint) for one in listed(columns)]
    names = dict(pairs)
    if len(names) < len(pairs):
        raise typer.BadParameter("one of our names is there twice", param_hint=hint)
    return Rows(values, names or None)


def _pair(text: str, hint: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise typer.BadParameter(f"{text!r} is no pair", param_hint=hint)
    return name.strip(), value.strip()
