"""Random models whose weights, and not the libraries, decide what a process needs."""

import shutil
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from shiftlens.world import models


def build_wide(path: Path) -> Path:
    """LLaVA with the world's tokenizer and pictures, and about 65 million random weights."""
    from transformers import AutoConfig, LlavaForConditionalGeneration

    shutil.copytree(models.path("base"), path)
    (path / "model.safetensors").unlink()
    config: Any = AutoConfig.from_pretrained(path)
    for name, value in {
        "hidden_size": 768, "intermediate_size": 2304, "num_hidden_layers": 8,
        "num_attention_heads": 12, "num_key_value_heads": 12, "head_dim": 64,
    }.items():  # fmt: skip
        setattr(config.text_config, name, value)
    config.dtype = torch.float32
    torch.manual_seed(0)
    LlavaForConditionalGeneration(config).save_pretrained(path)
    return path


def build_tuned(base: Path, path: Path) -> Path:
    """A full fine-tune: every weight of the base a little larger."""
    shutil.copytree(base, path)
    tensors = load_file(base / "model.safetensors")
    grown = {name: tensor * 1.05 for name, tensor in tensors.items()}
    save_file(grown, path / "model.safetensors", metadata={"format": "pt"})
    return path


def build_adapter(base: Path, path: Path) -> Path:
    """A LoRA adapter with random weights on both sides."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForImageTextToText

    hf = AutoModelForImageTextToText.from_pretrained(base, dtype=torch.float32)
    options: Any = {"r": 8, "lora_alpha": 16, "target_modules": ["q_proj", "v_proj"]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adapted = get_peft_model(hf, LoraConfig(**options))
        with torch.no_grad():
            for name, tensor in adapted.named_parameters():
                if "lora_B" in name:
                    tensor.normal_(std=0.05)
        adapted.save_pretrained(path, save_embedding_layers=False)
    return path
