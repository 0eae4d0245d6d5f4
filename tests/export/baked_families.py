"""Every family of the table, steered and baked: tiny models whose norms do something."""

from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tests.architectures.families.family import Family
from tests.builders import build_vector

from shiftlens.models.loading import load_model
from shiftlens.models.model import Model
from shiftlens.steering.exporting.baking.oven import Oven, heat
from shiftlens.steering.intervening import Intervention
from shiftlens.steering.keeping.steering import as_steering
from shiftlens.steering.operators import Ablate

# Families whose blocks end with a linear layer that has a bias (""), or whose configuration has a
# setting for one, named here.
ADDED: dict[str, str] = {
    "LLaVA-1.5": "text_config.mlp_bias",
    "VipLlava": "text_config.mlp_bias",
    "Fuyu": "",
    "PaddleOCR-VL": "text_config.use_bias",
    "Idefics3": "text_config.mlp_bias",
    "SmolVLM": "text_config.mlp_bias",
    "BLIP-2": "",
    "InstructBLIP": "",
    "Chameleon": "mlp_bias",
    "Janus": "text_config.mlp_bias",
    "DeepSeek-VL": "text_config.mlp_bias",
    "DeepSeek-VL-hybrid": "text_config.mlp_bias",
    "Granite-Docling": "text_config.mlp_bias",
}
# Families that write to the residual stream through linear layers and tables alone, with nothing
# behind them that turns a direction.
ABLATED: frozenset[str] = frozenset(
    {
        "LLaVA-1.5",
        "VipLlava",
        "LLaVA-NeXT",
        "LLaVA-OneVision",
        "Aya Vision",
        "Command A Vision",
        "Pixtral",
        "Mistral3",
        "LightOnOCR",
        "Qwen2-VL",
        "Qwen2.5-VL",
        "Qwen3-VL",
        "Qwen3.5",
        "InternVL",
        "LFM2-VL",
        "Fuyu",
        "PaddleOCR-VL",
        "VideoLLaMA3",
        "Idefics3",
        "SmolVLM",
        "PaliGemma",
        "BLIP-2",
        "InstructBLIP",
        "Chameleon",
        "Janus",
        "DeepSeek-VL",
        "DeepSeek-VL-hybrid",
    }
)


def build(family: Family, path: Path) -> Model:
    """A family's tiny model whose norms multiply by numbers of their own.

    Fresh norms multiply by 1, and then a direction passes through one as it is: in such a model an
    ablation seems to fold where it does not.
    """
    family.build(path, 0)
    random = torch.Generator().manual_seed(1)
    for file in sorted(path.glob("*.safetensors")):
        tensors = load_file(file)
        for key, one in tensors.items():
            if one.ndim == 1 and "norm" in key.lower() and key.endswith("weight"):
                factors = 0.5 + torch.rand(one.shape, generator=random)
                # Gemma's norms multiply by 1 + weight: their weights are zeros.
                tensors[key] = one * factors if bool(one.any()) else factors - 1
        save_file(tensors, file, metadata={"format": "pt"})
    return load_model(path)


def addition(model: Model) -> Intervention:
    """A vector, added after the second block."""
    return Intervention(build_vector(model.address.d), scope="all")


def ablation(model: Model) -> Intervention:
    """The same vector, taken out after every block."""
    layers = tuple(range(model.address.n_layers))
    return replace(addition(model), operator=Ablate(), layers=layers)


def baked(model: Model, one: Intervention) -> Oven:
    """Tried in memory; see ``heat``."""
    return heat(as_steering(one), model, everywhere=isinstance(one.operator, Ablate))
