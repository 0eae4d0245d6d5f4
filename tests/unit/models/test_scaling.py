"""Adapters that are on in part: by a scale, or in some of their modules."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.builders import build_adapter

from shiftlens.core.errors import DataError, MismatchError
from shiftlens.data.sample import Sample
from shiftlens.models.generation import forward
from shiftlens.models.loading import load_model, load_pair
from shiftlens.models.model import Model
from shiftlens.models.prompts import encode

_Q, _K = ("model.language_model.layers.{}.self_attn." + one for one in ("q_proj", "k_proj"))


@pytest.fixture(scope="module")
def tiny_pair(tiny_path: Path, tiny_adapter_path: Path) -> tuple[Model, Model]:
    return load_pair(tiny_path, tiny_adapter_path)


def _logits(model: Model, samples: list[Sample]) -> torch.Tensor:
    return forward(model, encode(model, samples)).logits


# --- scales


def test_the_ends_are_the_models_and_the_middle_is_neither(
    tiny_pair: tuple[Model, Model], questions: list[Sample]
) -> None:
    base, tuned = tiny_pair
    ends = _logits(base, questions), _logits(tuned, questions)
    assert _logits(tuned.at_scale(0), questions).equal(ends[0])
    assert _logits(tuned.at_scale(1), questions).equal(ends[1])
    middle = _logits(tuned.at_scale(0.5), questions)
    assert not any(middle.allclose(end, rtol=0, atol=1e-2) for end in ends)


def test_the_contribution_of_a_module_is_what_is_multiplied(
    tiny_pair: tuple[Model, Model],
) -> None:
    """By the formula of LoRA, from the tensors themselves."""
    _, tuned = tiny_pair
    layer = tuned.hf.get_submodule(_Q.format(1))
    x = torch.randn(3, 32)
    down, up = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    for scale in (0.25, 0.8):
        with tuned.at_scale(scale).active(), torch.no_grad():
            found = layer(x)
            expected = layer.base_layer(x) + scale * (8 / 4) * (x @ down.T @ up.T)
        assert found.allclose(expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("scale", [-0.1, 1.01, 30])
def test_a_scale_outside_is_refused(tiny_pair: tuple[Model, Model], scale: float) -> None:
    with pytest.raises(
        DataError, match=rf"adapter scale {scale:g} lies outside \[0, 1\]"
    ) as caught:
        tiny_pair[1].at_scale(scale)
    assert "base" in caught.value.allowed


@pytest.mark.parametrize("scale", [float("nan"), float("inf"), True])
def test_a_scale_that_is_no_number_is_refused(tiny_pair: tuple[Model, Model], scale: float) -> None:
    with pytest.raises(DataError, match="is not a number"):
        tiny_pair[1].at_scale(scale)


def test_scales_replace_each_other_and_name_the_model(tiny_pair: tuple[Model, Model]) -> None:
    _, tuned = tiny_pair
    third = tuned.at_scale(0.3)
    assert (third.label, third.adapter_scale) == ("tuned@0.3", 0.3)
    assert (third.at_scale(0.5).label, third.at_scale(0.5).adapter_scale) == ("tuned@0.5", 0.5)
    assert tuned.at_scale(0.3, label="mild").label == "mild"
    assert (tuned.label, tuned.adapter_scale) == ("tuned", 1.0)
    assert third.hf is tuned.hf
    assert third.tenancy is tuned.tenancy


def test_a_base_has_no_scale(tiny_pair: tuple[Model, Model], tiny: Model) -> None:
    for model in (tiny_pair[0], tiny):
        with pytest.raises(MismatchError, match=r"scale 0\.5: it has no adapter that is on"):
            model.at_scale(0.5)
        for scale in (0, 1):
            same = model.at_scale(scale)
            assert (same.adapter_scale, same.identity) == (1.0, model.identity)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"modules_to_save": ["lm_head"]}, "lm_head is changed by a ModulesToSaveWrapper"),
        ({"use_dora": True}, "variant of LoRA .* does more than add"),
    ],
)
def test_what_is_no_product_has_no_scale_in_between(
    tiny_path: Path, tmp_path: Path, questions: list[Sample], options: dict[str, Any], reason: str
) -> None:
    base, tuned = load_pair(tiny_path, build_adapter(tiny_path, tmp_path / "adapter", **options))
    with pytest.raises(MismatchError, match=rf"at adapter scale 0\.5: .*{reason}") as caught:
        tuned.at_scale(0.5)
    assert "load_variants" in caught.value.remedy
    assert _logits(tuned.at_scale(0), questions).equal(_logits(base, questions))
    assert _logits(tuned.at_scale(1), questions).equal(_logits(tuned, questions))


def test_another_kind_than_lora_has_no_scale(
    tiny_path: Path, ia3_path: Path, questions: list[Sample]
) -> None:
    _, tuned = load_pair(tiny_path, ia3_path)
    with pytest.raises(MismatchError, match="not by LoRA"):
        tuned.at_scale(0.5)
    assert tuned.adapter_modules()


def test_an_embedding_is_scaled_like_any_module(
    tiny_path: Path, tmp_path: Path, questions: list[Sample]
) -> None:
    path = build_adapter(tiny_path, tmp_path / "words", target_modules=["embed_tokens", "lm_head"])
    base, tuned = load_pair(tiny_path, path)
    half = tuned.at_scale(0.5)
    ends = _logits(base, questions), _logits(tuned, questions)
    assert not any(_logits(half, questions).allclose(end, atol=1e-2) for end in ends)
    states = torch.randn(4, 32)
    read = [model.readout.logits(states) for model in (base, half, tuned)]
    assert (read[0] + read[2]).allclose(2 * read[1], atol=1e-3)  # the head alone is linear
    assert not read[1].allclose(read[2], atol=1e-2)


# --- modules


def test_the_modules_of_an_adapter_are_named_as_in_the_model(
    tiny_pair: tuple[Model, Model], tiny: Model
) -> None:
    base, tuned = tiny_pair
    names = tuned.adapter_modules()
    everywhere = [name for name, _ in tuned.hf.named_modules()]
    assert [name for name in everywhere if name in names] == list(names)
    assert len(names) == len(set(names)) == 6 * 4
    assert _Q.format(0) in names
    assert base.adapter_modules() == tiny.adapter_modules() == ()


def test_a_replaced_module_counts_once(tiny_path: Path, tmp_path: Path) -> None:
    options = {"target_modules": ["q_proj"], "modules_to_save": ["multi_modal_projector"]}
    pattern = {"layers_to_transform": [0], "layers_pattern": "layers"}
    path = build_adapter(tiny_path, tmp_path / "adapter", **options, **pattern)
    _, tuned = load_pair(tiny_path, path)
    assert set(tuned.adapter_modules()) >= {"model.multi_modal_projector", _Q.format(0)}
    assert len([name for name in tuned.adapter_modules() if "projector" in name]) == 1


def test_without_all_modules_it_is_the_base(
    tiny_pair: tuple[Model, Model], questions: list[Sample]
) -> None:
    base, tuned = tiny_pair
    without = tuned.without_modules(tuned.adapter_modules())
    assert _logits(without, questions).equal(_logits(base, questions))


def test_twin_without_one_module_it_is_neither(
    tiny_pair: tuple[Model, Model], questions: list[Sample]
) -> None:
    base, tuned = tiny_pair
    without = _logits(tuned.without_modules([_Q.format(1)]), questions)
    others = [name for name in tuned.adapter_modules() if name != _Q.format(1)]
    alone = _logits(tuned.without_modules(others), questions)
    for model in (base, tuned):
        assert not without.allclose(_logits(model, questions), rtol=0, atol=1e-3)
        assert not alone.allclose(_logits(model, questions), rtol=0, atol=1e-3)
    assert not alone.allclose(without, rtol=0, atol=1e-3)


def test_modules_add_up_and_name_the_model(
    tiny_pair: tuple[Model, Model], questions: list[Sample]
) -> None:
    _, tuned = tiny_pair
    first, second = _Q.format(0), _K.format(3)
    one = tuned.without_modules([first])
    both = one.without_modules(second)  # a single name is a name
    assert one.label == f"tuned-without-{first}"
    assert both.modules_off == {first, second}
    together = tuned.without_modules([first, second, first])
    assert (together.label, together.modules_off) == ("tuned-without-2-modules", both.modules_off)
    assert _logits(both, questions).equal(_logits(together, questions))
    assert tuned.without_modules([first], label="no-q").label == "no-q"
    assert tuned.modules_off == frozenset()


def test_a_replaced_module_can_be_off(
    tiny_path: Path, tmp_path: Path, questions: list[Sample]
) -> None:
    options = {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]}
    base, tuned = load_pair(tiny_path, build_adapter(tiny_path, tmp_path / "head", **options))
    states = torch.randn(4, 32)
    plain = tuned.without_modules(["lm_head"])
    assert plain.readout.logits(states).equal(base.readout.logits(states))
    assert not tuned.readout.logits(states).equal(base.readout.logits(states))
    assert not _logits(plain, questions).equal(_logits(base, questions))


def test_an_unknown_module_is_refused_with_the_known_ones(
    tiny_pair: tuple[Model, Model],
) -> None:
    _, tuned = tiny_pair
    wrong = _Q.format(1).replace("q_proj", "q_prj")
    with pytest.raises(MismatchError, match=f"is not in {wrong}".replace(".", r"\.")) as caught:
        tuned.without_modules([_Q.format(0), wrong])
    assert "the 24 modules" in caught.value.allowed
    assert _Q.format(1) in caught.value.allowed  # what was meant stands among those shown
    assert caught.value.allowed.endswith("and 16 more")
    assert "adapter_modules()" in caught.value.remedy


def test_no_module_or_no_adapter_is_refused(tiny_pair: tuple[Model, Model], tiny: Model) -> None:
    with pytest.raises(DataError, match="no module to switch off was named"):
        tiny_pair[1].without_modules([])
    for model in (tiny, tiny_pair[0]):
        with pytest.raises(MismatchError, match="has no adapter that is on"):
            model.without_modules([_Q.format(0)])


def test_both_at_once(tiny_pair: tuple[Model, Model], questions: list[Sample]) -> None:
    _, tuned = tiny_pair
    ours = tuned.at_scale(0.5).without_modules([_Q.format(0)])
    theirs = tuned.without_modules([_Q.format(0)]).at_scale(0.5)
    assert ours.label == f"tuned@0.5-without-{_Q.format(0)}"
    assert _logits(ours, questions).equal(_logits(theirs, questions))
    assert not _logits(ours, questions).equal(_logits(tuned.at_scale(0.5), questions))


# --- who it is


def test_the_identity_says_what_is_on(tiny_pair: tuple[Model, Model], tiny: Model) -> None:
    _, tuned = tiny_pair
    assert not {"adapter_scale", "modules_off"} & {*tuned.identity, *tiny.identity}
    for scale in (0.0, 0.3):
        assert tuned.at_scale(scale).identity == {**tuned.identity, "adapter_scale": scale}
    assert tuned.at_scale(1).identity == tuned.identity
    off = [_Q.format(1), _K.format(0)]
    named = tuned.without_modules(off)
    assert named.identity == {**tuned.identity, "modules_off": sorted(off)}
    assert (
        json.loads(json.dumps(named.at_scale(0.1).provenance)).items()
        >= {
            "adapter_scale": 0.1,
            "modules_off": sorted(off),
        }.items()
    )


def test_a_model_loaded_alone_can_be_scaled(
    tiny_path: Path, tiny_adapter_path: Path, questions: list[Sample]
) -> None:
    tuned = load_model(tiny_path, adapter=tiny_adapter_path, label="mine")
    weak = tuned.at_scale(0.1)
    assert weak.label == "mine@0.1"
    assert not _logits(weak, questions).equal(_logits(tuned, questions))
    assert tuned.proof is weak.proof is None
