"""Contact sheets of concepts, and heat maps laid over pictures, as PIL images.

The caller saves them: ``contact_sheet(...).save("dog.png")``.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.grounding.colours import Limits, coloured, limits_of, stripes
from shiftlens.concepts.grounding.heat_map import HeatMap
from shiftlens.concepts.grounding.lettering import INK, PALE, Lettering
from shiftlens.core.errors import DataError, GroundingError
from shiftlens.data.images import open_image
from shiftlens.data.sample import Sample

if TYPE_CHECKING:
    from PIL.Image import Image

_PAPER = (255, 255, 255)
_GAP = 10  # pixels between things
_LEAST = 240  # pixels of an overlay's shorter side: smaller pictures are shown enlarged
_MOST = 2400  # pixels of the longer side that nothing is enlarged beyond
_BAR = 12  # pixels: height of the legend's bar
_N_WORDS = 8


def overlay(
    image: "Image",
    heat_map: HeatMap,
    *,
    opacity: float = 0.6,
    limits: Limits | None = None,
    legend: bool = True,
    label: str | None = None,
    font: str | Path | None = None,
) -> "Image":
    """A picture with its heat map over it: dark blue is cold, light yellow is hot.

    The picture is shown in grey, so that every colour is heat; grey stripes are parts of it that
    the model does not see. Small pictures are enlarged.

    Args:
        image: the picture that the map is of.
        heat_map: of it.
        opacity: how much the heat covers, above 0 up to 1.
        limits: numbers of the darkest and the lightest colour, to compare several maps; the
            smallest and the largest of this one by default.
        legend: put the scale with its numbers below.
        label: beside the scale; the method by default.
        font: for the numbers; see ``Lettering``.

    Raises:
        GroundingError: the map is of a picture of another size, ``opacity`` or ``limits`` are
            impossible, or the map holds no number.
    """
    height, width = heat_map.values.shape
    if image.size != (width, height):
        raise GroundingError(
            f"a heat map of {width}x{height} pixels over a picture of {image.width}x{image.height}",
            allowed="the picture that the map was made of, as it was opened",
        )
    if not 0 < opacity <= 1:
        raise GroundingError(f"an opacity of {opacity}", allowed="above 0, up to 1")
    scale = limits_of(heat_map.values) if limits is None else limits
    shown = _laid_over(image, heat_map.values, scale, opacity)
    if not legend:
        return shown
    named = heat_map.method if label is None else label
    return _above(shown, _legend(shown.width, scale, named, font))


def contact_sheet(
    concepts: Concepts,
    concept: int | str,
    samples: Iterable[Sample],
    *,
    heat_maps: Mapping[str, HeatMap] | None = None,
    columns: int = 5,
    tile: int = 160,
    font: str | Path | None = None,
) -> "Image":
    """A concept's most activating pictures in a grid, its words above, an id below each picture.

    Args:
        concepts: with pictures, and preferably words: see ``ground``.
        concept: its number, or a word that it says.
        samples: where the pictures' files lie, by id. A picture that is not among them, or cannot
            be read, has a striped box with the reason.
        heat_maps: by sample id; pictures that have one are shown with it, all on one scale.
        columns: pictures side by side.
        tile: pixels of the square that each is fitted into.
        font: of all text; see ``Lettering``. Chinese, Arabic, or emoji need one that knows them.

    Raises:
        GroundingError: unknown concept, no columns, or tiles of less than 32 pixels; a heat map of
            another picture's size.
    """
    number = concepts.find(concept)
    if columns < 1 or tile < 32:
        raise GroundingError(
            f"{columns} columns of {tile} pixels", allowed="at least 1 column of at least 32 pixels"
        )
    ids = concepts.images[number] if concepts.images else ()
    known, given = {one.id: one for one in samples}, heat_maps or {}
    maps = {one: given[one] for one in ids if one in given}
    scale = limits_of(*(one.values for one in maps.values())) if maps else None
    small = Lettering(12, font)
    tiles = [_tile(known.get(one), maps.get(one), scale, tile, small) for one in ids]
    sheet = _gridded(_heading(concepts, number), ids, tiles, columns, tile, font)
    if scale is None:
        return sheet
    methods = ", ".join(sorted({one.method for one in maps.values()}))
    return _above(sheet, _margined(_legend(sheet.width - 2 * _GAP, scale, methods, font)))


def _gridded(
    heading: str,
    ids: Sequence[str],
    tiles: "Sequence[Image]",
    columns: int,
    side: int,
    font: str | Path | None,
) -> "Image":
    """A heading, and below it squares with a name each."""
    from PIL import Image, ImageDraw

    title, small = Lettering(18, font), Lettering(12, font)
    across = max(1, min(columns, len(ids)))
    width = max(across * (side + _GAP) + _GAP, 2 * side + _GAP)
    lines = title.wrapped(heading, width - 2 * _GAP)
    top, below = 2 * _GAP + len(lines) * title.line, _GAP + 2 * small.line
    down = max(1, -(-len(ids) // across))
    sheet = Image.new("RGB", (width, top + down * (side + below)), _PAPER)
    canvas = ImageDraw.Draw(sheet)
    title.draw(canvas, lines, (_GAP, _GAP))
    if not ids:
        small.draw(canvas, ["no pictures: no sample activates it"], (_GAP, top), colour=PALE)
    for at, (name, picture) in enumerate(zip(ids, tiles, strict=True)):
        left, upper = _GAP + at % across * (side + _GAP), top + at // across * (side + below)
        sheet.paste(picture, (left + (side - picture.width) // 2, upper + (side - picture.height)))
        small.draw(canvas, small.wrapped(name, side), (left, upper + side + 3), colour=PALE)
    return sheet


def _heading(concepts: Concepts, number: int) -> str:
    lists = concepts.contrastive or concepts.words
    words = lists[number][:_N_WORDS] if lists else ()
    return f"concept {number}" + (f": {', '.join(words)}" if words else "")


def _tile(
    sample: Sample | None,
    heat_map: HeatMap | None,
    scale: Limits | None,
    side: int,
    small: Lettering,
) -> "Image":
    """A picture that fits into a square, or a striped box that says why there is none."""
    which = 0 if heat_map is None else heat_map.picture
    if sample is None:
        return _placeholder("not among the samples", side, small)
    if which >= len(sample.images):
        return _placeholder("no picture", side, small)
    try:
        image = open_image(sample.images[which])
    except (DataError, OSError):
        return _placeholder("the picture could not be read", side, small)
    if heat_map is not None:
        image = overlay(image, heat_map, limits=scale, legend=False)
    ratio = side / max(image.size)
    wide, high = (max(1, round(edge * ratio)) for edge in image.size)
    return image.resize((wide, high))


def _placeholder(reason: str, side: int, small: Lettering) -> "Image":
    from PIL import Image, ImageDraw

    box = Image.fromarray(stripes(side, side))
    lines = small.wrapped(reason, side - 24, n_lines=3)
    canvas, high = ImageDraw.Draw(box), len(lines) * small.line
    top = (side - high) // 2
    canvas.rectangle((8, top - 4, side - 8, top + high + 2), fill=_PAPER)
    small.draw(canvas, lines, (12, top), colour=INK)
    return box


def _laid_over(image: "Image", values: np.ndarray, scale: Limits, opacity: float) -> "Image":
    from PIL import Image

    times = max(1, min(-(-_LEAST // min(image.size)), _MOST // max(image.size)))
    size = (image.width * times, image.height * times)
    grey = np.asarray(image.convert("L").convert("RGB").resize(size), dtype=np.float64)
    large = values.repeat(times, axis=0).repeat(times, axis=1)
    heat = coloured(large, scale).astype(np.float64)
    mixed = (1 - opacity) * grey + opacity * heat
    return Image.fromarray(mixed.round().astype(np.uint8))


def _legend(width: int, scale: Limits, label: str, font: str | Path | None) -> "Image":
    """The scale: a bar, its two ends in numbers, and what it is of."""
    from PIL import Image, ImageDraw

    small = Lettering(13, font)
    strip = Image.new("RGB", (width, _BAR + 2 * _GAP + small.line), _PAPER)
    ramp = np.linspace(scale[0], scale[1], width)[None].repeat(_BAR, axis=0)
    strip.paste(Image.fromarray(coloured(ramp, scale)), (0, _GAP))
    canvas, below = ImageDraw.Draw(strip), _GAP + _BAR + 3
    low, high = (f"{one:.3g}" for one in scale)
    right, left = round(width - small.width_of(high)), round(small.width_of(low)) + _GAP
    small.draw(canvas, [low], (0, below))
    small.draw(canvas, [high], (right, below))
    named = small.wrapped(label, max(1, right - left - _GAP), n_lines=1)
    if named:
        middle = left + (right - left - round(small.width_of(named[0]))) // 2
        small.draw(canvas, named, (middle, below), colour=PALE)
    return strip


def _margined(strip: "Image") -> "Image":
    from PIL import ImageOps

    return ImageOps.expand(strip, (_GAP, 0), _PAPER)


def _above(shown: "Image", strip: "Image") -> "Image":
    """Two pictures of one width as one."""
    from PIL import Image

    both = Image.new("RGB", (shown.width, shown.height + strip.height), _PAPER)
    both.paste(shown, (0, 0))
    both.paste(strip, (0, shown.height))
    return both
