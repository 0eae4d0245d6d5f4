"""Heat maps of a document as a shade over a small picture: bright where the concept is."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from shiftlens.reporting.numbers import bounds, count, percent, percent_bounds, signed

_DARKEST = 205  # of 255: what does not matter can still be made out
_SHADE = (8, 12, 18)


def shade(levels: Sequence[Sequence[int]]) -> str | None:
    """A see-through picture, as a data URI, that darkens everything but what matters.

    Args:
        levels: rows of whole percents over the whole picture, 100 where most of the concept is
            lost when it is hidden.

    Returns:
        ``None`` where nothing is lost anywhere, or the rows are not all equally long.
    """
    width = len(levels[0]) if levels else 0
    if not width or any(len(row) != width for row in levels) or not any(map(any, levels)):
        return None
    image = Image.new("RGBA", (width, len(levels)))
    image.putdata([(*_SHADE, _opacity(level)) for row in levels for level in row])
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def heat_checks(heat: Mapping[str, Any]) -> tuple[str, ...]:
    """For each model a sentence: do maps lie on the thing that the word names, or not?"""
    check: Mapping[str, Any] = heat.get("check") or {}
    sides = (("base", "base model"), ("tuned", "tuned model"))
    return tuple(_checked(name, check[side]) for side, name in sides if check.get(side))


def _checked(name: str, one: Mapping[str, Any]) -> str:
    inside, others, flat, above = (one[key] for key in ("inside", "others", "flat", "above"))
    where = (
        f"of a map of the {name} {percent(inside['estimate'])} {percent_bounds(inside)} lies in "
        "the box of the thing that the word names, which is "
        f"{percent(flat['estimate'])} of the picture (n = {count(one['n'])} pictures); "
        f"of maps of the other pictures {percent(others['estimate'])} lies there, a difference of "
        f"{signed(above['estimate'])} {bounds(above)}"
    )
    if above["low"] > 0:
        return f"{where}: the maps find the thing better than chance."
    if above["high"] < 0:
        return f"{where}: the maps lie on it LESS than chance has it."
    return f"{where}: NOT surely more than chance. These maps do not show that the thing matters."


def _opacity(level: int) -> int:
    return round(_DARKEST * (1 - min(100, max(0, level)) / 100))
