"""One rule finds the decoder's blocks, not the vision tower's, and says when there are none."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.builders import build_llava
from torch import nn

from shiftlens.core.errors import DataError
from shiftlens.data.sample import Sample
from shiftlens.models.address import Address, find_address
from shiftlens.models.generation import forward
from shiftlens.models.hooks import record
from shiftlens.models.loading import load_model
from shiftlens.models.model import Model
from shiftlens.models.prompts import encode

_EXPECTED = {
    "llava": Address(
        "model.language_model.layers",
        4,
        32,
        "model.language_model.norm",
        "lm_head",
        "model.vision_tower",
        "model.multi_modal_projector",
    ),
    "qwen2_vl": Address(
        "model.language_model.layers",
        4,
        32,
        "model.language_model.norm",
        "lm_head",
        "model.visual",
        "model.visual.merger",
    ),
    "idefics3": Address(
        "model.text_model.layers",
        4,
        32,
        "model.text_model.norm",
        "lm_head",
        "model.vision_model",
        "model.connector",
    ),
}


@pytest.mark.parametrize("name", list(_EXPECTED))
def test_every_family_has_its_address(families: dict[str, Model], name: str) -> None:
    assert families[name].address == _EXPECTED[name]


@pytest.mark.parametrize("name", list(_EXPECTED))
def test_every_path_leads_somewhere(families: dict[str, Model], name: str) -> None:
    hf, address = families[name].hf, families[name].address
    blocks = hf.get_submodule(address.blocks_path)
    assert [address.block(hf, layer) for layer in range(4)] == list(blocks)
    assert address.norm(hf) is not None
    assert address.head(hf) is hf.get_output_embeddings()
    assert address.vision_path is not None
    assert address.projector_path is not None
    vision = list(hf.get_submodule(address.vision_path).modules())
    assert not any(block in vision for block in blocks)
    hf.get_submodule(address.projector_path)


def _first_list_of(hf: nn.Module, length: int) -> str:
    """What the rule is better than: the first list of the right length in the whole model."""
    return next(
        path
        for path, module in hf.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) == length
    )


def test_a_vision_tower_of_the_same_depth_is_not_taken(
    tmp_path: Path, pictures: list[Path]
) -> None:
    model = load_model(build_llava(tmp_path / "deep", vision_layers=4))
    assert model.address.blocks_path == "model.language_model.layers"
    with record(model, [-1]) as seen:
        inputs = encode(model, [Sample("a", "what ?", (str(pictures[0]),))])
        forward(model, inputs)
    assert seen.states[3][0].shape[:2] == inputs.tensors["input_ids"].shape


def test_twin_a_guess_over_the_whole_model_takes_it(tmp_path: Path) -> None:
    model = load_model(build_llava(tmp_path / "deep", vision_layers=4))
    assert "vision_tower" in _first_list_of(model.hf, 4)


def test_the_width_is_the_decoders(tmp_path: Path) -> None:
    model = load_model(build_llava(tmp_path / "wide", hidden_size=64))
    assert model.address.d == 64


def test_weights_are_not_needed(tiny: Model) -> None:
    from transformers import LlavaForConditionalGeneration

    with torch.device("meta"):
        empty = LlavaForConditionalGeneration(tiny.hf.config)
    assert find_address(empty) == tiny.address


# --- a toy of the four methods that the rule relies on


class _Config:
    def __init__(self, n_layers: int) -> None:
        self.model_type, self.num_hidden_layers, self.hidden_size = "toy", n_layers, 3

    def get_text_config(self, *, decoder: bool) -> "_Config":
        assert decoder
        return self


class _Toy(nn.Module):
    """A model whose decoder is given."""

    def __init__(self, decoder: nn.Module, n_layers: int, *, head: bool = True) -> None:
        super().__init__()
        self.config: Any = _Config(n_layers)
        self.tower = nn.ModuleList(nn.Linear(3, 3) for _ in range(n_layers))
        self.decoder = decoder
        self.head = nn.Linear(3, 5) if head else None

    def get_decoder(self) -> nn.Module:
        return self.decoder

    def get_encoder(self, *, modality: str) -> nn.Module:
        assert modality == "image"
        return self

    def get_output_embeddings(self) -> nn.Module | None:
        return self.head


def _list(length: int) -> nn.ModuleList:
    return nn.ModuleList(nn.Linear(3, 3) for _ in range(length))


def test_the_shallowest_list_of_the_right_length() -> None:
    decoder = nn.Module()
    decoder.first = nn.Module()
    decoder.first.experts = _list(2)  # deeper, although it is met first in depth
    decoder.other = _list(3)
    decoder.blocks = _list(2)
    decoder.ln_f = nn.LayerNorm(3)
    decoder.last = nn.Module()
    decoder.last.experts = _list(2)
    address = find_address(_Toy(decoder, 2))
    assert address.blocks_path == "decoder.blocks"
    assert address.norm_path == "decoder.ln_f"
    assert (address.vision_path, address.projector_path) == (None, None)


def test_blocks_at_the_top_of_the_model() -> None:
    toy = _Toy(nn.Module(), 2)
    toy.decoder.layers = _list(2)
    toy.get_decoder = lambda: toy.decoder  # type: ignore[method-assign]
    toy.decoder.norm = None
    address = find_address(toy)
    assert address.blocks_path == "decoder.layers"
    assert address.norm_path is None
    assert address.norm(toy) is None


def test_a_decoder_without_such_a_list() -> None:
    decoder = nn.Module()
    decoder.layers = _list(3)
    with pytest.raises(DataError, match="no list of 2 decoder blocks in _Toy") as caught:
        find_address(_Toy(decoder, 2))
    assert "ModuleList" in caught.value.allowed


def test_a_configuration_that_lies_about_the_layers(tmp_path: Path) -> None:
    model = load_model(build_llava(tmp_path / "liar", vision_layers=3))
    model.hf.config.text_config.num_hidden_layers = 3  # as deep as the vision tower
    with pytest.raises(DataError, match="no list of 3 decoder blocks in LlavaFor"):
        find_address(model.hf)


def test_a_model_that_does_not_write() -> None:
    decoder = nn.Module()
    decoder.layers = _list(2)
    with pytest.raises(DataError, match="no unembedding"):
        find_address(_Toy(decoder, 2, head=False))


def test_the_override_of_a_family() -> None:
    toy = _Toy(nn.Module(), 2)
    toy.config.model_type = "idefics"
    toy.model = nn.Module()
    toy.model.layers = _list(2)
    assert find_address(toy).blocks_path == "model.layers"


@pytest.mark.parametrize("layer", range(4))
def test_layers_count_from_both_ends(layer: int) -> None:
    address = _EXPECTED["llava"]
    assert address.layer(layer, "mine") == address.layer(layer - 4, "mine") == layer
