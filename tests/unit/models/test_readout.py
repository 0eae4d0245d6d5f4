"""The readout is the model's own way from the last state to its words."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.builders import build_adapter
from torch import nn

from shiftlens.data.sample import Sample
from shiftlens.models.generation import forward
from shiftlens.models.hooks import record
from shiftlens.models.loading import load_model, load_pair
from shiftlens.models.model import Model
from shiftlens.models.prompts import encode
from shiftlens.models.readout import Readout


def _last(
    model: Model, samples: list[Sample], layer: int = -1
) -> tuple[torch.Tensor, torch.Tensor]:
    """States after a block and logits, both at the last position."""
    with record(model, [layer], keep=lambda state: state[:, -1]) as seen:
        logits = forward(model, encode(model, samples)).logits[:, -1]
    ((states,),) = seen.states.values()
    return states, logits


def _close(ours: torch.Tensor, theirs: torch.Tensor) -> bool:
    return ours.allclose(theirs, rtol=0, atol=1e-4 * float(theirs.abs().max()))


def test_the_last_state_read_out_is_what_the_model_says(
    family: Model, questions: list[Sample]
) -> None:
    states, logits = _last(family, questions)
    assert _close(family.readout.logits(states), logits)


def test_twin_without_the_norm_it_is_not(family: Model, questions: list[Sample]) -> None:
    states, logits = _last(family, questions)
    assert not _close(replace(family.readout, norm=None).logits(states), logits)


def test_twin_from_an_earlier_block_it_is_not(family: Model, questions: list[Sample]) -> None:
    states, logits = _last(family, questions, layer=-2)
    assert not _close(family.readout.logits(states), logits)


def test_both_models_of_a_pair_read_their_own_states(
    base: Model, tuned: Model, questions: list[Sample]
) -> None:
    for model in (base, tuned):
        states, logits = _last(model, questions)
        assert _close(Readout.of(model).logits(states), logits)


def test_scale_and_soft_cap_by_hand() -> None:
    head = nn.Linear(2, 3, bias=False)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 1.0]]))
    readout = Readout(None, head, None, nullcontext)
    state = torch.tensor([[2.0, 1.0]])
    assert readout.logits(state).tolist() == [[2.0, 2.0, 7.0]]
    assert replace(readout, scale=0.5).logits(state).tolist() == [[1.0, 1.0, 3.5]]
    capped = replace(readout, scale=0.5, soft_cap=2.0).logits(state)
    expected = [2 * 0.46211715726, 2 * 0.46211715726, 2 * 0.94137553849]  # 2 tanh(x / 2)
    assert capped.tolist() == [pytest.approx(expected)]


def test_half_precision_gives_float32(tiny_path: Path) -> None:
    model = load_model(tiny_path, dtype="bfloat16")
    states = torch.randn(3, 32, dtype=torch.bfloat16)
    logits = model.readout.logits(states)
    assert logits.dtype == torch.float32
    assert logits.shape == (3, len(model.tokenizer))
    assert model.readout.logits(states.float()).equal(logits)


def test_nothing_is_learned_and_the_input_stays(tiny: Model) -> None:
    states = torch.randn(3, 32, requires_grad=True)
    before = states.detach().clone()
    assert not tiny.readout.logits(states).requires_grad
    assert states.equal(before)


def test_no_rows(tiny: Model) -> None:
    assert tiny.readout.logits(torch.zeros(0, 32)).shape == (0, len(tiny.tokenizer))


@pytest.mark.parametrize("option", ["target_modules", "modules_to_save"])
def test_an_adapter_on_the_unembedding_is_on_for_the_tuned_alone(
    tiny: Model, tiny_path: Path, tmp_path: Path, questions: list[Sample], option: str
) -> None:
    options = {"target_modules": ["q_proj"], option: ["lm_head"]}
    base, tuned = load_pair(tiny_path, build_adapter(tiny_path, tmp_path / "head", **options))
    states = torch.randn(4, 32)
    ours, theirs = base.readout.logits(states), tuned.readout.logits(states)
    assert _close(ours, tiny.readout.logits(states))
    assert not _close(theirs, ours)
    late = replace(base)  # a base whose readout is first asked for beside the adapter
    with tuned.active():
        assert _close(late.readout.logits(states), ours)
    with base.active():
        assert tuned.readout.logits(states).equal(theirs)
    for model in (base, tuned, late):
        seen, logits = _last(model, questions)
        assert _close(model.readout.logits(seen), logits)
    assert base.readout.fingerprint == tiny.readout.fingerprint
    assert late.readout.fingerprint == tiny.readout.fingerprint
    assert tuned.readout.fingerprint != tiny.readout.fingerprint


def test_the_fingerprint_is_of_what_is_read_with(
    tiny: Model, brief: Model, tiny_path: Path, tiny_adapter_path: Path
) -> None:
    base, tuned = load_pair(tiny_path, tiny_adapter_path)
    ours = tiny.readout.fingerprint
    assert ours.startswith("tensors:")
    assert base.readout.fingerprint == tuned.readout.fingerprint == ours  # the head is not adapted
    assert brief.readout.fingerprint != ours
    assert replace(tiny.readout, norm=None).fingerprint != ours
