"""One base and any number of fine-tunes: each is what it is alone, whatever ran before it."""

import shutil
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.builders import build_adapter, edit_json, edit_tensors

from shiftlens.core.errors import DataError, MismatchError
from shiftlens.data.sample import Sample
from shiftlens.models.generation import forward, last_logits
from shiftlens.models.loading import load_model, load_pair
from shiftlens.models.model import Model
from shiftlens.models.prompts import encode
from shiftlens.models.variants import load_variants


@pytest.fixture(scope="module")
def second_path(tiny_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter of other modules, another rank, another seed."""
    path = tmp_path_factory.mktemp("variants") / "second"
    pattern = r".*(language_model.*\.(q_proj|gate_proj)|vision_tower.*\.fc1)"
    return build_adapter(tiny_path, path, seed=1, target_modules=pattern, r=2, lora_alpha=2)


@pytest.fixture(scope="module")
def variants(
    tiny_path: Path, tiny_adapter_path: Path, second_path: Path
) -> tuple[Model, Model, Model]:
    base, first, second = load_variants(tiny_path, [tiny_adapter_path, second_path])
    return base, first, second


@pytest.fixture(scope="module")
def moved_path(tiny_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A full fine-tune."""
    path = Path(shutil.copytree(tiny_path, tmp_path_factory.mktemp("variants") / "moved"))

    def move(tensors: dict[str, torch.Tensor]) -> None:
        for tensor in tensors.values():
            tensor.mul_(1.1)

    edit_tensors(path / "model.safetensors", move)
    return path


def _logits(model: Model, samples: list[Sample]) -> torch.Tensor:
    return forward(model, encode(model, samples)).logits


def test_adapters_share_one_module(
    variants: tuple[Model, Model, Model], tiny_path: Path, tiny_adapter_path: Path, tiny: Model
) -> None:
    base, first, second = variants
    assert base.hf is first.hf is second.hf
    assert base.tenancy is first.tenancy is second.tenancy
    assert [model.label for model in variants] == ["base", "tuned-0", "tuned-1"]
    assert (base.adapter, first.adapter) == (None, str(tiny_adapter_path))
    assert base.identity == tiny.identity
    _, alone = load_pair(tiny_path, tiny_adapter_path)
    assert first.identity == alone.identity
    assert second.identity["adapter_weights"] != first.identity["adapter_weights"]
    assert set(second.adapter_modules()) != set(first.adapter_modules())


def test_each_is_what_it_is_alone_in_any_order(
    variants: tuple[Model, Model, Model],
    tiny_path: Path,
    tiny_adapter_path: Path,
    second_path: Path,
    questions: list[Sample],
) -> None:
    """To the bit among themselves; up to rounding against a module that holds one adapter only."""
    base, first, second = variants
    models = {
        "base": base,
        "first": first,
        "second": second,
        "half": first.at_scale(0.5),
        "part": second.without_modules(second.adapter_modules()[:3]),
    }
    inputs = encode(base, questions[:2])
    expected = {name: forward(model, inputs).logits for name, model in models.items()}
    for order in permutations(models):
        assert all(forward(models[name], inputs).logits.equal(expected[name]) for name in order)
    assert len({tuple(one.flatten().tolist()) for one in expected.values()}) == len(models)
    for name, path in (("first", tiny_adapter_path), ("second", second_path)):
        alone = forward(load_model(tiny_path, adapter=path), inputs).logits
        assert alone.allclose(expected[name], rtol=0, atol=1e-4)


def test_contexts_of_several_adapters_nest(
    variants: tuple[Model, Model, Model], questions: list[Sample]
) -> None:
    base, first, second = variants
    inputs = encode(base, questions[:2])
    expected = [forward(model, inputs).logits for model in variants]
    with first.active():
        with second.at_scale(0.5).active():
            assert forward(base, inputs).logits.equal(expected[0])
            assert forward(second, inputs).logits.equal(expected[2])
        found = first.hf(**inputs.tensors, **last_logits(first)).logits
    assert found.equal(expected[1])


def test_a_single_variant_is_the_tuned_of_a_pair(
    tiny_path: Path, tiny_adapter_path: Path, questions: list[Sample]
) -> None:
    base, tuned = load_variants(tiny_path, [tiny_adapter_path])
    ours, theirs = load_pair(tiny_path, tiny_adapter_path)
    assert (tuned.label, tuned.adapter_slot) == ("tuned", "default")
    assert tuned.proof == theirs.proof
    assert tuned.proof is not None
    assert base.identity == ours.identity


def test_full_models_are_modules_of_their_own(
    tiny_path: Path, tiny_adapter_path: Path, moved_path: Path, questions: list[Sample]
) -> None:
    base, moved, adapted = load_variants(tiny_path, [moved_path, tiny_adapter_path])
    assert base.hf is adapted.hf
    assert moved.hf is not base.hf
    kinds = [model.proof.kind for model in (moved, adapted) if model.proof]
    assert kinds == ["full model", "adapter"]
    assert not _logits(moved, questions).equal(_logits(base, questions))


@pytest.mark.parametrize("other", ["ia3", "lm_head"])
def test_adapters_that_do_not_go_together_get_copies(
    tiny_path: Path,
    tiny_adapter_path: Path,
    ia3_path: Path,
    tmp_path: Path,
    questions: list[Sample],
    other: str,
) -> None:
    """PEFT holds one type in a module, and no module both replaced and adapted."""
    path = ia3_path
    if other == "lm_head":
        options = {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]}
        path = build_adapter(tiny_path, tmp_path / "head", **options)
    again = build_adapter(tiny_path, tmp_path / "again", seed=2)
    base, first, apart, third = load_variants(tiny_path, [tiny_adapter_path, path, again])
    assert base.hf is first.hf is third.hf
    assert apart.hf is not base.hf
    alone = load_model(tiny_path, adapter=path)
    expected = _logits(alone, questions)
    assert _logits(apart, questions).allclose(expected, rtol=0, atol=1e-4)
    assert not _logits(first, questions).allclose(expected, rtol=0, atol=1e-2)


