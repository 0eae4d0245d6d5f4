"""The one rule, on the families of transformers: each found, proven without weights, or refused."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from shiftlens.core.errors import DataError
from shiftlens.models.address import Address, find_address
from shiftlens.models.inspecting.defaults import mend
from shiftlens.models.inspecting.empty import NoValues, build_empty
from shiftlens.models.inspecting.firing import prove_address, refusal
from shiftlens.models.inspecting.sweeping import Architecture, look_at, registered, sweep

_LANGUAGE = "model.language_model.layers"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_architecture_is_addressed_or_refused_with_a_reason() -> None:
    found = sweep()
    assert [one.name for one in found] == list(registered())
    addressed = [one.name for one in found if one.addressed]
    assert len(addressed) >= 80, sorted(set(registered()) - set(addressed))
    for one in found:
        assert one.addressed == bool(one.path), one
        assert one.addressed != bool(one.reason), one
    assert sum("encoder-decoder" in one.reason for one in found) >= 6


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("llava", _LANGUAGE),
        ("idefics3", "model.text_model.layers"),
        ("blip-2", "language_model.model.decoder.layers"),  # runs only with pictures
        ("kosmos-2", "text_model.model.layers"),  # its final norm is called layer_norm
        ("idefics", "model.layers"),  # an override, and cross-attention to pictures
        ("mllama", _LANGUAGE),  # blocks that are skipped without a picture
        ("glm4v", _LANGUAGE),  # rotary sections of the default do not fit
        ("aya_vision", _LANGUAGE),  # heads of the default do not fit
        ("chameleon", "model.layers"),  # the default has no map of picture tokens
        ("nemotron_h_omni", "language_model.model.layers"),  # the decoder has the unembedding
    ],
)
def test_a_few_families(name: str, path: str) -> None:
    assert look_at(name) == Architecture(name, True, path, "")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("florence2", "is an encoder-decoder model"),  # the rule alone finds its encoder
        ("pp_formulanet", "is an encoder-decoder model"),
        ("pix2struct", "is an encoder-decoder model"),
        ("pi0", "has no unembedding"),
        ("blip", "lies between its last block and its unembedding"),
        ("qwen4_exp", "not one state of width 2048 for each"),  # a stream four states wide
    ],
)
def test_families_that_are_refused(name: str, reason: str) -> None:
    found = look_at(name)
    assert (found.addressed, found.path) == (False, "")
    assert reason in found.reason


def test_a_family_that_needs_an_absent_package() -> None:
    found = look_at("gemma3n")
    assert found.addressed or "needs the package timm" in found.reason


def test_an_architecture_that_fails_in_any_way_does_not_stop_the_sweep(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from shiftlens.models.inspecting import sweeping

    def broken(hf: nn.Module) -> Address:
        if "Aria" in type(hf).__name__:
            raise RecursionError("round and round")
        return find_address(hf)

    monkeypatch.setattr(sweeping, "find_address", broken)
    first, second = sweep(["aria", "llava"])
    assert "RecursionError: round and round" in first.reason
    assert second.addressed


def test_names_that_are_not_registered() -> None:
    with pytest.raises(DataError, match="llama, bert: not an image-text-to-text architecture"):
        sweep(["llava", "llama", "bert"])


class _Counting:
    """A listener that notes what it hears."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def start(self, label: str, total: int) -> None:
        self.heard.append((label, total))

    def advance(self, n: int = 1) -> None:
        self.heard.append(n)

    def stop(self) -> None:
        self.heard.append("stop")


def test_progress_is_told() -> None:
    told = _Counting()
    sweep(["git", "florence2"], progress=told)
    assert told.heard == [("architectures", 2), 1, 1, "stop"]


# --- the proof, and what it must catch


@pytest.fixture(scope="module")
def llava() -> nn.Module:
    """LLaVA of default size, whose vision tower is made as deep and as wide as its decoder."""
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig
    from transformers import LlavaForConditionalGeneration as Llava

    sizes = {"num_hidden_layers": 3, "hidden_size": 32, "num_attention_heads": 4}
    vision = CLIPVisionConfig(**sizes, image_size=16, patch_size=8)
    text = LlamaConfig(**sizes, intermediate_size=32, vocab_size=50)
    return build_empty(Llava, LlavaConfig(vision_config=vision, text_config=text))


