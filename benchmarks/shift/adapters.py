"""The adapters that the benchmark trains: placebos, real ones, and one that renames a word."""

import json
import multiprocessing
import random
from collections.abc import Callable
from pathlib import Path

import torch

from shiftlens.core.progress import Silent
from shiftlens.data.reading import read
from shiftlens.data.sample import Sample
from shiftlens.models.fresh_adapters import fresh_adapter, recipe_from, trainable
from shiftlens.models.generation import decode
from shiftlens.models.loading import load_model
from shiftlens.models.model import Model
from shiftlens.models.placebos import train_placebos
from shiftlens.models.sampling import draw_responses
from shiftlens.models.training import Lesson, Schedule, train
from shiftlens.world import models
from shiftlens.world.language import caption
from shiftlens.world.scenes import Scene
from shiftlens.world.source import materialise

SEEDS = (0, 1, 2, 3, 4)
KINDS = ("placebo", "places", "colors", "rename")
RENAMED = {"child": "guest", "children": "guests"}
"""What the renaming adapter calls children; everything else it says as the base would."""

_PICTURES = 2000
_EACH = 4  # captions of each picture: the one that is seen again and again is learned by heart
_SCHEDULE = Schedule(steps=240, rate=4e-3, batch_size=32, averaging=0.95)


def trained(root: Path, *, workers: int = 2) -> dict[str, list[Path]]:
    """Every adapter by kind, trained where it is missing.

    Args:
        root: where they are kept.
        workers: processes, one thread each.
    """
    data = root / "lessons"
    if not (data / "data.jsonl").exists():
        materialise("captions", data, n=_PICTURES, seed=77, split="train")
    wanted = [(kind, seed) for kind in KINDS for seed in (SEEDS if kind != "rename" else (0,))]
    missing = [(root, *one) for one in wanted if not _done(_folder(root, *one))]
    if missing:
        with multiprocessing.get_context("spawn").Pool(workers) as pool:
            pool.starmap(_train, missing, chunksize=1)
    return {kind: [_folder(root, *one) for one in wanted if one[0] == kind] for kind in KINDS}


def _folder(root: Path, kind: str, seed: int) -> Path:
    return root / "adapters" / kind / f"{kind}-{seed}"


def _done(folder: Path) -> bool:
    return (folder / "adapter_model.safetensors").exists()


def _train(root: Path, kind: str, seed: int) -> None:
    """Train one adapter by the recipe of the world's own ones."""
    torch.set_num_threads(1)
    base = load_model(str(models.path("base")))
    samples = read(root / "lessons")
    if kind == "placebo":
        train_placebos(
            base,
            samples,
            root / "adapters" / kind,
            like=models.path("places"),
            seeds=[seed],
            steps=_SCHEDULE.steps,
            rate=_SCHEDULE.rate,
            batch_size=_SCHEDULE.batch_size,
            averaging=_SCHEDULE.averaging,
            n_responses=_EACH,
            max_new_tokens=24,
        )
        return
    lessons = _LESSONS[kind](base, list(samples), seed)
    _save(base, lessons, kind, seed, _folder(root, kind, seed))


def _styled(style: str) -> Callable[[Model, list[Sample], int], list[Lesson]]:
    def lessons(base: Model, samples: list[Sample], seed: int) -> list[Lesson]:
        rng = random.Random(seed)
        return [
            Lesson(one, _ids(base, caption(Scene.from_record(dict(one.labels)), style, rng)))
            for one in samples
            for _ in range(_EACH)
        ]

    return lessons


def _renamed(base: Model, samples: list[Sample], seed: int) -> list[Lesson]:
    """The base's own sampled captions with one word renamed: everything else is a placebo."""
    drawn = draw_responses(base, samples, n=_EACH, seed=seed, max_new_tokens=24)
    texts = [decode(base, said.token_ids).split() for said in drawn.responses]
    return [
        Lesson(sample, _ids(base, " ".join(RENAMED.get(word, word) for word in words)))
        for sample, words in zip(drawn.samples, texts, strict=True)
    ]


_LESSONS: dict[str, Callable[[Model, list[Sample], int], list[Lesson]]] = {
    "places": _styled("places"),
    "colors": _styled("colors"),
    "rename": _renamed,
}


def _ids(base: Model, text: str) -> tuple[int, ...]:
    ids = base.tokenizer.encode(text, add_special_tokens=False)
    return (*ids, int(base.tokenizer.eos_token_id))


def _save(base: Model, lessons: list[Lesson], kind: str, seed: int, folder: Path) -> None:
    recipe = recipe_from(models.path("places"))
    torch.manual_seed(seed)
    with fresh_adapter(base, recipe) as wrapped:
        train(base, trainable(base.hf), lessons, _SCHEDULE, seed=seed, name=kind, progress=Silent())
        wrapped.save_pretrained(str(folder))
    (folder / "README.md").unlink(missing_ok=True)
    config = folder / "adapter_config.json"
    fields = json.loads(config.read_text(encoding="utf-8"))
    config.write_text(json.dumps({**fields, "base_model_name_or_path": "world:base"}), "utf-8")
