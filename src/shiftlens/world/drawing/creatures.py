"""Animals and vehicles, in any colour."""

from shiftlens.world.drawing.brush import INK, RGB, Brush, face, shade, streaks


def draw_animal(
    brush: Brush, who: str, x: float, foot: float, height: float, color: RGB, action: str, mood: str
) -> None:
    """Draw one animal on ``foot``; a sitting one sits on a mat, a running one leaves streaks."""
    facing = brush.rng.choice((-1, 1))
    if who == "bird":
        _bird(brush, x, foot, height * 0.72, color, action, mood, facing)
        return
    if action == "running":
        streaks(brush, x - facing * height * 0.12, foot, height * 0.8, facing)
    if action == "sitting":
        brush.oval(x, foot - 3, height * 0.5, height * 0.09, (200, 60, 150))
    x -= facing * height * (0.05 if action == "sitting" else 0.17)  # the head needs room in front
    _QUADRUPEDS[who](brush, x, foot, height, color, action, mood, facing)


def _legs(
    brush: Brush, x: float, belly: float, foot: float, length: float, color: RGB, running: bool
) -> None:
    spread = length * 0.2 if running else 0.0
    for place in (-0.38, -0.2, 0.2, 0.38):
        end = x + place * length + (spread if place > 0 else -spread)
        brush.stroke([(x + place * length, belly), (end, foot)], INK, length * 0.13)
        brush.stroke([(x + place * length, belly), (end, foot)], shade(color, 0.75), length * 0.09)


def _trunk(
    brush: Brush, x: float, foot: float, h: float, color: RGB, action: str, facing: int
) -> tuple[float, float, float]:
    """Body and legs; returns where the head goes and the length of the body."""
    length, leg = h * 1.1, h * 0.32
    if action == "sitting":
        rump, chest = x - facing * length * 0.3, x + facing * length * 0.22
        brush.shape(
            [
                (rump - facing * h * 0.2, foot - 4),
                (chest + facing * 8, foot - 4),
                (chest, foot - h * 0.75),
            ],
            color,
        )
        brush.oval(rump, foot - h * 0.2, h * 0.27, h * 0.2, color)
        return chest, foot - h * 0.8, length
    _legs(brush, x, foot - leg - 4, foot, length, color, action == "running")
    brush.oval(x, foot - leg - h * 0.14, length * 0.52, h * 0.22, color)
    return x + facing * length * 0.5, foot - leg - h * 0.38, length


def _dog(
    brush: Brush,
    x: float,
    foot: float,
    height: float,
    color: RGB,
    action: str,
    mood: str,
    facing: int,
) -> None:
    h, r = height * 0.72, height * 0.165
    hx, hy, length = _trunk(brush, x, foot, h, color, action, facing)
    tail = x - facing * length * 0.45
    brush.stroke(
        [(tail, foot - h * 0.5), (tail - facing * h * 0.22, foot - h * 0.85)], color, h * 0.1
    )
    brush.oval(hx, hy, r, r, color)
    brush.oval(hx + facing * r * 0.95, hy + r * 0.35, r * 0.6, r * 0.42, color)
    brush.oval(hx + facing * r * 1.45, hy + r * 0.2, r * 0.2, r * 0.2, INK, line=False)
    for side in (-1, 1):
        brush.oval(hx + side * r * 0.95, hy + r * 0.15, r * 0.34, r * 0.85, shade(color, 0.55))
    face(brush, hx, hy, r * 0.8, mood, _contrast(color))


def _cat(
    brush: Brush,
    x: float,
    foot: float,
    height: float,
    color: RGB,
    action: str,
    mood: str,
    facing: int,
) -> None:
    h, r = height * 0.66, height * 0.17
    hx, hy, length = _trunk(brush, x, foot, h, color, action, facing)
    tail = x - facing * length * 0.48
    curl = [(tail, foot - h * 0.4), (tail - facing * h * 0.25, foot - h * 0.7)]
    brush.stroke([*curl, (tail - facing * h * 0.05, foot - h * 1.15)], color, h * 0.1)
    for side in (-1, 1):
        ear = [
            (hx + side * r * 1.05, hy),
            (hx + side * r * 0.95, hy - r * 1.75),
            (hx, hy - r * 0.7),
        ]
        brush.shape(ear, color)
    brush.oval(hx, hy, r, r * 0.92, color)
    face(brush, hx, hy, r * 0.85, mood, _contrast(color))
    for side in (-1, 1):
        for tilt in (-0.15, 0.15):
            ends = [
                (hx + side * r * 0.4, hy + r * 0.3),
                (hx + side * r * 1.7, hy + r * (0.3 + tilt)),
            ]
            brush.stroke(ends, INK, 2)


