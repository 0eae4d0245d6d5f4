"""Quantised models: the same hooks and readout, on weights that have no type to go by."""

import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.builders import build_adapter, build_llava
from torch import Tensor, nn

from shiftlens.activations import tokens
from shiftlens.activations.harvesting import harvest
from shiftlens.activations.site import Site
from shiftlens.data.sample import Sample, Samples
from shiftlens.models.checking import check_address
from shiftlens.models.generation import forward
from shiftlens.models.hooks import edit
from shiftlens.models.loading import load_model, load_pair
from shiftlens.models.model import Model
from shiftlens.models.prompts import encode
from shiftlens.models.quiet import quiet_loading
from shiftlens.models.spread import type_of

METHODS = ("torchao", "bitsandbytes-8", "bitsandbytes-4")
HERE = [name for name in METHODS if find_spec(name.split("-")[0]) is not None]
"""Methods whose package is installed; none is needed, and none is in the tested environment."""


class Packed(nn.Module):
    """A linear map in eight bits, one scale a row; its first tensor is of integers."""

    def __init__(self, linear: nn.Linear, *, as_parameter: bool) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        scale = linear.weight.abs().amax(dim=1, keepdim=True) / 127
        weight = (linear.weight / scale).round().to(torch.int8)
        if as_parameter:
            self.weight = nn.Parameter(weight, requires_grad=False)
        else:
            self.register_buffer("weight", weight)
        self.register_buffer("scale", scale)
        self.bias = linear.bias

    def forward(self, x: Tensor) -> Tensor:
        assert x.is_floating_point()  # states cast to the type of the weight would be garbage
        weight = self.weight.to(x.dtype) * self.scale.to(x.dtype)
        return nn.functional.linear(x, weight, self.bias)


def _pack(model: Model, *, as_parameter: bool) -> None:
    for parent in list(model.hf.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Linear):
                setattr(parent, name, Packed(child, as_parameter=as_parameter))


@pytest.fixture(scope="module", params=[True, False], ids=["parameter", "buffer"])
def packed(tiny_path: Path, request: pytest.FixtureRequest) -> Model:
    """The tiny model with every linear map packed, the unembedding among them."""
    model = load_model(tiny_path)
    _pack(model, as_parameter=request.param)
    model.__dict__.pop("readout", None)
    return model


def test_the_residual_stream_is_found_and_read(packed: Model, tiny: Model) -> None:
    check_address(packed)
    states = torch.linspace(-2, 2, 96).reshape(3, 32)
    ours, theirs = (model.readout.logits(states) for model in (packed, tiny))
    assert ours.allclose(theirs, atol=0.05 * float(theirs.abs().max()))
    assert not ours.equal(theirs)
    assert packed.readout.fingerprint != tiny.readout.fingerprint
    assert type_of(packed.address.head(packed.hf), torch.bfloat16) == torch.bfloat16


def test_states_are_harvested(
    packed: Model, tiny: Model, questions: list[Sample], tmp_path: Path
) -> None:
    samples = Samples(questions).with_responses({one.id: "a dog on the beach" for one in questions})
    site = Site((1, 3), tokens.mean_response())
    options: dict[str, Any] = {"response": "given", "batch_size": 4}
    ours = harvest(packed, samples, site, tmp_path / "packed", **options)
    theirs = harvest(tiny, samples, site, tmp_path / "plain", **options)
    one_by_one = harvest(packed, samples, site, tmp_path / "one", response="given", batch_size=1)
    for layer in (1, 3):
        plain, found = theirs.states(layer), ours.states(layer)
        assert found.allclose(one_by_one.states(layer), atol=1e-3, rtol=1e-3)
        apart = (found - plain).norm() / plain.norm()
        assert 0 < float(apart) < 0.2  # eight bits: other numbers, the same states


def test_it_is_edited_and_given_back(packed: Model, questions: list[Sample]) -> None:
    inputs = encode(packed, questions[:2])
    before = forward(packed, inputs).logits
    with edit(packed, 1, lambda state: state + 1):
        assert not forward(packed, inputs).logits.allclose(before, atol=1e-2)
    assert forward(packed, inputs).logits.equal(before)


def _quantise(base: Path, path: Path, method: str) -> Path:
    """Write a model as the package quantises it, processor and all."""
    import transformers
    from transformers import AutoModelForImageTextToText

    if method == "torchao":
        from torchao.quantization import Int8WeightOnlyConfig  # pyright: ignore

        settings: Any = transformers.TorchAoConfig(Int8WeightOnlyConfig())
    else:
        bits = {f"load_in_{method[-1]}bit": True}
        settings = transformers.BitsAndBytesConfig(**bits)
    shutil.copytree(base, path)
    (path / "model.safetensors").unlink()
    hf = AutoModelForImageTextToText.from_pretrained(
        base, dtype=torch.float32, quantization_config=settings, device_map={"": "cpu"}
    )
    hf.save_pretrained(path)
    return path


if HERE:

    @pytest.mark.filterwarnings("ignore")
    @pytest.mark.parametrize("method", HERE)
    def test_what_the_package_writes_is_loaded_harvested_and_compared(
        tmp_path: Path, questions: list[Sample], method: str
    ) -> None:
        base = build_llava(tmp_path / "base", hidden_size=64, intermediate_size=128)
        path = _quantise(base, tmp_path / "packed", method)
        ours, packed = load_pair(base, path, allow=("dtype",))
        samples = Samples(questions).with_responses({one.id: "a dog" for one in questions})
        stores = harvest(
            [ours, packed], samples, Site(1, tokens.mean_response()), tmp_path / "s",
            response="given",
        )  # fmt: skip
        plain, found = (store.states() for store in stores)
        # Random weights of this size are brittle: eight and four bits move their states far.
        close = torch.nn.functional.cosine_similarity(found, plain).median()
        assert 0.3 < float(close) < 1
        with quiet_loading():
            adapter = build_adapter(base, tmp_path / "adapter", target_modules=["q_proj", "v_proj"])
        bare, tuned = load_pair(path, adapter)
        inputs = encode(bare, questions[:2])
        first, changed, again = (forward(one, inputs).logits for one in (bare, tuned, bare))
        assert first.equal(again)
        assert not changed.allclose(first, atol=1e-2)
