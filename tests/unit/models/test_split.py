"""Models that accelerate splits over places: hooks, readout and generation see the same numbers.

A CPU has two places, memory and disk: blocks on the disk are brought in while they run, which is
what is hardest about a split.
"""

from pathlib import Path
from typing import Any

import pytest
import torch

from shiftlens.activations import tokens
from shiftlens.activations.harvesting import harvest
from shiftlens.activations.site import Site
from shiftlens.core.errors import DataError
from shiftlens.data.sample import Sample, Samples
from shiftlens.models import checkpoints
from shiftlens.models.attaching import attach
from shiftlens.models.checkpoints import Placement, load_checkpoint
from shiftlens.models.generation import forward
from shiftlens.models.hooks import edit
from shiftlens.models.loading import load_model
from shiftlens.models.model import Model
from shiftlens.models.prompts import encode
from shiftlens.models.quiet import quiet_loading
from shiftlens.models.spread import brought_home, home_of, is_offloaded, is_split

PARTS = (
    "model.vision_tower",
    "model.multi_modal_projector",
    "model.language_model.embed_tokens",
    "model.language_model.rotary_emb",
    "model.language_model.norm",
    "lm_head",
    *(f"model.language_model.layers.{layer}" for layer in range(4)),
)


def _places(*on_disk: str) -> dict[str, str]:
    return {part: "disk" if part.endswith(on_disk) else "cpu" for part in PARTS}


def _load(path: Path, places: Any) -> Model:
    with quiet_loading():
        return load_checkpoint(str(path), Placement(places), label="base")


@pytest.fixture(scope="module", params=["blocks", "head"])
def split(tiny_path: Path, request: pytest.FixtureRequest) -> Model:
    """Two blocks on the disk, or norm and unembedding."""
    gone = {"blocks": ("layers.1", "layers.2"), "head": ("norm", "lm_head")}[request.param]
    return _load(tiny_path, _places(*gone))


def test_states_are_those_of_the_whole_model(
    split: Model, tiny: Model, questions: list[Sample], tmp_path: Path
) -> None:
    assert is_offloaded(split.hf)
    assert is_split(split.hf)
    assert split.device == torch.device("cpu")
    samples = Samples(questions)
    for name, site in {
        "said": Site((1, 2, -1), tokens.mean_response()),
        "normed": Site(-1, tokens.last_prompt(), normed=True),
    }.items():
        ours, theirs = (
            harvest(model, samples, site, tmp_path / f"{name}-{number}", max_new_tokens=4)
            for number, model in enumerate((split, tiny))
        )
        assert ours.responses == theirs.responses
        for layer in ours.layers:
            assert ours.states(layer).equal(theirs.states(layer))
    assert ours.provenance == theirs.provenance  # it is the same model, wherever it lies


def test_the_readout_brings_its_weights_in(split: Model, tiny: Model) -> None:
    states = torch.linspace(-2, 2, 96).reshape(3, 32)
    assert split.readout.logits(states).equal(tiny.readout.logits(states))
    assert split.readout.fingerprint == tiny.readout.fingerprint
    head = split.address.head(split.hf)
    assert home_of(head) == torch.device("cpu")
    before = head.weight.device
    with brought_home(head):
        assert head.weight.device == torch.device("cpu")
    assert head.weight.device == before


def test_an_edit_changes_what_comes_after_it(
    split: Model, tiny: Model, questions: list[Sample]
) -> None:
    inputs = encode(split, questions[:2])
    expected = forward(tiny, inputs).logits
    for model in (split, tiny):
        with edit(model, 1, lambda state: state + 1):
            moved = forward(model, inputs).logits
        assert not moved.allclose(expected, atol=1e-2)
        assert forward(model, inputs).logits.equal(expected)


def test_adapters_want_weights_that_stay(split: Model, tiny_adapter_path: Path) -> None:
    with pytest.raises(DataError, match="is split over memory and disk") as caught:
        attach(split, [str(tiny_adapter_path)], ["tuned"], [None])
    assert "merge the adapter" in caught.value.remedy


@pytest.mark.parametrize("gone", [("vision_tower",), ("vision_tower", "embed_tokens")])
def test_first_weights_outside_of_memory_are_refused(tiny_path: Path, gone: tuple[str]) -> None:
    """The device of a model is that of its first weights: there would be none for its inputs."""
    with pytest.raises(DataError, match="its first weights lie outside of memory") as caught:
        _load(tiny_path, _places(*gone))
    assert "vision tower" in caught.value.allowed


def test_auto_is_the_whole_model_where_it_fits(
    tiny: Model, tiny_path: Path, questions: list[Sample]
) -> None:
    model = load_model(tiny_path, device="auto")
    assert not is_offloaded(model.hf)
    inputs = encode(model, questions[:2])
    assert forward(model, inputs).logits.equal(forward(tiny, inputs).logits)
    assert model.identity == tiny.identity


def test_an_adapter_on_a_split_that_is_in_memory(
    tiny_path: Path, tiny_adapter_path: Path, questions: list[Sample]
) -> None:
    ours = _load(tiny_path, _places())
    with quiet_loading():
        ((tuned, _),) = attach(ours, [str(tiny_adapter_path)], ["tuned"], [None])
    alone = load_model(tiny_path, adapter=tiny_adapter_path)
    inputs = encode(alone, questions[:2])
    assert forward(tuned, inputs).logits.equal(forward(alone, inputs).logits)


def test_without_accelerate(tiny_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "find_spec", lambda _: None)
    with pytest.raises(DataError, match="needs the package accelerate") as caught:
        load_model(tiny_path, device="auto")
    assert "name one device" in caught.value.remedy
