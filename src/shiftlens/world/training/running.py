"""``train``: every stage in order, each resumed where it stopped, ending in the shipped models."""

import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from shiftlens.core.errors import DataError
from shiftlens.core.progress import Progress, Silent
from shiftlens.world.accuracy import measure_world
from shiftlens.world.card import write_card
from shiftlens.world.training.adapters import train_adapter
from shiftlens.world.training.architecture import (
    build_image_processor,
    build_judge,
    build_judge_tokenizer,
    build_llava,
    build_processor,
)
from shiftlens.world.training.judge import train_judge
from shiftlens.world.training.language import train_language
from shiftlens.world.training.pictures import Pictures, draw_pictures
from shiftlens.world.training.recipes import (
    ADAPTER_BATCH,
    ADAPTER_PICTURES,
    ADAPTERS,
    JUDGE,
    JUDGE_BATCH,
    LANGUAGE,
    LANGUAGE_BATCH,
    VISION,
    VISION_BATCH,
    Sizes,
)
from shiftlens.world.training.vision import train_vision, vision_accuracy

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Run:
    """What every stage needs to know."""

    out: Path
    folder: Path
    sizes: Sizes
    seed: int
    device: torch.device
    progress: Progress

    def options(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "folder": self.folder,
            "device": self.device,
            "progress": self.progress,
        }


def train(
    out: Path,
    *,
    checkpoints: Path,
    device: str = "cpu",
    seed: int = 0,
    scale: float = 1.0,
    progress: Progress | None = None,
) -> None:
    """Train the world's models: vision, base, three adapters and the judge.

    A run that is started again with the same ``checkpoints`` goes on from the last one.

    Args:
        out: gets ``base``, ``places``, ``colors``, ``moods``, ``judge`` and the card with what they
            were measured to do.
        checkpoints: holds the state of every stage, as safetensors.
        device: ``cpu`` or ``cuda``.
        seed: of weights, pictures and batches.
        scale: of pictures and steps; 1 is what ships, 0.01 is a quick trial.
        progress: who is told how far it is.

    Raises:
        DataError: the scale is not above 0, or the device does not exist here.
    """
    if not 0 < scale <= 10:
        raise DataError(f"scale {scale} is not possible", allowed="above 0, at most 10")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise DataError(f"device {device!r} does not exist here", allowed="cpu")
    checkpoints.mkdir(parents=True, exist_ok=True)
    run = _Run(out, checkpoints, Sizes(scale), seed, torch.device(device), progress or Silent())
    pictures = draw_pictures(run.sizes.pictures(), split="train", seed=seed, progress=run.progress)
    model, processor = _train_base(run, pictures)
    few = Pictures(
        pictures.scenes[:ADAPTER_PICTURES],
        pictures.pixels[:ADAPTER_PICTURES],
        pictures.covered[:ADAPTER_PICTURES],
    )
    for style, recipe in ADAPTERS.items():
        train_adapter(
            model,
            processor.tokenizer,
            few,
            style,
            run.sizes.steps(recipe),
            ADAPTER_BATCH,
            out / style,
            **run.options(),
        )
    _train_judge(run, pictures, model)
    _write_card(run, scale)


def _train_base(run: _Run, pictures: Pictures) -> tuple[Any, Any]:
    torch.manual_seed(run.seed)
    processor = build_processor()
    model: Any = build_llava(len(processor.tokenizer))
    model.to(run.device)
    tower = model.model.vision_tower
    eyes = train_vision(tower, pictures, run.sizes.steps(VISION), VISION_BATCH, **run.options())
    held_out = draw_pictures(500, split="held_out", seed=run.seed, progress=run.progress)
    _log.info("vision on held-out scenes: %s", vision_accuracy(tower, eyes, held_out, run.device))
    train_language(
        model,
        processor.tokenizer,
        pictures,
        run.sizes.steps(LANGUAGE),
        LANGUAGE_BATCH,
        **run.options(),
    )
    # What ships is stored in half precision; the adapters are trained on exactly what ships.
    model.half().save_pretrained(run.out / "base")
    processor.save_pretrained(run.out / "base")
    return model.float(), processor


def _write_card(run: _Run, scale: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = measure_world(run.out, Path(folder), n=max(20, int(1000 * min(1.0, scale))))
    write_card(run.out / "README.md", found, seed=run.seed, scale=scale)


def _train_judge(run: _Run, pictures: Pictures, model: Any) -> None:
    torch.manual_seed(run.seed)
    tokenizer = build_judge_tokenizer()
    judge: Any = build_judge(len(tokenizer))
    judge.to(run.device)
    recipe = run.sizes.steps(JUDGE)
    tower = model.model.vision_tower
    train_judge(judge, tower, tokenizer, pictures, recipe, JUDGE_BATCH, **run.options())
    judge.half().save_pretrained(run.out / "judge")
    tokenizer.save_pretrained(run.out / "judge")
    build_image_processor().save_pretrained(run.out / "judge")
