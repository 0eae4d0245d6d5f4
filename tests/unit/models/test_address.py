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
from shiftlens.models.quiet import quiet_loading

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
        self.is_encoder_decoder = False

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


# --- unusual wrappers


def test_within_peft_every_path_begins_at_the_wrapper(tiny: Model) -> None:
    from peft import LoraConfig, PeftModel
    from transformers import LlavaForConditionalGeneration

    with torch.device("meta"):
        empty = LlavaForConditionalGeneration(tiny.hf.config)
    with quiet_loading():
        wrapped = PeftModel(empty, LoraConfig(r=2, target_modules=["q_proj"]))
    address, plain = find_address(wrapped), tiny.address
    assert address.n_layers == plain.n_layers
    for path, inner in (
        (address.blocks_path, plain.blocks_path),
        (address.norm_path, plain.norm_path),
        (address.head_path, plain.head_path),
        (address.vision_path, plain.vision_path),
        (address.projector_path, plain.projector_path),
    ):
        assert path == f"base_model.model.{inner}"
        assert wrapped.get_submodule(path) is empty.get_submodule(str(inner))


def test_within_peft_an_override_is_found() -> None:
    toy = _Toy(nn.Module(), 2)
    toy.config.model_type = "idefics"
    toy.model = nn.Module()
    toy.model.layers = _list(2)
    wrapper = nn.Module()
    wrapper.inner = toy
    wrapper.get_base_model = lambda: toy  # type: ignore[assignment]
    for name in ("config", "get_decoder", "get_output_embeddings", "get_encoder"):
        setattr(wrapper, name, getattr(toy, name))
    assert find_address(wrapper).blocks_path == "inner.model.layers"


def test_an_encoder_decoder_is_refused() -> None:
    decoder = nn.Module()
    decoder.layers = _list(2)
    toy = _Toy(decoder, 2)
    assert find_address(toy).blocks_path == "decoder.layers"
    toy.config.is_encoder_decoder = True
    with pytest.raises(DataError, match="_Toy is an encoder-decoder model"):
        find_address(toy)


class _Bare(nn.Module):
    """A model without the getters of transformers."""

    def __init__(self) -> None:
        super().__init__()
        self.config: Any = _Config(2)
        self.layers = _list(2)


def test_a_model_without_get_decoder() -> None:
    with pytest.raises(DataError, match="_Bare does not say which of its modules is the decoder"):
        find_address(_Bare())


def test_a_decoder_that_is_not_there() -> None:
    toy = _Toy(nn.Module(), 2)
    toy.get_decoder = lambda: None  # type: ignore[method-assign, assignment, return-value]
    with pytest.raises(DataError, match="does not say which of its modules is the decoder"):
        find_address(toy)


@pytest.mark.parametrize("name", ["num_layers", "n_layers", "n_layer"])
@pytest.mark.parametrize("width", ["d_model", "n_embd", "dim"])
def test_counts_under_other_names(name: str, width: str) -> None:
    decoder = nn.Module()
    decoder.layers = _list(2)
    toy = _Toy(decoder, 2)
    setattr(toy.config, name, toy.config.__dict__.pop("num_hidden_layers"))
    setattr(toy.config, width, toy.config.__dict__.pop("hidden_size"))
    address = find_address(toy)
    assert (address.n_layers, address.d) == (2, 3)


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("num_hidden_layers", "does not say how many decoder blocks there are"),
        ("hidden_size", "does not say how many features of a state there are"),
    ],
)
def test_counts_that_are_nowhere(field: str, message: str) -> None:
    decoder = nn.Module()
    decoder.layers = _list(2)
    toy = _Toy(decoder, 2)
    delattr(toy.config, field)
    with pytest.raises(DataError, match=message) as caught:
        find_address(toy)
    assert field in caught.value.allowed


def test_text_configurations_that_cannot_be_told_apart() -> None:
    toy = _Toy(nn.Module(), 2)

    def several(*, decoder: bool) -> _Config:
        raise ValueError("Multiple valid text configs were found")

    toy.config.get_text_config = several
    with pytest.raises(DataError, match="text configuration of _Toy cannot be told"):
        find_address(toy)


def test_the_unembedding_may_be_the_decoders() -> None:
    decoder: Any = nn.Module()
    decoder.layers = _list(2)
    decoder.lm_head = nn.Linear(3, 5)
    decoder.get_output_embeddings = lambda: decoder.lm_head
    assert find_address(_Toy(decoder, 2, head=False)).head_path == "decoder.lm_head"


def test_a_tower_that_no_getter_names_is_found_by_its_configuration() -> None:
    decoder = nn.Module()
    decoder.layers = _list(2)
    toy: Any = _Toy(decoder, 2)
    toy.config.vision_config = object()
    assert find_address(toy).vision_path is None
    toy.eyes = nn.Module()
    toy.eyes.config = toy.config.vision_config
    assert find_address(toy).vision_path == "eyes"


def test_what_holds_the_decoder_is_no_tower() -> None:
    toy: Any = _Toy(nn.Module(), 2)
    toy.decoder.layers = _list(2)
    toy.get_encoder = lambda *, modality: toy.decoder
    assert find_address(toy).vision_path is None


@pytest.mark.parametrize("name", ["mm_projector", "vision_projection", "merger"])
def test_a_projector_under_another_name(name: str) -> None:
    decoder = nn.Module()
    decoder.layers = _list(2)
    decoder.merger_projection = nn.Linear(3, 3)  # inside the decoder: none of the picture's
    toy = _Toy(decoder, 2)
    assert find_address(toy).projector_path is None
    setattr(toy, name, nn.Linear(3, 3))
    assert find_address(toy).projector_path == name