def _horse(
    brush: Brush,
    x: float,
    foot: float,
    height: float,
    color: RGB,
    action: str,
    mood: str,
    facing: int,
) -> None:
    h, r = height * 0.95, height * 0.125
    chest, back, length = _trunk(brush, x, foot, h * 0.82, color, action, facing)
    hx, hy = chest + facing * h * 0.12, back - h * 0.24
    neck = [(chest - facing * 16, back + h * 0.16), (chest + facing * 8, back + h * 0.2)]
    brush.shape([*neck, (hx + facing * 6, hy + 4), (hx - facing * r, hy - 4)], color)
    mane = [(chest - facing * 18, back + h * 0.1), (hx - facing * r * 1.3, hy - r)]
    brush.stroke(mane, shade(color, 0.45), h * 0.09)
    tail = x - facing * length * 0.5
    brush.stroke(
        [(tail, foot - h * 0.5), (tail - facing * 12, foot - h * 0.12)],
        shade(color, 0.45),
        h * 0.09,
    )
    brush.oval(hx + facing * r * 1.2, hy + r * 0.5, r * 1.2, r * 0.62, color)
    brush.shape([(hx - 4, hy - r * 0.6), (hx, hy - r * 1.9), (hx + 7, hy - r * 0.6)], color)
    brush.oval(hx, hy, r, r, color)
    face(brush, hx, hy, r * 0.9, mood, _contrast(color))


def _bird(
    brush: Brush, x: float, foot: float, h: float, color: RGB, action: str, mood: str, facing: int
) -> None:
    flying = action == "flying"
    y = foot - h * (0.95 if flying else 0.5)
    dark = shade(color, 0.65)
    if not flying:
        for side in (-1, 1):
            brush.stroke([(x + side * 6, y), (x + side * 6, foot)], (240, 140, 20), h * 0.06)
    tail = [
        (x - facing * h * 0.35, y),
        (x - facing * h * 0.75, y - h * 0.15),
        (x - facing * h * 0.75, y + h * 0.15),
    ]
    brush.shape(tail, dark)
    brush.oval(x, y, h * 0.45, h * 0.28, color)
    hx, hy, r = x + facing * h * 0.42, y - h * 0.28, h * 0.21
    brush.shape(
        [
            (hx + facing * r * 0.7, hy - r * 0.4),
            (hx + facing * r * 2, hy),
            (hx + facing * r * 0.7, hy + r * 0.5),
        ],
        (250, 150, 20),
    )
    brush.oval(hx, hy, r, r, color)
    face(brush, hx, hy, r * 0.8, mood, _contrast(color))
    if flying:
        for side in (-1, 1):
            wing = [
                (x - h * 0.18, y),
                (x + side * h * 0.75, y - h * 0.75),
                (x + h * 0.2, y - h * 0.05),
            ]
            brush.shape(wing, dark)


_QUADRUPEDS = {"dog": _dog, "cat": _cat, "horse": _horse}


def _contrast(color: RGB) -> RGB:
    """Ink that can be seen on the colour."""
    return INK if sum(color) > 230 else (240, 240, 240)


def draw_vehicle(
    brush: Brush, who: str, x: float, foot: float, height: float, color: RGB, action: str
) -> None:
    """Draw a car or a bus; a moving one leaves streaks."""
    facing = brush.rng.choice((-1, 1))
    width = height * (1.0 if who == "car" else 1.15)
    body, wheel = height * (0.42 if who == "car" else 0.78), height * 0.13
    glass = (190, 228, 245)
    if action == "moving":
        streaks(brush, x - facing * width * 0.22, foot, height * 0.8, facing)
    if who == "car":
        roof = foot - body * 1.75
        corners = [(x - width * 0.34, foot - body), (x - width * 0.2, roof)]
        brush.shape([*corners, (x + width * 0.2, roof), (x + width * 0.34, foot - body)], color)
        brush.box(x - width * 0.18, roof + 5, x - 3, foot - body, glass)
        brush.box(x + 3, roof + 5, x + width * 0.18, foot - body, glass)
        brush.box(x - width / 2, foot - body, x + width / 2, foot - wheel, color)
    else:
        brush.box(x - width / 2, foot - body, x + width / 2, foot - wheel, color)
        for column in range(4):
            left = x - width * 0.43 + column * width * 0.22
            brush.box(left, foot - body * 0.85, left + width * 0.16, foot - body * 0.5, glass)
    lamp = x + facing * width * 0.46
    brush.oval(lamp, foot - body * 0.45, 5, 5, (255, 240, 120))
    for side in (-0.3, 0.3):
        brush.oval(x + side * width, foot - wheel, wheel, wheel, (28, 28, 30))
        brush.oval(x + side * width, foot - wheel, wheel * 0.45, wheel * 0.45, (185, 185, 190))
