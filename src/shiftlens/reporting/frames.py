"""Where the axes of a chart stand within its picture."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Frame:
    """A picture of ``width`` x ``height`` pixels, and the edges of what is between its axes."""

    width: int
    height: int
    left: float
    right: float
    top: float
    bottom: float

    @staticmethod
    def within(width: int, height: int, margins: tuple[float, float, float, float]) -> "Frame":
        """A frame from its margins at the left, right, top and bottom, in pixels."""
        left, right, top, bottom = margins
        return Frame(width, height, left, width - right, top, height - bottom)
