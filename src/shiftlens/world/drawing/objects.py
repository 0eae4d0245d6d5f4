"""Sixteen objects, eight harmless and eight dangerous, each with a silhouette of its own."""

from shiftlens.world.drawing.brush import INK, RGB, Brush, shade

_STEEL: RGB = (200, 206, 216)
_WOOD: RGB = (150, 98, 50)
_DARK: RGB = (50, 50, 56)


def draw_object(brush: Brush, what: str, x: float, foot: float, height: float, color: RGB) -> None:
    """Draw one object whose lowest point is ``foot``; ``color`` is its main or accent colour."""
    r = height / 2
    _OBJECTS[what](brush, x, foot - r, r, color)


def _ball(brush: Brush, x: float, y: float, r: float, color: RGB) -> None:
    brush.oval(x, y, r, r, color)
    brush.arc(x - r * 0.9, y, r, -50, 50, (255, 255, 255), r * 0.12)
    brush.arc(x + r * 0.9, y, r, 130, 230, (255, 255, 255), r * 0.12)


def _umbrella(brush: Brush, x: float, y: float, r: float, color: RGB) -> None:
    brush.stroke([(x, y - r * 0.9), (x, y + r * 0.75)], _DARK, r * 0.12)
    brush.arc(x + r * 0.2, y + r * 0.7, r * 0.22, 0, 180, _DARK, r * 0.12)
    rim = [(x + r * 1.25 * step / 3, y + (0 if step % 2 else r * 0.1)) for step in range(-3, 4)]
    top = [(x + r * 0.85, y - r * 0.65), (x, y - r), (x - r * 0.85, y - r * 0.65)]
    brush.shape([*rim, *top], color)


def _cup(brush: Brush, x: float, y: float, r: float, color: RGB) -> None:
    brush.arc(x + r * 0.75, y, r * 0.45, -100, 100, shade(color, 0.8), r * 0.18)
    brush.shape(
        [
            (x - r * 0.75, y - r * 0.75),
            (x + r * 0.75, y - r * 0.75),
            (x + r * 0.5, y + r),
            (x - r * 0.5, y + r),
        ],
        color,
    )
    brush.oval(x, y - r * 0.75, r * 0.75, r * 0.2, (95, 55, 25))


def _lamp(brush: Brush, x: float, y: float, r: float, color: RGB) -> None:
    brush.box(x - r * 0.08, y, x + r * 0.08, y + r * 0.85, _DARK, line=False)
    brush.box(x - r * 0.45, y + r * 0.8, x + r * 0.45, y + r, _DARK)
    brush.shape(
        [
            (x - r * 0.85, y + r * 0.1),
            (x - r * 0.4, y - r),
            (x + r * 0.4, y - r),
            (x + r * 0.85, y + r * 0.1),
        ],
        color,
    )
    brush.oval(x, y + r * 0.2, r * 0.2, r * 0.15, (255, 245, 150))


def _book(brush: Brush, x: float, y: float, r: float, color: RGB) -> None:
    for side in (-1, 1):
        page = [
            (x, y - r * 0.55),
            (x + side * r * 1.15, y - r * 0.8),
            (x + side * r * 1.15, y + r * 0.65),
        ]
        brush.shape([*page, (x, y + r * 0.9)], color)
        inner = [
            (x, y - r * 0.4),
            (x + side * r * 0.95, y - r * 0.6),
            (x + side * r * 0.95, y + r * 0.4),
        ]
        brush.shape([*inner, (x, y + r * 0.65)], (252, 250, 240))
        for line in (-0.15, 0.15):
            brush.stroke(
                [(x + side * r * 0.2, y + r * line), (x + side * r * 0.8, y + r * (line - 0.12))],
                _DARK,
                2,
            )


def _chair(brush: Brush, x: float, y: float, r: float, color: RGB) -> None:
    brush.box(x - r * 0.7, y - r, x - r * 0.45, y + r, color)
    brush.box(x - r * 0.7, y, x + r * 0.7, y + r * 0.25, color)
    brush.box(x + r * 0.45, y + r * 0.25, x + r * 0.7, y + r, color)
    for bar in (-0.7, -0.35):
        brush.box(x - r * 0.45, y + r * bar, x - r * 0.1, y + r * (bar + 0.15), shade(color, 0.8))


