"""From a scene to its picture, with a box and a mask for each thing that the scene names."""

import random
from dataclasses import dataclass

import numpy as np
from PIL import Image

from shiftlens.world.drawing.backgrounds import draw_background
from shiftlens.world.drawing.brush import CANVAS, PAINTS, Brush, jitter
from shiftlens.world.drawing.creatures import draw_animal, draw_vehicle
from shiftlens.world.drawing.objects import draw_object
from shiftlens.world.drawing.people import draw_person
from shiftlens.world.scenes import ANIMALS, COLORS, PEOPLE, VEHICLES, Scene

SIZE = CANVAS // 2
"""Side of a picture in pixels."""

Box = tuple[int, int, int, int]

_HEIGHTS = {1: 148.0, 2: 112.0, 3: 92.0, 4: 86.0}
_SPOTS: dict[int, tuple[tuple[float, float], ...]] = {
    1: ((0.5, 0.93),),
    2: ((0.27, 0.93), (0.73, 0.93)),
    3: ((0.5, 0.66), (0.24, 0.96), (0.76, 0.96)),
    4: ((0.26, 0.64), (0.76, 0.64), (0.24, 0.97), (0.74, 0.97)),
}
"""Where the feet stand, as shares of the canvas; back rows first."""


@dataclass(frozen=True)
class Picture:
    """A drawn scene.

    Attributes:
        image: RGB, ``SIZE`` x ``SIZE``.
        boxes: for each thing (``subject-0`` ..., ``extra``) left, top, right, bottom in pixels.
        masks: the same things as boolean arrays (``SIZE``, ``SIZE``), only what can be seen.
    """

    image: Image.Image
    boxes: dict[str, Box]
    masks: dict[str, np.ndarray]


def render(scene: Scene) -> Picture:
    """Draw a scene; the same scene gives the same bytes."""
    rng = random.Random(scene.seed)
    ground = Brush(rng)
    draw_background(ground, scene.place, scene.mood)
    canvas = ground.layer
    layers: dict[str, Image.Image] = {}
    for index, (across, down) in enumerate(_SPOTS[scene.count]):
        layers[f"subject-{index}"] = _subject(scene, rng, across, down)
    if scene.extra is not None:
        layers["extra"] = _extra(scene.extra, rng)
    for layer in layers.values():
        canvas.alpha_composite(layer)
    masks = _visible(layers)
    boxes = {name: _bounds(mask) for name, mask in masks.items() if mask.any()}
    return Picture(_develop(canvas, scene.seed), boxes, masks)


def _subject(scene: Scene, rng: random.Random, across: float, down: float) -> Image.Image:
    brush = Brush(rng)
    wobble = 0.08 if scene.count == 1 else 0.025
    x = CANVAS * (across + rng.uniform(-wobble, wobble))
    foot = CANVAS * (down + rng.uniform(-0.02, 0.02))
    height = _HEIGHTS[scene.count] * rng.uniform(0.88, 1.06)
    color = jitter(PAINTS[scene.color], rng)
    if scene.subject in PEOPLE:
        draw_person(brush, scene.subject, x, foot, height, color, scene.action, scene.mood)
    elif scene.subject in ANIMALS:
        height *= 1.0 if scene.subject == "bird" else 0.9 if scene.count == 1 else 0.8
        draw_animal(brush, scene.subject, x, foot, height, color, scene.action, scene.mood)
    elif scene.subject in VEHICLES:
        draw_vehicle(brush, scene.subject, x, foot, height, color, scene.action)
    else:
        draw_object(brush, scene.subject, x, foot, height * 0.72, color)
    return brush.layer


def _extra(what: str, rng: random.Random) -> Image.Image:
    brush = Brush(rng)
    x = rng.choice((25.0, CANVAS - 25.0))
    draw_object(brush, what, x, CANVAS - 4.0, 42.0, jitter(PAINTS[rng.choice(COLORS)], rng))
    return brush.layer


def _visible(layers: dict[str, Image.Image]) -> dict[str, np.ndarray]:
    """Masks at picture size; what is drawn later hides what was drawn before."""
    masks: dict[str, np.ndarray] = {}
    hidden = np.zeros((SIZE, SIZE), dtype=bool)
    for name, layer in reversed(layers.items()):
        solid = np.asarray(layer.getchannel("A").reduce(2)) > 127
        masks[name] = solid & ~hidden
        hidden |= solid
    return dict(reversed(masks.items()))


def _bounds(mask: np.ndarray) -> Box:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _develop(canvas: Image.Image, seed: int) -> Image.Image:
    """Reduce to picture size, then light and sensor noise."""
    noise = np.random.default_rng(seed)
    pixels = np.asarray(canvas.convert("RGB").reduce(2), dtype=np.float32)
    pixels = pixels * noise.uniform(0.9, 1.08) + noise.normal(0, 4, pixels.shape)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
