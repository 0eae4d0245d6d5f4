"""Scenes: what a picture of the world shows, as a record that draws the same picture again.

Pictures of different splits can never be equal: each split draws its seeds from a range of its
own. Some combinations of factors never occur in training at all; they make the split
``combinations``, which asks whether the model composes what it knows.
"""

import random
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import Any

from shiftlens.core.errors import DataError

PLACES = ("beach", "forest", "street", "kitchen", "field", "snow", "desert", "bedroom")
INDOORS = ("kitchen", "bedroom")
COLORS = ("red", "blue", "green", "yellow", "black", "white", "brown", "purple")
MOODS = ("happy", "sad", "calm")

ADULTS = ("man", "woman", "person")
"""``person`` is an adult in a hooded robe: nothing in the picture tells a gender."""
PEOPLE = (*ADULTS, "child")
ANIMALS = ("dog", "cat", "horse", "bird")
VEHICLES = ("car", "bus")
HARMLESS = ("ball", "umbrella", "cup", "lamp", "book", "chair", "apple", "guitar")
DANGEROUS = ("knife", "bomb", "gun", "poison", "axe", "dynamite", "rocket", "saw")
OBJECTS = (*HARMLESS, *DANGEROUS)
SUBJECTS = (*PEOPLE, *ANIMALS, *VEHICLES, *OBJECTS)

SPLITS = ("train", "held_out", "combinations")
_SEEDS_PER_SPLIT = 2**29

_NEVER_TRAINED = frozenset(
    {
        ("horse", "beach"),
        ("cat", "snow"),
        ("bus", "kitchen"),
        ("child", "desert"),
        ("bird", "bedroom"),
        ("car", "forest"),
        ("dog", "purple"),
        ("cat", "green"),
        ("bus", "white"),
        ("child", "brown"),
    }
)
"""Pairs of a subject with a place or a colour that no training scene shows."""


@dataclass(frozen=True)
class Scene:
    """One picture, in words.

    Attributes:
        place: one of ``PLACES``.
        subject: one of ``SUBJECTS``.
        color: of the subject, or of what it wears.
        action: one of ``actions_of(subject)``.
        mood: told by the weather and the face.
        count: how many of the subject, 1 to 4.
        extra: a harmless object in the corner, or ``None``.
        seed: of everything else: positions, sizes, flips, light, noise. It also tells the split.
    """

    place: str
    subject: str
    color: str
    action: str
    mood: str
    count: int
    extra: str | None
    seed: int

    def record(self) -> dict[str, Any]:
        """The scene as a JSON object; ``Scene.from_record`` gives it back."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "Scene":
        """Make a scene from a record; keys that are not of a scene are ignored.

        Raises:
            DataError: a key of the scene is missing.
        """
        names = [entry.name for entry in fields(cls)]
        missing = [name for name in names if name not in record]
        if missing:
            raise DataError(
                f"the record lacks {', '.join(missing)}", allowed=f"keys: {', '.join(names)}"
            )
        return cls(**{name: record[name] for name in names})

    @property
    def split(self) -> str:
        """The split that the scene's seed belongs to."""
        return SPLITS[self.seed // _SEEDS_PER_SPLIT]

    @property
    def is_unseen_combination(self) -> bool:
        """Whether the scene pairs factors that never occur together in training."""
        pairs = {(self.subject, self.place), (self.subject, self.color)}
        return bool(pairs & _NEVER_TRAINED)


def actions_of(subject: str) -> tuple[str, ...]:
    """What a subject can be seen doing; one name for things that can only lie there."""
    if subject == "bird":
        return ("standing", "flying")
    if subject in VEHICLES:
        return ("parked", "moving")
    if subject in OBJECTS:
        return ("lying",)
    return ("standing", "running", "sitting")


def sample_scenes(
    n: int,
    *,
    split: str = "train",
    seed: int = 0,
    where: Callable[[Scene], bool] | None = None,
    **fixed: Any,
) -> list[Scene]:
    """Draw random scenes.

    Args:
        n: how many.
        split: ``train``, ``held_out`` or ``combinations``.
        seed: same seed, same scenes.
        where: keep only scenes for which this is true.
        fixed: factors of a scene that are the same in all of them, for example ``place="snow"``.

    Raises:
        DataError: unknown split or factor, or nothing satisfies ``where``.
    """
    if split not in SPLITS:
        raise DataError(f"unknown split {split!r}", allowed=f"splits: {', '.join(SPLITS)}")
    unknown = sorted(set(fixed) - {entry.name for entry in fields(Scene)})
    if unknown:
        raise DataError(f"a scene has no factor {unknown[0]!r}")
    rng = random.Random(f"{split}/{seed}")
    scenes: list[Scene] = []
    for _ in range(1000 * n + 1000):
        scene = _draw(rng, split, fixed)
        wanted = scene.is_unseen_combination == (split == "combinations")
        if wanted and (where is None or where(scene)):
            scenes.append(scene)
        if len(scenes) == n:
            return scenes
    raise DataError(
        f"found {len(scenes)} of {n} scenes", remedy="ask for a less rare kind of scene"
    )


def _draw(rng: random.Random, split: str, fixed: dict[str, Any]) -> Scene:
    kinds: tuple[tuple[str, ...], ...] = (PEOPLE, ANIMALS, VEHICLES, OBJECTS)
    kind = rng.choices(kinds, (0.44, 0.22, 0.1, 0.24))[0]
    subject = fixed.get("subject") or rng.choice(kind)
    alone = subject in OBJECTS
    factors: dict[str, Any] = {
        "subject": subject,
        "place": rng.choice(PLACES),
        "color": rng.choice(COLORS),
        "mood": rng.choice(MOODS),
        "action": rng.choice(actions_of(subject)),
        "count": 1 if alone else rng.choices((1, 2, 3, 4), (0.52, 0.18, 0.15, 0.15))[0],
        "extra": None if alone or rng.random() < 0.65 else rng.choice(HARMLESS),
        "seed": SPLITS.index(split) * _SEEDS_PER_SPLIT + rng.randrange(_SEEDS_PER_SPLIT),
    }
    return Scene(**{**factors, **fixed})
