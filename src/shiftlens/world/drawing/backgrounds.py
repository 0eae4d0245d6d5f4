"""The eight places, under three kinds of weather."""

from shiftlens.world.drawing.brush import CANVAS, RGB, Brush, jitter
from shiftlens.world.scenes import INDOORS

_SKIES: dict[str, RGB] = {
    "happy": (140, 205, 255),
    "sad": (105, 115, 135),
    "calm": (205, 212, 218),
}


def draw_background(brush: Brush, place: str, mood: str) -> float:
    """Fill the canvas; returns the height of the horizon."""
    horizon = CANVAS * brush.rng.uniform(0.4, 0.5)
    sky = jitter(_SKIES[mood], brush.rng, 6)
    if place not in INDOORS:
        brush.box(0, 0, CANVAS, horizon, sky, line=False)
    _PLACES[place](brush, horizon)
    if place in INDOORS:
        _window(brush, mood, sky)
    else:
        _weather(brush, mood, (0, 0, CANVAS, horizon))
    return horizon


def _ground(brush: Brush, horizon: float, color: RGB, amount: int = 10) -> None:
    brush.box(0, horizon, CANVAS, CANVAS, jitter(color, brush.rng, amount), line=False)


def _beach(brush: Brush, horizon: float) -> None:
    brush.box(0, horizon - 26, CANVAS, horizon + 14, jitter((30, 105, 205), brush.rng), line=False)
    for _ in range(7):
        x, y = brush.rng.uniform(0, CANVAS), brush.rng.uniform(horizon - 20, horizon + 8)
        brush.stroke([(x, y), (x + 24, y)], (240, 248, 255), 3)
    _ground(brush, horizon + 14, (238, 212, 140))


def _forest(brush: Brush, horizon: float) -> None:
    brush.box(0, 0, CANVAS, horizon, jitter((55, 115, 65), brush.rng), line=False)
    _ground(brush, horizon, (70, 85, 42))
    for column in range(6):
        x = (column + brush.rng.random()) * CANVAS / 6
        trunk = jitter((85, 55, 30), brush.rng)
        brush.box(x - 7, 20, x + 7, horizon + brush.rng.uniform(2, 20), trunk, line=False)
        brush.oval(x, 14, 27, 30, jitter((22, 82, 34), brush.rng, 16), line=False)


def _street(brush: Brush, horizon: float) -> None:
    x = -10.0
    while x < CANVAS:
        width, top = brush.rng.uniform(32, 54), brush.rng.uniform(22, 44)
        brush.box(x, top, x + width, horizon, jitter((150, 105, 90), brush.rng, 30), line=False)
        for row in range(int(top) + 8, int(horizon) - 10, 18):
            for column in range(int(x) + 6, int(x + width) - 8, 15):
                lit = brush.rng.random() < 0.5
                glass = (250, 240, 165) if lit else (70, 80, 100)
                brush.box(column, row, column + 7, row + 9, glass, line=False)
        x += width + 3
    _ground(brush, horizon, (92, 92, 98))
    for dash in range(-1, 5):
        left = dash * 48 + brush.rng.uniform(0, 10)
        brush.box(left, CANVAS - 26, left + 26, CANVAS - 19, (240, 240, 240), line=False)


def _kitchen(brush: Brush, horizon: float) -> None:
    brush.box(0, 0, CANVAS, CANVAS, jitter((242, 234, 208), brush.rng, 6), line=False)
    for line in range(0, CANVAS, 20):
        brush.stroke([(0, line), (CANVAS, line)], (212, 202, 178), 2)
        brush.stroke([(line, 0), (line, horizon)], (212, 202, 178), 2)
    counter = jitter((165, 112, 65), brush.rng)
    brush.box(0, horizon - 16, CANVAS, horizon + 18, counter, line=False)
    left = brush.rng.uniform(5, CANVAS - 65)
    brush.box(left, horizon - 28, left + 58, horizon + 18, (62, 62, 68), line=False)
    for plate in range(3):
        brush.oval(left + 11 + 18 * plate, horizon - 20, 7, 5, (225, 80, 35), line=False)
    _ground(brush, horizon + 18, (196, 198, 206), 6)