def test_adapters_that_replace_the_same_modules_share_one(
    tiny_path: Path, tmp_path: Path, questions: list[Sample]
) -> None:
    paths = [
        build_adapter(tiny_path, tmp_path / str(seed), seed=seed, target_modules=[target],
                      modules_to_save=["lm_head"])
        for seed, target in enumerate(("q_proj", "v_proj"))
    ]  # fmt: skip
    base, first, second = load_variants(tiny_path, paths)
    assert base.hf is first.hf is second.hf
    states = torch.randn(3, 32)
    read = [model.readout.logits(states) for model in (base, first, second)]
    assert len({tuple(one.flatten().tolist()) for one in read}) == 3
    for model, path in ((first, paths[0]), (second, paths[1])):
        alone = load_model(tiny_path, adapter=path)
        assert _logits(model, questions).allclose(_logits(alone, questions), rtol=0, atol=1e-4)
    assert [model.proof.modules_to_save for model in (first, second) if model.proof] == [
        ("lm_head",)
    ] * 2


def test_a_foreign_adapter_is_found_among_others(
    tiny_path: Path, tiny_adapter_path: Path, copied_adapter: Path
) -> None:
    def rename(tensors: dict[str, torch.Tensor]) -> None:
        for name in list(tensors):
            tensors[name.replace("language_model", "text_model")] = tensors.pop(name)

    edit_tensors(copied_adapter / "adapter_model.safetensors", rename)
    with pytest.raises(MismatchError, match=f"{copied_adapter} does not fit .*: no place for"):
        load_variants(tiny_path, [tiny_adapter_path, copied_adapter])


def test_an_adapter_that_lacks_a_tensor_does_not_take_its_neighbours(
    tiny_path: Path, tiny_adapter_path: Path, copied_adapter: Path
) -> None:
    def drop(tensors: dict[str, torch.Tensor]) -> None:
        del tensors[next(name for name in tensors if "lora_B" in name)]

    edit_tensors(copied_adapter / "adapter_model.safetensors", drop)
    with pytest.raises(MismatchError, match=r"its file lacks .*lora_B\.variant0001"):
        load_variants(tiny_path, [tiny_adapter_path, copied_adapter])


def test_the_same_fine_tune_twice_is_refused(
    tiny_path: Path, tiny_adapter_path: Path, copied_adapter: Path, moved_path: Path
) -> None:
    with pytest.raises(MismatchError, match=r"tuned-0: .* and .*tuned-1: .* same model twice"):
        load_variants(tiny_path, [tiny_adapter_path, copied_adapter])
    with pytest.raises(MismatchError, match="the same model twice"):
        load_variants(tiny_path, [moved_path, moved_path])


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (["one"], "1 labels for 2 fine-tunes"),
        (["one", "one"], "do not tell the models apart"),
        (["one", "base"], "do not tell the models apart"),
        (["one", ""], "do not tell the models apart"),
    ],
)
def test_labels_tell_the_models_apart(
    tiny_path: Path, tiny_adapter_path: Path, second_path: Path, labels: list[str], reason: str
) -> None:
    paths = [tiny_adapter_path, second_path]
    with pytest.raises(DataError, match=reason):
        load_variants(tiny_path, paths, labels=labels)
    assert [m.label for m in load_variants(tiny_path, paths, labels=["x", "y"])] == [
        "base", "x", "y",
    ]  # fmt: skip


def test_what_makes_no_sense_is_refused(
    tiny_path: Path, tiny_adapter_path: Path, moved_path: Path
) -> None:
    with pytest.raises(DataError, match="no fine-tune of the base was given"):
        load_variants(tiny_path, [])
    with pytest.raises(DataError, match="2 revisions for 1 fine-tunes"):
        load_variants(tiny_path, [tiny_adapter_path], revisions=[None, None])
    with pytest.raises(DataError, match="an adapter shares the weights of its base") as caught:
        load_variants(tiny_path, [moved_path, tiny_adapter_path], tuned_dtype="bfloat16")
    assert "dtype for a base" in caught.value.allowed
    with pytest.raises(DataError, match="no model at /no/where"):
        load_variants(tiny_path, [tiny_adapter_path, "/no/where"])
    with pytest.raises(DataError, match="a difference in 'width' cannot be allowed"):
        load_variants(tiny_path, [tiny_adapter_path], allow=("width",))


def test_an_allowed_difference_holds_for_those_that_have_it(
    tiny_path: Path, tiny_adapter_path: Path, moved_path: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(moved_path, tmp_path / "other"))
    edit_json(other / "generation_config.json", suppress_tokens=[7])
    paths: list[Any] = [tiny_adapter_path, other]
    with pytest.raises(MismatchError, match="they differ in generation options"):
        load_variants(tiny_path, paths)
    _, first, second = load_variants(tiny_path, paths, allow=("generation options",))
    assert first.proof is not None
    assert second.proof is not None
    assert (first.proof.allowed, list(second.proof.allowed)) == ({}, ["generation options"])
