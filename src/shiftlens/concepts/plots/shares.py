"""``Concepts.plot``: how large concepts are, what they say, and the pictures that show them."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from shiftlens.core.drawing.letters import listed
from shiftlens.core.drawing.palette import BASE, LINE, SOFT, WASH
from shiftlens.core.drawing.paper import SMALL, Axes, Drawing, letters, named, paper, rows
from shiftlens.core.errors import DataError
from shiftlens.data.images import open_image
from shiftlens.data.sample import Sample

if TYPE_CHECKING:
    from PIL.Image import Image

    from shiftlens.concepts.concepts import Concepts

_PICTURES = 5
_TILE = 96  # pixels
_MOST = 40  # concepts in one figure


def shares(concepts: "Concepts", samples: Iterable[Sample] | None) -> Drawing:
    """A bar a concept, the largest first, its words before it and its pictures behind it.

    Raises:
        DataError: there are no concepts.
    """
    if not concepts.k:
        raise DataError("there are no concepts to draw")
    order = sorted(range(concepts.k), key=lambda index: -concepts.sizes[index])
    shown_rows, pictured = order[:_MOST], samples is not None and bool(concepts.images)
    height = 0.62 if pictured else 0.36
    figure, panels = paper(
        f"{concepts.k} concepts after block {concepts.site.layer}",
        10.0 if pictured else 7.8, 1.4 + height * len(shown_rows),
        columns=2 if pictured else 1, widths=(1.35, 1) if pictured else None, share_y=True,
    )  # fmt: skip
    _bars(panels[0], concepts, shown_rows)
    if samples is not None and pictured:
        _pictures(panels[1], concepts, shown_rows, {one.id: one for one in samples})
    rows(panels[0], [_label(concepts, index) for index in shown_rows])
    return figure


def _bars(axes: Axes, concepts: "Concepts", order: Sequence[int]) -> None:
    total = max(1, sum(concepts.sizes))
    values = [100 * concepts.sizes[index] / total for index in order]
    axes.barh(range(len(order)), values, height=0.6, color=BASE, label="shares")
    for row, index in enumerate(order):
        axes.annotate(
            f"{values[row]:.0f} % · {concepts.sizes[index]:,}".replace(",", " "),
            (values[row], row), xytext=(5, 0), textcoords="offset points", va="center",
            **letters(SMALL, SOFT),
        )  # fmt: skip
    axes.margins(x=0.18)
    axes.set_xlim(left=0)
    more = f"the largest {len(order)} of {concepts.k}" if len(order) < concepts.k else ""
    named(axes, more, x="share of the rows, in percent")


def _pictures(
    axes: Axes, concepts: "Concepts", order: Sequence[int], samples: dict[str, Sample]
) -> None:
    """The most activating pictures of each row; a grey tile for one that cannot be read."""
    for row, index in enumerate(order):
        for place, name in enumerate(concepts.images[index][:_PICTURES]):
            tile = _tile(samples.get(name))
            if tile is None:
                axes.fill_between(
                    (place - 0.44, place + 0.44), row - 0.44, row + 0.44, facecolor=WASH,
                    edgecolor=LINE, linewidth=0.8, label=f"missing: {name}",
                )  # fmt: skip
            else:
                box = (place - 0.44, place + 0.44, row + 0.44, row - 0.44)
                axes.imshow(np.asarray(tile), extent=box, aspect="auto", label=name)
    axes.set_xlim(-0.5, _PICTURES - 0.5)
    named(axes, "", x="pictures that activate it most")
    axes.set_xticks([])
    axes.tick_params(axis="y", labelleft=False, length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _tile(sample: Sample | None) -> "Image | None":
    """The middle of a sample's picture, square and small."""
    if sample is None or not sample.images:
        return None
    from PIL import ImageOps

    try:
        return ImageOps.fit(open_image(sample.images[0]), (_TILE, _TILE))
    except (DataError, OSError):
        return None


def _label(concepts: "Concepts", index: int) -> str:
    lists = concepts.contrastive or concepts.words
    said = listed(lists[index][:4], 34) if lists else "concept"
    return f"{said}  {index}"