def _field(brush: Brush, horizon: float) -> None:
    _ground(brush, horizon, (112, 192, 68))
    for _ in range(30):
        x, y = brush.rng.uniform(0, CANVAS), brush.rng.uniform(horizon + 4, CANVAS)
        petals = brush.rng.choice([(252, 232, 80), (250, 130, 185), (255, 255, 255)])
        brush.oval(x, y, 3, 3, petals, line=False)


def _snow(brush: Brush, horizon: float) -> None:
    for _ in range(3):
        x, top = brush.rng.uniform(0, CANVAS), brush.rng.uniform(14, 36)
        rock = jitter((150, 168, 198), brush.rng)
        brush.shape([(x - 62, horizon), (x, top), (x + 62, horizon)], rock, line=False)
        peak = [(x - 19, top + 22), (x, top), (x + 19, top + 22)]
        brush.shape(peak, (252, 253, 255), line=False)
    _ground(brush, horizon, (236, 242, 250), 4)


def _desert(brush: Brush, horizon: float) -> None:
    _ground(brush, horizon, (218, 150, 75))
    for _ in range(2):
        x = brush.rng.uniform(0, CANVAS)
        brush.oval(x, horizon + 8, 70, 30, jitter((203, 130, 60), brush.rng), line=False)
    for side in (brush.rng.uniform(8, 40), CANVAS - brush.rng.uniform(8, 40)):
        cactus = (45, 130, 60)
        brush.box(side - 6, horizon - 34, side + 6, horizon + 32, cactus, line=False)
        brush.stroke(
            [(side - 16, horizon - 20), (side - 16, horizon - 4), (side, horizon - 4)], cactus, 8
        )
        brush.stroke(
            [(side + 16, horizon - 14), (side + 16, horizon + 4), (side, horizon + 4)], cactus, 8
        )


def _bedroom(brush: Brush, horizon: float) -> None:
    wall = jitter((228, 178, 202), brush.rng, 8)
    brush.box(0, 0, CANVAS, horizon + 10, wall, line=False)
    _ground(brush, horizon + 10, (150, 102, 72))
    left = brush.rng.uniform(-10, 60)
    brush.box(
        left, horizon - 22, left + 125, horizon + 26, jitter((110, 120, 190), brush.rng), line=False
    )
    brush.box(left, horizon - 48, left + 10, horizon + 32, (92, 60, 34), line=False)
    brush.box(left + 11, horizon - 36, left + 44, horizon - 18, (252, 252, 252), line=False)


_PLACES = {
    "beach": _beach,
    "forest": _forest,
    "street": _street,
    "kitchen": _kitchen,
    "field": _field,
    "snow": _snow,
    "desert": _desert,
    "bedroom": _bedroom,
}


def _window(brush: Brush, mood: str, sky: RGB) -> None:
    left = brush.rng.uniform(8, CANVAS - 76)
    brush.box(left, 6, left + 66, 54, (110, 78, 48))
    brush.box(left + 5, 11, left + 61, 49, sky, line=False)
    _weather(brush, mood, (left + 5, 11, left + 61, 49))


def _weather(brush: Brush, mood: str, box: tuple[float, float, float, float]) -> None:
    """Sun, rain or clouds inside a piece of sky; outdoors the rain falls on everything."""
    left, top, right, bottom = box
    small = right - left < CANVAS
    if mood == "happy":
        r = 12 if small else 17
        x = brush.rng.uniform(left + r, right - r)
        brush.oval(x, top + r + (2 if small else 5), r, r, (255, 225, 40), line=False)
    elif mood == "sad":
        for _ in range(14 if small else 60):
            x = brush.rng.uniform(left + 4, right)
            y = brush.rng.uniform(top, bottom - 8 if small else CANVAS)
            brush.stroke([(x, y), (x - 4, y + (8 if small else 12))], (70, 105, 205), 2)
    else:
        for _ in range(1 if small else 3):
            x = brush.rng.uniform(left + 18, right - 18)
            y = brush.rng.uniform(top + 10, top + (24 if small else 30))
            for dx, dy, r in ((-9, 2, 8), (0, -2, 10), (9, 2, 8)):
                brush.oval(x + dx, y + dy, r, r * 0.8, (246, 247, 250), line=False)
