"""Tables that fit: long cells end in an ellipsis, and no row takes two lines."""

import textwrap
from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size
from rich.table import Table
from rich.text import Text

from shiftlens.cli.plain_text import plain

_BETWEEN = 2  # blanks between two columns
_LEAST = 5  # no column is cut to less


def fitted(columns: Sequence[str], rows: Sequence[Sequence[str]], room: int) -> Table:
    """A table of at most ``room`` columns of a screen: the first column left, the others right.

    What is too wide is cut, the widest column first; a heading goes on in a second line before any
    cell is cut.

    Args:
        columns: headings, as markup.
        rows: cells, as markup; line ends and characters that steer a terminal are taken out.
        room: how wide the screen is.
    """
    heads = [Text.from_markup(column) for column in columns]
    cells = [[Text.from_markup(plain(cell)) for cell in row] for row in rows]
    widest = [
        max((cell_len(row[at].plain) for row in cells), default=0) for at in range(len(heads))
    ]
    widths = _widths(heads, widest, room - _BETWEEN * (len(heads) - 1))
    grid = Table(box=None, pad_edge=False, header_style="dim")
    for at, (head, width) in enumerate(zip(heads, widths, strict=True)):
        if cell_len(head.plain) > width:
            head = Text("\n".join(textwrap.wrap(head.plain, max(1, width))), head.style)
        side = "left" if at == 0 else "right"
        grid.add_column(head, justify=side, no_wrap=True, overflow="ellipsis", width=width)
    for row in cells:
        grid.add_row(*row)
    return grid


def padded(text: str, width: int, *, right: bool = False) -> str:
    """Plain text in a column of a screen: cut with an ellipsis, or filled with blanks.

    Args:
        text: of a person or a model; it is no markup.
        width: of the column.
        right: fill at the left, as numbers are set.
    """
    line = plain(text)
    if cell_len(line) > width:
        line = f"{set_cell_size(line, width - 1).rstrip()}…"
    blanks = " " * (width - cell_len(line))
    return blanks + line if right else line + blanks


def _widths(heads: Sequence[Text], widest: Sequence[int], room: int) -> list[int]:
    """The widest that fit: of headings in one line, in several, or with cells cut."""
    whole = [max(cell_len(head.plain), cells) for head, cells in zip(heads, widest, strict=True)]
    if sum(whole) <= room:
        return whole
    words = [max(map(cell_len, head.plain.split()), default=0) for head in heads]
    widths = [max(word, cells) for word, cells in zip(words, widest, strict=True)]
    spare = room - sum(widths)
    for at in sorted(range(len(widths)), key=lambda at: whole[at] - widths[at]):
        if 0 < whole[at] - widths[at] <= spare:  # a heading that fits into one line after all
            spare -= whole[at] - widths[at]
            widths[at] = whole[at]
    return _cut(widths, room)


def _cut(widths: list[int], room: int) -> list[int]:
    """The same widths, none above a limit: the largest limit with which all of them fit."""
    limit = min(max(widths, default=0), max(room, _LEAST))
    while limit > _LEAST and sum(min(one, limit) for one in widths) > room:
        limit -= 1
    cut = [min(one, limit) for one in widths]
    for at, one in enumerate(widths):  # what is left over goes to the first that were cut
        if one > limit and sum(cut) < room:
            cut[at] += 1
    return cut
