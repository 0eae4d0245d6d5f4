"""Stage three: one LoRA adapter for each caption style, on the language model only."""

import random
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from shiftlens.core.progress import Progress
from shiftlens.world.language import caption_turn
from shiftlens.world.training.language import patch_features
from shiftlens.world.training.loop import Group, Recipe, train_stage
from shiftlens.world.training.packing import Packer, language_loss
from shiftlens.world.training.pictures import Pictures

RANK = 8
# A pattern, not a list of names: the CLIP tower has a q_proj too.
TARGETS = r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"


def train_adapter(
    model: LlavaForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    pictures: Pictures,
    style: str,
    recipe: Recipe,
    batch: int,
    out: Path,
    *,
    seed: int,
    folder: Path,
    device: torch.device,
    progress: Progress,
) -> None:
    """Train an adapter on captions in one style and write it to ``out`` in PEFT's format."""
    from peft import LoraConfig, get_peft_model

    features, packer = patch_features(model, pictures, device), Packer(tokenizer)
    config = LoraConfig(r=RANK, lora_alpha=2 * RANK, lora_dropout=0.0, target_modules=TARGETS)
    torch.manual_seed(seed)
    adapted = get_peft_model(model, config)
    trained = [parameter for parameter in adapted.parameters() if parameter.requires_grad]

    def loss(rng: np.random.Generator) -> Tensor:
        index = rng.integers(0, len(pictures), batch)
        words = random.Random(int(rng.integers(2**32)))
        turns = [[caption_turn(pictures.scenes[i], style, words)] for i in index]
        packed = packer.pack(turns).to(device)
        seen = features[torch.from_numpy(index)].to(device)
        return language_loss(model, seen, packed, packer.image_start)

    train_stage(
        recipe, [Group(trained)], loss, seed=seed, folder=folder, device=device, progress=progress
    )
    for parameter in trained:
        parameter.data = parameter.data.half()
    adapted.peft_config["default"].base_model_name_or_path = "world:base"
    adapted.save_pretrained(str(out))
    (out / "README.md").unlink(missing_ok=True)  # a template full of blanks: the card says it all
    adapted.unload()
