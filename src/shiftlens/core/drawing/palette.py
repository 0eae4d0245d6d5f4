"""The colours of the report's light page: told apart by every kind of eye, and in grey print."""

INK, SOFT, LINE, WASH, PAPER = "#1b1e22", "#555c64", "#d9dcd8", "#f0f1ef", "#ffffff"
BASE, TUNED, CONTROL = "#005b96", "#a84300", "#5f6770"
GOOD, BAD = "#00654a", "#97205c"
BASE_WASH, TUNED_WASH = "#e3eff8", "#fcebdd"


def between(pale: str, full: str, share: float) -> str:
    """A colour on the way from one to the other; ``share`` is cut to [0, 1]."""
    at = min(1.0, max(0.0, share))
    ends = zip(_parts(pale), _parts(full), strict=True)
    return "#" + "".join(f"{round(low + at * (high - low)):02x}" for low, high in ends)


def _parts(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[start : start + 2], 16) for start in (1, 3, 5))
