"""A base of one's own to put adapters into, and proof that it was given back."""

from pathlib import Path
from typing import Any

import torch

from shiftlens.models.loading import load_model
from shiftlens.models.model import Model

# Every family of the builders has these names in its decoder; none is in a vision tower.
FIELDS: dict[str, Any] = {
    "peft_type": "LORA",
    "r": 2,
    "lora_alpha": 4,
    "target_modules": r".*(language|text)_model.*layers.*\.(v_proj|up_proj)",
}


def load_fresh(path: Path) -> Model:
    """A base with flags and modes that are not the usual ones."""
    base = load_model(path)
    base.hf.get_input_embeddings().weight.requires_grad_(False)
    base.address.block(base.hf, 2).train()
    return base


def same(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> bool:
    """Whether two sets of tensors are equal to the bit."""
    return ours.keys() == theirs.keys() and all(ours[k].equal(theirs[k]) for k in ours)


class Photograph:
    """Everything about a module that somebody could have changed."""

    def __init__(self, model: Model) -> None:
        hf = model.hf
        self.tensors = {name: one.clone() for name, one in hf.state_dict().items()}
        self.places = {name: one.data_ptr() for name, one in hf.state_dict().items()}
        self.rest = (
            {name: id(module) for name, module in hf.named_modules()},
            {name: module.training for name, module in hf.named_modules()},
            {name: one.requires_grad for name, one in hf.named_parameters()},
            {name: one.grad for name, one in hf.named_parameters()},
            set(vars(hf)),
        )

    def __eq__(self, other: object) -> bool:
        assert isinstance(other, Photograph)
        return (
            same(self.tensors, other.tensors)
            and self.places == other.places
            and self.rest == other.rest
        )
