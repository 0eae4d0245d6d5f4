"""The judge: a small contrastive image-text model that never meets the language model's outputs."""

import random
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from transformers import CLIPModel, PreTrainedTokenizerFast

from shiftlens.core.progress import Progress
from shiftlens.world.language import STYLES, caption
from shiftlens.world.training.loop import Group, Recipe, train_stage
from shiftlens.world.training.pictures import Pictures


def train_judge(
    judge: CLIPModel,
    tower: nn.Module,
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
    """Train in place; the picture side starts from a tower that already sees."""
    start = {name.removeprefix("vision_model."): p for name, p in tower.state_dict().items()}
    target = judge.vision_model
    target.load_state_dict(start)

    def loss(rng: np.random.Generator) -> Tensor:
        index, flip = rng.integers(0, len(pictures), batch), bool(rng.random() < 0.5)
        words = random.Random(int(rng.integers(2**32)))
        texts = [caption(pictures.scenes[i], words.choice(STYLES), words) for i in index]
        tokens = tokenizer(
            [f"{text}{tokenizer.eos_token}" for text in texts],
            return_tensors="pt",
            padding=True,
            padding_side="right",
        ).to(device)
        pixels = pictures.tensor(index, flip=flip).to(device)
        return judge(**tokens, pixel_values=pixels, return_loss=True).loss

    groups = [Group([p for p in judge.parameters() if p.requires_grad])]
    train_stage(recipe, groups, loss, seed=seed, folder=folder, device=device, progress=progress)
