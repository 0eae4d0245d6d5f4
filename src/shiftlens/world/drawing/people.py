"""People: a bearded man, a long-haired woman in a dress, a hooded adult, a small child."""

from shiftlens.world.drawing.brush import RGB, Brush, face, jitter, shade, streaks

_SKINS: tuple[RGB, ...] = ((245, 205, 170), (205, 155, 115), (145, 98, 66))
_TROUSERS: RGB = (70, 70, 105)


def draw_person(
    brush: Brush, who: str, x: float, foot: float, height: float, color: RGB, action: str, mood: str
) -> None:
    """Draw one person standing on ``foot``; ``color`` is what they wear."""
    facing = brush.rng.choice((-1, 1))
    skin = jitter(brush.rng.choice(_SKINS), brush.rng, 8)
    height *= 0.72 if who == "child" else 1.0
    head = height * (0.2 if who == "child" else 0.165)
    if action == "running":
        streaks(brush, x, foot, height, facing)
    if action == "sitting":
        _stool(brush, x, foot, height)
        foot -= height * 0.02
        height *= 0.86
    hip = foot - height * (0.2 if action == "sitting" else 0.32)
    neck = foot - height + 2 * head
    lean = facing * height * 0.09 if action == "running" else 0.0
    _legs(brush, who, x, hip, foot, height, action, facing, skin)
    _body(brush, who, x, x + lean, neck, hip, height, color)
    _arms(brush, x + lean, neck, height, action, mood, facing, color if who == "person" else skin)
    _head(brush, who, x + lean, neck - head * 0.85, head, skin, color, mood)


def _stool(brush: Brush, x: float, foot: float, height: float) -> None:
    seat = foot - height * 0.2
    brush.box(x - height * 0.24, seat, x + height * 0.24, seat + height * 0.07, (165, 105, 50))
    for side in (-1, 1):
        leg = x + side * height * 0.19
        brush.box(leg - 3, seat + height * 0.07, leg + 3, foot, (125, 75, 35))


def _legs(
    brush: Brush,
    who: str,
    x: float,
    hip: float,
    foot: float,
    height: float,
    action: str,
    facing: int,
    skin: RGB,
) -> None:
    cloth = skin if who == "woman" else _TROUSERS
    width = height * 0.075
    if action == "sitting":
        knee = x + facing * height * 0.26
        brush.stroke([(x, hip), (knee, hip), (knee, foot)], cloth, width * 1.2)
        return
    spread = ((-0.26, -0.1), (0.25, 0.0)) if action == "running" else ((-0.07, 0.0), (0.07, 0.0))
    for dx, dy in spread:
        brush.stroke([(x, hip - 4), (x + facing * dx * height, foot + dy * height)], cloth, width)


def _body(
    brush: Brush, who: str, x: float, top: float, neck: float, hip: float, height: float, color: RGB
) -> None:
    w = height * 0.13
    if who == "woman":
        hem = hip + height * 0.14
        corners = [(top - w * 0.7, neck), (top + w * 0.7, neck), (x + w * 2, hem), (x - w * 2, hem)]
        brush.shape(corners, color)
    elif who == "person":
        hem = hip + height * 0.18
        corners = [(top - w, neck), (top + w, neck), (x + w * 1.5, hem), (x - w * 1.5, hem)]
        brush.shape(corners, color)
    else:
        corners = [(top - w, neck), (top + w, neck), (x + w * 0.9, hip), (x - w * 0.9, hip)]
        brush.shape(corners, color)


def _arms(
    brush: Brush,
    x: float,
    neck: float,
    height: float,
    action: str,
    mood: str,
    facing: int,
    fill: RGB,
) -> None:
    shoulder = neck + height * 0.05
    if action == "running":
        ends = ((-0.25, 0.0), (0.25, -0.02))
    elif mood == "happy":
        ends = ((-0.24, -0.16), (0.24, -0.16))
    else:
        ends = ((-0.19, 0.2), (0.19, 0.2))
    for dx, dy in ends:
        hand = (x + facing * dx * height, shoulder + dy * height)
        brush.stroke([(x, shoulder), hand], fill, height * 0.055)


def _head(
    brush: Brush, who: str, x: float, y: float, r: float, skin: RGB, color: RGB, mood: str
) -> None:
    if who == "woman":
        hair = brush.rng.choice([(95, 52, 20), (225, 185, 85), (140, 60, 25)])
        brush.oval(x, y - r * 0.1, r * 1.3, r * 1.25, hair)
        brush.box(x - r * 1.3, y, x + r * 1.3, y + r * 2.0, hair, line=False)
    elif who == "person":
        brush.shape(
            [(x - r * 1.5, y + r), (x, y - r * 1.9), (x + r * 1.5, y + r)], shade(color, 0.8)
        )
        brush.oval(x, y, r * 1.35, r * 1.3, shade(color, 0.8), line=False)
    brush.oval(x, y, r, r, skin)
    if who == "man":
        brush.shape([(x - r, y + r * 0.15), (x + r, y + r * 0.15), (x, y + r * 1.6)], (50, 32, 20))
        brush.oval(x, y + r * 0.1, r * 0.75, r * 0.72, skin, line=False)
        brush.box(x - r, y - r * 1.05, x + r, y - r * 0.55, (50, 32, 20), line=False)
    elif who == "child":
        brush.shape([(x - r, y - r * 0.5), (x, y - r * 1.8), (x + r, y - r * 0.5)], (240, 130, 30))
        brush.oval(x, y - r * 1.8, r * 0.3, r * 0.3, (255, 255, 255))
    face(brush, x, y + r * 0.1, r * 0.85, mood)