def _apple(brush: Brush, x: float, y: float, r: float, color: RGB) -> None:
    for side in (-1, 1):
        brush.oval(x + side * r * 0.33, y + r * 0.2, r * 0.6, r * 0.75, color)
    brush.oval(x, y + r * 0.25, r * 0.5, r * 0.62, color, line=False)
    brush.stroke([(x, y - r * 0.45), (x + r * 0.1, y - r)], (90, 55, 25), r * 0.12)
    brush.shape(
        [(x + r * 0.1, y - r * 0.7), (x + r * 0.65, y - r), (x + r * 0.5, y - r * 0.55)],
        (40, 160, 50),
    )


def _guitar(brush: Brush, x: float, y: float, r: float, color: RGB) -> None:
    brush.stroke([(x + r * 0.1, y), (x + r * 0.9, y - r * 0.95)], _WOOD, r * 0.2)
    brush.oval(x + r * 0.05, y + r * 0.05, r * 0.48, r * 0.45, color)
    brush.oval(x - r * 0.4, y + r * 0.45, r * 0.62, r * 0.55, color)
    brush.oval(x - r * 0.25, y + r * 0.3, r * 0.2, r * 0.2, INK)


def _knife(brush: Brush, x: float, y: float, r: float, color: RGB) -> None:
    blade = [(x - r * 1.3, y + r * 0.05), (x - r * 0.9, y - r * 0.35), (x + r * 0.25, y - r * 0.35)]
    brush.shape([*blade, (x + r * 0.25, y + r * 0.15)], _STEEL)
    brush.box(x + r * 0.25, y - r * 0.4, x + r * 0.37, y + r * 0.3, _DARK)
    brush.box(x + r * 0.37, y - r * 0.3, x + r * 1.2, y + r * 0.12, color)


def _bomb(brush: Brush, x: float, y: float, r: float, color: RGB) -> None:
    brush.stroke(
        [(x + r * 0.35, y - r * 0.45), (x + r * 0.6, y - r * 0.8), (x + r * 0.9, y - r * 0.75)],
        color,
        r * 0.14,
    )
    brush.oval(x - r * 0.1, y + r * 0.2, r * 0.8, r * 0.8, (28, 28, 34))
    brush.box(x + r * 0.1, y - r * 0.65, x + r * 0.5, y - r * 0.35, _DARK)
    brush.oval(x - r * 0.4, y - r * 0.1, r * 0.16, r * 0.16, (230, 230, 235), line=False)
    spark = [
        (x + r * (0.95 + dx), y + r * (dy - 0.78))
        for dx, dy in (
            (0, -0.3),
            (0.1, -0.08),
            (0.3, 0),
            (0.1, 0.1),
            (0, 0.3),
            (-0.1, 0.1),
            (-0.3, 0),
            (-0.1, -0.08),
        )
    ]
    brush.shape(spark, (255, 180, 30))


def _gun(brush: Brush, x: float, y: float, r: float, color: RGB) -> None:
    grip = [
        (x + r * 0.3, y - r * 0.1),
        (x + r * 0.9, y - r * 0.1),
        (x + r * 1.1, y + r),
        (x + r * 0.6, y + r),
    ]
    brush.shape(grip, color)
    brush.arc(x + r * 0.1, y + r * 0.05, r * 0.3, 0, 200, _DARK, r * 0.1)
    brush.box(x - r * 1.2, y - r * 0.6, x + r * 0.95, y - r * 0.08, (72, 74, 84))
    brush.box(x - r * 1.3, y - r * 0.5, x - r * 1.2, y - r * 0.3, INK)


