"""Stage two: everything learns together to talk about what the tower sees."""

import random
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from shiftlens.core.progress import Progress
from shiftlens.world.language import lesson
from shiftlens.world.training.loop import Group, Recipe, half_is_faster, train_stage
from shiftlens.world.training.packing import Packer, language_loss
from shiftlens.world.training.pictures import Pictures
from shiftlens.world.training.vision import see, seen_parameters

TOWER_FACTOR = 0.3  # the tower already sees; it only adapts


def train_language(
    model: LlavaForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    pictures: Pictures,
    recipe: Recipe,
    batch: int,
    *,
    seed: int,
    folder: Path,
    device: torch.device,
    progress: Progress,
) -> None:
    """Train projector and language model, and the tower at a lower rate, in place."""
    packer, tower = Packer(tokenizer), model.model.vision_tower
    slow = seen_parameters(tower)
    known = {id(parameter) for parameter in tower.parameters()}
    fast = [parameter for parameter in model.parameters() if id(parameter) not in known]

    def loss(rng: np.random.Generator) -> Tensor:
        index, flip = rng.integers(0, len(pictures), batch), bool(rng.random() < 0.5)
        words = random.Random(int(rng.integers(2**32)))
        packed = packer.pack([lesson(pictures.scenes[i], words) for i in index]).to(device)
        features = see(tower, pictures.tensor(index, flip=flip).to(device))
        return language_loss(model, features, packed, packer.image_start)

    train_stage(
        recipe,
        [Group(fast), Group(slow, TOWER_FACTOR)],
        loss,
        seed=seed,
        folder=folder,
        device=device,
        progress=progress,
    )


@torch.no_grad()
def patch_features(
    model: LlavaForConditionalGeneration, pictures: Pictures, device: torch.device
) -> Tensor:
    """Patch states of all pictures, (n, tokens, width), for stages that freeze the tower."""
    tower, parts = model.model.vision_tower, list[Tensor]()
    half = half_is_faster(device)
    kept = torch.bfloat16 if half else torch.float32
    for start in range(0, len(pictures), 250):
        index = np.arange(start, min(start + 250, len(pictures)))
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            parts.append(see(tower, pictures.tensor(index).to(device)).to(kept))
    return torch.cat(parts)
