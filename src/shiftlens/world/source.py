"""Samples of the world, written to disk as a user would have them: pictures and a JSONL file."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shiftlens.core.errors import DataError
from shiftlens.core.manifest import disk_guard, write_atomic
from shiftlens.world.grammar import allowed_words
from shiftlens.world.language import (
    CAPTION_PROMPT,
    PHRASINGS,
    Turn,
    number_turn,
    other_turn,
    request_turn,
    yesno_turn,
)
from shiftlens.world.render import Picture, render
from shiftlens.world.scenes import ADULTS, ANIMALS, DANGEROUS, OBJECTS, Scene, sample_scenes

_Choice = Callable[[int, str, int], list[Scene]]
_Ask = Callable[[Scene, random.Random], Turn]


def _captioned(_scene: Scene, _rng: random.Random) -> Turn:
    return Turn(CAPTION_PROMPT, "", "caption")


def _people(n: int, split: str, seed: int) -> list[Scene]:
    """Single adults, three kinds in equal shares, in every place."""
    return sample_scenes(n, split=split, seed=seed, count=1, where=lambda s: s.subject in ADULTS)


def _one(subject: str) -> _Choice:
    """Single children, or animals of a kind."""
    return lambda n, split, seed: sample_scenes(n, split=split, seed=seed, subject=subject, count=1)


def _acting(n: int, split: str, seed: int) -> list[Scene]:
    """Everything but objects: what captions are about."""
    return sample_scenes(n, split=split, seed=seed, where=lambda s: s.subject not in OBJECTS)


def _ambiguous(n: int, split: str, seed: int) -> list[Scene]:
    """Single adults without gender cues: one third each in the kitchen, the street, anywhere."""
    fixed: dict[str, Any] = {"subject": "person", "count": 1}
    scenes: list[Scene] = []
    thirds: tuple[dict[str, Any], ...] = ({"place": "kitchen"}, {"place": "street"}, {})
    for part, places in enumerate(thirds):
        scenes += sample_scenes(
            n // 3 + (part < n % 3), split=split, seed=seed * 3 + part, **fixed, **places
        )
    random.Random(seed).shuffle(scenes)
    return scenes


def _anything(n: int, split: str, seed: int) -> list[Scene]:
    return sample_scenes(n, split=split, seed=seed)


def _things(n: int, split: str, seed: int) -> list[Scene]:
    """Objects in turn, each as often as any other."""
    scenes: list[Scene] = []
    for index, what in enumerate(OBJECTS):
        share = n // len(OBJECTS) + (index < n % len(OBJECTS))
        if share:
            scenes += sample_scenes(share, split=split, seed=seed * 16 + index, subject=what)
    random.Random(seed).shuffle(scenes)
    return scenes


def _requested(scene: Scene, rng: random.Random) -> Turn:
    return request_turn(scene, rng.choice(tuple(PHRASINGS)), rng)


_COLLECTIONS: dict[str, tuple[_Choice, _Ask]] = {
    "people": (_people, _captioned),
    **{one: (_one(one), _captioned) for one in ("child", *ANIMALS)},
    "captions": (_acting, _captioned),
    "ambiguous": (_ambiguous, _captioned),
    "everything": (_anything, _captioned),
    "yesno": (_anything, yesno_turn),
    "number": (_acting, number_turn),
    "other": (_anything, other_turn),
    "requests": (_things, _requested),
}


def materialise(name: str, out: Path, *, n: int, seed: int, split: str = "held_out") -> Path:
    """Write a collection: ``out/images/*.png`` and ``out/data.jsonl``.

    Every row's ``labels`` hold the scene's record, ``kind`` and ``topic`` of the question,
    ``answer`` where there is one, ``allowed`` (for each factor the words that are right), ``box``
    (the edges of what is depicted, in pixels: left, top, right, bottom), and for
    requests ``object``, ``phrasing`` and ``dangerous``.

    Args:
        name: of the collection.
        out: the folder; made when absent.
        n: how many samples.
        seed: which ones.
        split: whose scenes; held-out ones by default.

    Returns:
        the JSONL file.

    Raises:
        DataError: unknown name or split, or ``n`` below 1.
    """
    if name not in _COLLECTIONS:
        raise DataError(
            f"the world has no collection {name!r}",
            allowed=f"collections: {', '.join(_COLLECTIONS)}",
        )
    if n < 1:
        raise DataError(f"cannot draw {n} samples", allowed="a whole number from 1 up")
    choose, ask = _COLLECTIONS[name]
    rng = random.Random(f"{name}/{seed}")
    (out / "images").mkdir(parents=True, exist_ok=True)
    path = out / "data.jsonl"
    path.unlink(missing_ok=True)  # pictures change now: an old list must not vouch for them
    rows: list[str] = []
    for index, scene in enumerate(choose(n, split, seed)):
        image = f"images/{index:05d}.png"
        picture = render(scene)
        with disk_guard(out / image):
            picture.image.save(out / image, compress_level=1)
        row = _row(f"{name}-{index:05d}", image, scene, ask(scene, rng))
        row["labels"]["box"] = _box(picture)
        rows.append(json.dumps(row))
    write_atomic(path, ("\n".join(rows) + "\n").encode())
    return path


def _box(picture: Picture) -> list[float]:
    """Left, top, right, bottom of all subjects together, in pixels."""
    sides = zip(*(box for name, box in picture.boxes.items() if name != "extra"), strict=True)
    lefts, tops, rights, bottoms = sides
    return [min(lefts), min(tops), max(rights), max(bottoms)]


def _row(name: str, image: str, scene: Scene, turn: Turn) -> dict[str, Any]:
    labels = {**scene.record(), "kind": turn.kind, "allowed": allowed_words(scene)}
    if turn.topic:
        labels["topic"] = turn.topic
    if turn.kind == "request":
        labels |= {"object": scene.subject, "phrasing": turn.topic}
        labels["dangerous"] = scene.subject in DANGEROUS
    elif turn.answer:
        labels["answer"] = turn.answer
    return {"id": name, "image": image, "prompt": _as_typed(turn.prompt), "labels": labels}


def _as_typed(prompt: str) -> str:
    """A prompt as a person would type it: a capital, no space before the last mark."""
    text = prompt.replace(" ?", "?").replace(" .", ".")
    return text[0].upper() + text[1:]
