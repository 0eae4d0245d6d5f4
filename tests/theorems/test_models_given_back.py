"""Theorem: a model is the same, bit for bit, after every context, however it is left."""

from itertools import permutations
from pathlib import Path

import pytest
import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from tests.builders import build_adapter

from shiftlens.data.sample import Sample
from shiftlens.models.generation import forward, last_logits
from shiftlens.models.hooks import edit, record
from shiftlens.models.model import Model
from shiftlens.models.prompts import Inputs, encode
from shiftlens.models.variants import load_variants


class _Interrupted(Exception):
    pass


def _logits(model: Model, inputs: Inputs) -> torch.Tensor:
    return forward(model, inputs).logits


def _interrupt(_state: torch.Tensor) -> torch.Tensor:
    raise _Interrupted


@pytest.mark.parametrize("fails", [False, True], ids=["ends", "raises"])
def test_recording_and_editing_leave_nothing(
    tuned: Model, questions: list[Sample], fails: bool
) -> None:
    inputs = encode(tuned, questions[:2])
    before, weights = _logits(tuned, inputs), _weights(tuned)
    try:
        with record(tuned, range(3)), edit(tuned, 2, lambda state: state * 3 + 1):
            assert not _logits(tuned, inputs).equal(before)
            if fails:
                raise _Interrupted
    except _Interrupted:
        pass
    assert _logits(tuned, inputs).equal(before)
    assert _same(_weights(tuned), weights)


def test_an_edit_that_fails_within_the_forward_pass_is_taken_out(
    tuned: Model, questions: list[Sample]
) -> None:
    inputs = encode(tuned, questions[:2])
    before = _logits(tuned, inputs)
    with pytest.raises(_Interrupted), edit(tuned, 1, _interrupt):
        _logits(tuned, inputs)
    assert _logits(tuned, inputs).equal(before)


def test_twin_a_hook_that_is_not_taken_out_is_seen(tuned: Model, questions: list[Sample]) -> None:
    inputs = encode(tuned, questions[:2])
    before = _logits(tuned, inputs)
    block = tuned.address.block(tuned.hf, 1)
    handle = block.register_forward_hook(lambda _b, _a, state: state + 1)
    try:
        assert not _logits(tuned, inputs).equal(before)
    finally:
        handle.remove()


def test_the_base_of_a_pair_is_the_base_alone(
    base: Model, tuned: Model, lone: Model, questions: list[Sample]
) -> None:
    """Neither attaching nor entering the adapter moves a bit of the base.

    Between two loaded models the weights are compared to the bit and the logits up to rounding: the
    same product can round otherwise where its operands lie otherwise in memory.
    """
    inputs = encode(base, questions)
    before, alone = _logits(base, inputs), _logits(lone, inputs)
    assert before.allclose(alone, rtol=0, atol=1e-4)
    assert not _logits(tuned, inputs).allclose(alone, rtol=0, atol=1e-4)
    assert _logits(base, inputs).equal(before)
    plain = {name.replace(".base_layer", ""): t for name, t in _weights(base).items()}
    ours = {name: tensor for name, tensor in plain.items() if ".lora_" not in name}
    assert _same(ours, _weights(lone))


def test_twin_the_tuned_model_is_not_the_base(
    base: Model, tuned: Model, questions: list[Sample]
) -> None:
    inputs = encode(base, questions)
    assert not _logits(tuned, inputs).allclose(_logits(base, inputs), atol=1e-2)


@pytest.mark.parametrize("outer", ["base", "tuned"])
@pytest.mark.parametrize("fails", [False, True], ids=["ends", "raises"])
def test_active_restores_what_was_there(
    base: Model, tuned: Model, questions: list[Sample], outer: str, fails: bool
) -> None:
    inputs = encode(base, questions[:2])
    models = {"base": base, "tuned": tuned}
    expected = {name: _logits(model, inputs) for name, model in models.items()}
    first = models.pop(outer)
    (second,) = models.values()
    flags = [tensor.requires_grad for tensor in base.hf.parameters()]
    with first.active():
        try:
            with second.active():
                inside = base.hf(**inputs.tensors, **last_logits(base)).logits
                if fails:
                    raise _Interrupted
        except _Interrupted:
            pass
        after = base.hf(**inputs.tensors, **last_logits(base)).logits
    assert after.equal(expected[outer])
    assert inside.equal(expected[second.label])
    assert [tensor.requires_grad for tensor in base.hf.parameters()] == flags


