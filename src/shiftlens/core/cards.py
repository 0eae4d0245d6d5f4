"""What a notebook shows of a result: a small card of escaped text, in the colours around it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

_LETTERS = 72  # of one cell
_ROWS = 8
_NARROW = 20  # letters that are never broken into two lines
_LINE = "1px solid rgba(127,127,127,.35)"
_BOX = (
    "font:14px/1.5 system-ui,-apple-system,'Segoe UI',sans-serif;color:inherit;"
    f"display:inline-block;box-sizing:border-box;max-width:100%;overflow-x:auto;border:{_LINE};border-radius:8px;"
    "padding:.55em .9em .65em"
)
# Notebooks style tables of their own accord: every cell says how it is set.
_CELL = (
    "border:0;background:none;color:inherit;padding:.1em 1.1em .1em 0;vertical-align:baseline;"
    "font-size:13px;max-width:34em"
)
_SOFT = "opacity:.75"


@dataclass(frozen=True)
class Share:
    """A cell that is drawn as a bar.

    Attributes:
        value: from 0 to 1.
        longest: the value whose bar has the full length.
    """

    value: float
    longest: float = 1.0


Cell = str | Share


def card(
    kind: str,
    told: str,
    facts: Mapping[str, object],
    *,
    columns: Sequence[str] = (),
    rows: Sequence[Sequence[Cell]] = (),
) -> str:
    """HTML of a result: no script, no request, no colour but the page's own.

    Args:
        kind: what it is: ``Concepts``.
        told: the most important of it, in a few words.
        facts: further ones; empty ones are left out.
        columns: headings of a table.
        rows: its rows, of which the first eight are shown.
    """
    head = f"<div><b>{_text(kind)}</b> {_text(told)}</div>"
    known = [(name, value) for name, value in facts.items() if value not in (None, "", (), [])]
    pairs = "".join(
        f"<tr>{_cell(name, soft=True)}{_cell(str(value))}</tr>" for name, value in known
    )
    listed = f'<table style="{_table()}">{pairs}</table>' if pairs else ""
    return f'<div style="{_BOX}">{head}{listed}{_rows(columns, rows)}</div>'


def _rows(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    if not rows:
        return ""
    heads = "".join(_cell(one, soft=True, tag="th") for one in columns)
    lines = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows[:_ROWS])
    rest = len(rows) - _ROWS
    more = f'<div style="{_SOFT};font-size:13px">and {rest} more</div>' if rest > 0 else ""
    style = f"{_table()};border-top:{_LINE}"
    return f'<table style="{style}"><tr>{heads}</tr>{lines}</table>{more}'


def _table() -> str:
    return "border-collapse:collapse;border:0;margin:.35em 0 0;background:none;color:inherit"


def _cell(value: Cell, *, soft: bool = False, tag: str = "td") -> str:
    style = f"{_CELL};text-align:left;font-weight:normal" + (f";{_SOFT}" if soft else "")
    if isinstance(value, Share) or len(value) <= _NARROW:
        style += ";white-space:nowrap"
    inner = _bar(value) if isinstance(value, Share) else _text(value)
    return f'<{tag} style="{style}">{inner}</{tag}>'


def _bar(share: Share) -> str:
    if not math.isfinite(share.value):
        return "–"
    width = 100 * min(1.0, max(0.0, share.value / (share.longest or 1.0)))
    return (
        f'<span style="display:inline-block;width:3.5em;margin-right:.5em">'
        f'<span style="display:block;height:.6em;width:{width:.0f}%;min-width:1px;'
        f'background:currentColor;opacity:.45;border-radius:2px"></span></span>'
        f"{100 * share.value:.0f} %"
    )


def _text(value: str) -> str:
    """A short line of text, and nothing else: it cannot turn the direction of what follows."""
    line = " ".join("".join(one if one.isprintable() else " " for one in value[:1000]).split())
    cut = line if len(line) <= _LETTERS else f"{line[: _LETTERS - 1].rstrip()}…"
    return f"<bdi>{escape(cut)}</bdi>"