def _poison(brush: Brush, x: float, y: float, r: float, color: RGB) -> None:
    brush.box(x - r * 0.25, y - r, x + r * 0.25, y - r * 0.45, _WOOD)
    brush.shape(
        [
            (x - r * 0.3, y - r * 0.5),
            (x + r * 0.3, y - r * 0.5),
            (x + r * 0.75, y + r),
            (x - r * 0.75, y + r),
        ],
        color,
    )
    brush.oval(x, y + r * 0.25, r * 0.42, r * 0.38, (252, 252, 252))
    brush.box(x - r * 0.2, y + r * 0.5, x + r * 0.2, y + r * 0.78, (252, 252, 252))
    for side in (-1, 1):
        brush.oval(x + side * r * 0.17, y + r * 0.25, r * 0.13, r * 0.13, INK, line=False)


def _axe(brush: Brush, x: float, y: float, r: float, color: RGB) -> None:
    brush.stroke([(x - r * 0.5, y + r), (x + r * 0.35, y - r * 0.95)], INK, r * 0.24)
    brush.stroke([(x - r * 0.5, y + r), (x + r * 0.35, y - r * 0.95)], color, r * 0.16)
    blade = [(x + r * 0.1, y - r * 0.85), (x + r * 1.0, y - r * 0.95), (x + r * 1.1, y + r * 0.05)]
    brush.shape([*blade, (x - r * 0.05, y - r * 0.3)], _STEEL)


def _dynamite(brush: Brush, x: float, y: float, r: float, color: RGB) -> None:
    brush.stroke(
        [(x, y - r * 0.6), (x + r * 0.2, y - r * 0.9), (x + r * 0.6, y - r * 0.95)], _DARK, r * 0.1
    )
    for column in (-0.6, 0.0, 0.6):
        brush.box(
            x + r * (column - 0.28), y - r * 0.6, x + r * (column + 0.28), y + r, (222, 52, 40)
        )
    brush.box(x - r * 0.95, y + r * 0.05, x + r * 0.95, y + r * 0.35, color)
    brush.oval(x + r * 0.7, y - r * 0.95, r * 0.16, r * 0.16, (255, 190, 40), line=False)


def _rocket(brush: Brush, x: float, y: float, r: float, color: RGB) -> None:
    for side in (-1, 1):
        brush.shape(
            [
                (x + side * r * 0.3, y + r * 0.1),
                (x + side * r * 0.75, y + r * 0.8),
                (x + side * r * 0.3, y + r * 0.6),
            ],
            shade(color, 0.7),
        )
    brush.shape(
        [(x - r * 0.22, y + r * 0.6), (x, y + r * 1.05), (x + r * 0.22, y + r * 0.6)],
        (255, 170, 30),
    )
    brush.box(x - r * 0.32, y - r * 0.45, x + r * 0.32, y + r * 0.62, color)
    brush.shape(
        [(x - r * 0.32, y - r * 0.45), (x, y - r), (x + r * 0.32, y - r * 0.45)], (225, 45, 45)
    )
    brush.oval(x, y - r * 0.1, r * 0.16, r * 0.16, (190, 228, 245))


def _saw(brush: Brush, x: float, y: float, r: float, color: RGB) -> None:
    teeth: list[tuple[float, float]] = []
    for step in range(9):
        teeth.append((x - r * 1.25 + step * r * 0.19, y + (r * 0.55 if step % 2 else r * 0.2)))
    brush.shape(
        [
            (x - r * 1.25, y - r * 0.05),
            *teeth,
            (x + r * 0.35, y + r * 0.3),
            (x + r * 0.35, y - r * 0.5),
        ],
        _STEEL,
    )
    brush.oval(x + r * 0.75, y - r * 0.05, r * 0.48, r * 0.55, color)
    brush.oval(x + r * 0.78, y - r * 0.02, r * 0.2, r * 0.26, (245, 245, 245))


_OBJECTS = {
    "ball": _ball, "umbrella": _umbrella, "cup": _cup, "lamp": _lamp, "book": _book,
    "chair": _chair, "apple": _apple, "guitar": _guitar, "knife": _knife, "bomb": _bomb,
    "gun": _gun, "poison": _poison, "axe": _axe, "dynamite": _dynamite, "rocket": _rocket,
    "saw": _saw,
}  # fmt: skip