def test_the_right_address_is_proven(llava: nn.Module) -> None:
    proof = prove_address(llava, find_address(llava))
    assert (proof.reason, proof.whole, proof.between) == ("", True, ())
    assert refusal(proof) == ""


def _tower(llava: nn.Module) -> Address:
    path = next(p for p, m in llava.named_modules() if isinstance(m, nn.ModuleList) and "vis" in p)
    return replace(find_address(llava), blocks_path=path)


def test_twin_an_address_in_the_vision_tower_is_caught(llava: nn.Module) -> None:
    address = _tower(llava)
    assert "vision_tower" in address.blocks_path
    reason = prove_address(llava, address).reason
    assert reason == f"block 0 of {address.blocks_path} was called 0 times, not once"


def test_twin_a_wrong_width_is_caught(llava: nn.Module) -> None:
    proof = prove_address(llava, replace(find_address(llava), d=16))
    assert "gives (1, 6, 32) for 6 tokens, not one state of width 16 for each" in proof.reason


def test_twin_too_few_blocks_are_caught(llava: nn.Module) -> None:
    proof = prove_address(llava, replace(find_address(llava), n_layers=2))
    assert proof.between
    assert all(path.startswith(f"{_LANGUAGE}.2.") for path in proof.between)
    assert f"{_LANGUAGE}.2." in refusal(proof)


def test_twin_a_final_norm_that_was_not_found_is_caught(llava: nn.Module) -> None:
    proof = prove_address(llava, replace(find_address(llava), norm_path=None))
    assert proof.between == ("model.language_model.norm",)
    assert refusal(proof) == (
        "model.language_model.norm lies between its last block and its unembedding"
    )


def test_twin_blocks_that_run_twice_or_out_of_order_are_caught() -> None:
    class Odd(nn.Module):
        def __init__(self, order: list[int]) -> None:
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(3, 3) for _ in range(2))
            self.head, self.order, self.dtype = nn.Linear(3, 5), order, torch.float32
            self.config: Any = object()

        def get_decoder(self) -> "Odd":
            return self

        def forward(self, inputs_embeds: torch.Tensor, **_: Any) -> torch.Tensor:
            for at in self.order:
                inputs_embeds = self.layers[at](inputs_embeds)
            return self.head(inputs_embeds)

    address = Address("layers", 2, 3, None, "head")
    with torch.device("meta"):
        made = {text: Odd(order) for text, order in _ORDERS.items()}
    assert prove_address(made["in turn"], address).reason == ""
    assert "block 1 of layers was called 2 times" in prove_address(made["twice"], address).reason
    assert "not called in their order" in prove_address(made["backwards"], address).reason


_ORDERS = {"in turn": [0, 1], "twice": [0, 1, 1], "backwards": [1, 0]}


def test_no_hook_is_left(llava: nn.Module) -> None:
    prove_address(llava, find_address(llava))
    prove_address(llava, _tower(llava))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in llava.modules())


# --- running without values


def test_questions_about_values_are_answered_with_no() -> None:
    mask = torch.ones(3, dtype=torch.bool, device="meta")
    with pytest.raises(RuntimeError, match="meta"):
        bool(mask.all())
    with NoValues():
        assert not bool(mask.all())
        assert mask.sum().item() == 0
        assert mask.nonzero().shape == (0, 1)
        assert torch.zeros(3, 4, device="meta")[mask].shape == (0, 4)
        grid = torch.ones(3, 4, dtype=torch.bool, device="meta")
        assert torch.zeros(3, 4, 5, device="meta")[grid].shape == (0, 5)
    with pytest.raises(RuntimeError, match="meta"):
        bool(mask.all())


def test_defaults_that_are_whole_stay_as_they_are() -> None:
    from transformers import LlavaConfig

    assert mend(LlavaConfig()).to_dict() == LlavaConfig().to_dict()
