"""A brush: one transparent layer, a colour jitter, and an outline that keeps white visible."""

import random
from collections.abc import Sequence

from PIL import Image, ImageDraw

RGB = tuple[int, int, int]
Points = Sequence[tuple[float, float]]

CANVAS = 192
"""Side of the canvas; pictures are half of it."""

INK: RGB = (25, 25, 30)
PAINTS: dict[str, RGB] = {
    "red": (215, 35, 35),
    "blue": (40, 75, 220),
    "green": (20, 150, 60),
    "yellow": (245, 215, 30),
    "black": (35, 35, 38),
    "white": (248, 248, 248),
    "brown": (125, 75, 35),
    "purple": (145, 45, 175),
}


def jitter(color: RGB, rng: random.Random, amount: int = 10) -> RGB:
    """The colour, each channel moved by up to ``amount``."""
    red, green, blue = (max(0, min(255, v + rng.randint(-amount, amount))) for v in color)
    return red, green, blue


def shade(color: RGB, factor: float) -> RGB:
    """The colour made darker (below 1) or lighter (above 1)."""
    red, green, blue = (max(0, min(255, int(v * factor))) for v in color)
    return red, green, blue


class Brush:
    """Draws outlined shapes on a layer of its own.

    Args:
        rng: decides every random detail of what is drawn.
    """

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.layer = Image.new("RGBA", (CANVAS, CANVAS))
        self._draw = ImageDraw.Draw(self.layer)

    def oval(
        self, x: float, y: float, rx: float, ry: float, fill: RGB, *, line: bool = True
    ) -> None:
        """An ellipse around (x, y)."""
        box = (x - rx, y - ry, x + rx, y + ry)
        self._draw.ellipse(box, fill=fill, outline=INK if line else None, width=2)

    def box(
        self, x0: float, y0: float, x1: float, y1: float, fill: RGB, *, line: bool = True
    ) -> None:
        """A rectangle between two corners, in any order."""
        left, right = sorted((x0, x1))
        top, bottom = sorted((y0, y1))
        self._draw.rectangle(
            (left, top, right, bottom), fill=fill, outline=INK if line else None, width=2
        )

    def shape(self, points: Points, fill: RGB, *, line: bool = True) -> None:
        """A polygon."""
        self._draw.polygon(list(points), fill=fill, outline=INK if line else None, width=2)

    def stroke(self, points: Points, fill: RGB, width: float) -> None:
        """A thick open line with round joints."""
        self._draw.line(list(points), fill=fill, width=max(2, int(width)), joint="curve")

    def arc(
        self, x: float, y: float, r: float, start: float, end: float, fill: RGB, width: float
    ) -> None:
        """A part of a circle around (x, y), angles in degrees from the right, clockwise."""
        self._draw.arc(
            (x - r, y - r, x + r, y + r), start, end, fill=fill, width=max(2, int(width))
        )


def face(brush: Brush, x: float, y: float, r: float, mood: str, ink: RGB = INK) -> None:
    """Two eyes and a mouth that tells the mood, inside a circle of radius ``r``."""
    for side in (-1, 1):
        brush.oval(x + side * r * 0.4, y - r * 0.2, r * 0.14, r * 0.14, ink, line=False)
    if mood == "happy":
        brush.arc(x, y + r * 0.2, r * 0.5, 15, 165, (200, 20, 20), r * 0.22)
    elif mood == "sad":
        brush.arc(x, y + r * 0.85, r * 0.5, 200, 340, (30, 40, 190), r * 0.22)
    else:
        brush.stroke([(x - r * 0.4, y + r * 0.45), (x + r * 0.4, y + r * 0.45)], ink, r * 0.18)


def streaks(brush: Brush, x: float, y: float, height: float, facing: int) -> None:
    """Three speed lines behind something that moves towards ``facing``."""
    for level in (0.25, 0.5, 0.75):
        start = x - facing * height * 0.38
        ends = [(start, y - height * level), (start - facing * height * 0.3, y - height * level)]
        brush.stroke(ends, INK, height * 0.055)
        brush.stroke(ends, (250, 250, 250), height * 0.03)