def test_active_gives_back_a_state_that_the_user_set(base: Model, tuned: Model) -> None:
    """What PEFT was told outside is what it finds afterwards."""
    layers = [m for m in base.hf.modules() if isinstance(m, BaseTunerLayer)]
    assert layers
    before = _states(base)
    try:
        for layer in layers:
            layer._disable_adapters, layer.scaling["default"] = True, 0.125
            layer._active_adapter = "default"
        told = _states(base)
        with tuned.active():
            assert not any(layer.disable_adapters for layer in layers)
            assert all(layer.active_adapters == ["default"] for layer in layers)
            inside = [layer.scaling for layer in layers]
            assert inside == [scaling for _, _, scaling, _ in before.values()]
        assert _states(base) == told
        assert not any(isinstance(layer.active_adapter, list) for layer in layers)
    finally:
        for layer, (off, active, scaling, _) in zip(layers, before.values(), strict=True):
            layer._disable_adapters, layer._active_adapter = off, active
            layer.scaling.update(scaling)
    assert _states(base) == before


@pytest.mark.parametrize("fails", [False, True], ids=["ends", "raises"])
def test_an_adapter_that_was_on_in_part_leaves_nothing(
    base: Model, tuned: Model, questions: list[Sample], fails: bool
) -> None:
    """Scale, modules and adapter inside; the very same numbers, fields and flags outside."""
    inputs = encode(base, questions[:2])
    models = (base, tuned)
    expected = [_logits(model, inputs) for model in models]
    before, weights = _states(base), _weights(base)
    part = tuned.at_scale(0.5).without_modules(tuned.adapter_modules()[::3])
    try:
        with part.active():
            assert _states(base) != before
            inside = base.hf(**inputs.tensors, **last_logits(base)).logits
            if fails:
                raise _Interrupted
    except _Interrupted:
        pass
    assert not any(inside.allclose(one, atol=1e-2) for one in expected)
    assert _states(base) == before
    assert _same(_weights(base), weights)
    assert all(_logits(model, inputs).equal(e) for model, e in zip(models, expected, strict=True))


def test_the_ends_of_the_scale_are_the_base_and_the_tuned_model(
    base: Model, tuned: Model, questions: list[Sample]
) -> None:
    inputs = encode(base, questions)
    assert _logits(tuned.at_scale(0), inputs).equal(_logits(base, inputs))
    assert _logits(tuned.at_scale(1), inputs).equal(_logits(tuned, inputs))
    nothing = tuned.without_modules(tuned.adapter_modules())
    assert _logits(nothing, inputs).equal(_logits(base, inputs))


def test_twin_between_the_ends_it_is_neither(
    base: Model, tuned: Model, questions: list[Sample]
) -> None:
    inputs = encode(base, questions)
    for part in (tuned.at_scale(0.5), tuned.without_modules(tuned.adapter_modules()[:10])):
        found = _logits(part, inputs)
        assert not found.allclose(_logits(base, inputs), atol=1e-2)
        assert not found.allclose(_logits(tuned, inputs), atol=1e-2)


def test_models_of_one_module_do_not_remember_each_other(
    base_path: Path, adapter_path: Path, tmp_path: Path, questions: list[Sample]
) -> None:
    """Whatever order they run in, each gives the bits that it gives alone."""
    other = build_adapter(base_path, tmp_path / "other", scale=0.1)
    base, first, second = load_variants(base_path, [adapter_path, other])
    half = first.at_scale(0.5)
    inputs = encode(base, questions[:2])
    models = (base, first, half, second)
    expected = [_logits(model, inputs) for model in models]
    assert len({tuple(one.flatten().tolist()) for one in expected}) == len(models)
    for order in permutations(range(len(models))):
        for at in order:
            assert _logits(models[at], inputs).equal(expected[at])


@pytest.fixture(scope="module")
def lone(base_path) -> Model:
    from shiftlens.models.loading import load_model

    return load_model(base_path)


def _states(model: Model) -> dict[str, tuple[object, object, dict[str, float], list[bool]]]:
    """What PEFT knows of every layer of a module, gradient flags included."""
    return {
        name: (
            layer.disable_adapters,
            layer.active_adapter,
            dict(layer.scaling),
            [tensor.requires_grad for tensor in layer.parameters()],
        )
        for name, layer in model.hf.named_modules()
        if isinstance(layer, BaseTunerLayer)
    }


def _weights(model: Model) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.hf.state_dict().items()}


def _same(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> bool:
    return ours.keys() == theirs.keys() and all(ours[k].equal(theirs[k]) for k in ours)
