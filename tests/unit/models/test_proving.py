"""A pair is proven: what was counted, what differs, and what can be no pair at all."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.builders import build_adapter, edit_json, edit_tensors

from shiftlens.core.errors import DataError, MismatchError
from shiftlens.data.sample import Sample
from shiftlens.models.generation import forward
from shiftlens.models.loading import load_model, load_pair
from shiftlens.models.model import Model
from shiftlens.models.probe import make_probe
from shiftlens.models.prompts import encode
from shiftlens.models.proof import PairProof
from shiftlens.models.quiet import quiet_loading

Tensors = dict[str, torch.Tensor]


def _proof(base: Path, tuned: Path, **options: Any) -> PairProof:
    found = load_pair(base, tuned, **options)[1].proof
    assert found is not None
    return found


def _logits(model: Model, samples: list[Sample]) -> torch.Tensor:
    return forward(model, encode(model, samples)).logits


def _cast(source: Path, target: Path, dtype: torch.dtype) -> Path:
    """A copy in another type, as ``save_pretrained`` writes it."""
    from transformers import AutoModelForImageTextToText

    with quiet_loading():
        hf = AutoModelForImageTextToText.from_pretrained(source, dtype=torch.float32)
        hf.to(dtype).save_pretrained(target)
    return _with_processor(source, target)


def _merge(source: Path, adapter: Path, target: Path) -> Path:
    from peft import PeftModel
    from transformers import AutoModelForImageTextToText

    with quiet_loading():
        hf = AutoModelForImageTextToText.from_pretrained(source, dtype=torch.float32)
        PeftModel.from_pretrained(hf, adapter).merge_and_unload().save_pretrained(target)
    return _with_processor(source, target)


def _with_processor(source: Path, target: Path) -> Path:
    for file in source.iterdir():
        if not (target / file.name).exists() and not file.name.endswith(".safetensors"):
            shutil.copy(file, target)
    return target


def _scale(file: Path, factor: float) -> None:
    edit_tensors(file, lambda tensors: [tensor.mul_(factor) for tensor in tensors.values()])


# --- adapters


def test_the_proof_counts_what_the_adapter_is(tiny_path: Path, tiny_adapter_path: Path) -> None:
    proof = _proof(tiny_path, tiny_adapter_path)
    assert (proof.kind, proof.adapter_tensors, proof.target_modules) == ("adapter", 48, 24)
    assert proof.share_of_blocks == 1
    assert proof.modules_to_save == proof.vision_modules == proof.embedding_modules == ()
    assert proof.allowed == {}
    assert (proof.base, proof.base_named) == (str(tiny_path), str(tiny_path))
    assert (proof.base_revision, proof.base_revision_named) == (None, None)
    assert (proof.rounding, proof.rounding_only) == (0, False)  # on one module nothing is rounded
    assert proof.largest_logit_difference > proof.mean_logit_difference > 0.1


def test_the_logits_of_the_proof_are_the_models_own(
    tiny_path: Path, tiny_adapter_path: Path
) -> None:
    base, tuned = load_pair(tiny_path, tiny_adapter_path)
    probe = make_probe(base)
    apart = torch.cat([
        (_last(base, group) - _last(tuned, group)).abs() for group in probe.turns
    ])  # fmt: skip
    assert tuned.proof is not None
    assert tuned.proof.largest_logit_difference == pytest.approx(float(apart.max()))
    assert tuned.proof.mean_logit_difference == pytest.approx(float(apart.mean()))


def _last(model: Model, turns: Any) -> torch.Tensor:
    from shiftlens.models.prompts import encode_turns

    return forward(model, encode_turns(model, turns)).logits[:, -1]


@pytest.mark.parametrize(
    ("options", "field", "expected"),
    [
        ({"layers_to_transform": [1], "layers_pattern": "layers", "target_modules": ["up_proj"]},
         "share_of_blocks", 0.25),
        ({"modules_to_save": ["multi_modal_projector"]},
         "modules_to_save", ("model.multi_modal_projector",)),
        ({"modules_to_save": ["multi_modal_projector"]},
         "vision_modules", ("model.multi_modal_projector",)),
        ({"target_modules": r".*vision_tower.*\.fc1"},
         "vision_modules", tuple(f"model.vision_tower.encoder.layers.{i}.mlp.fc1" for i in (0, 1))),
        ({"target_modules": ["q_proj", "lm_head"]}, "embedding_modules", ("lm_head",)),
        ({"target_modules": ["up_proj"], "modules_to_save": ["embed_tokens", "lm_head"]},
         "embedding_modules", ("model.language_model.embed_tokens", "lm_head")),
        ({"target_modules": ["embed_tokens"]},
         "embedding_modules", ("model.language_model.embed_tokens",)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_an_adapter_touches_is_listed(
    tiny_path: Path, tmp_path: Path, options: dict[str, Any], field: str, expected: Any
) -> None:
    proof = _proof(tiny_path, build_adapter(tiny_path, tmp_path / "adapter", **options))
    assert getattr(proof, field) == expected


def test_vision_modules_of_another_family(qwen_path: Path, tmp_path: Path) -> None:
    pattern = r".*visual.*\.fc1|.*layers\.0\.self_attn\.q_proj"
    proof = _proof(qwen_path, build_adapter(qwen_path, tmp_path / "eyes", target_modules=pattern))
    assert len(proof.vision_modules) == 2
    assert all("visual" in name for name in proof.vision_modules)
    assert proof.target_modules == 3


def test_the_shipped_pair_is_one(tuned: Model) -> None:
    proof = tuned.proof
    assert proof is not None
    assert (proof.kind, proof.share_of_blocks, proof.vision_modules) == ("adapter", 1, ())
    assert proof.target_modules == 7 * tuned.address.n_layers
    assert proof.adapter_tensors == 2 * proof.target_modules
    assert proof.base_named == "world:base"
    assert proof.largest_logit_difference > 1


def test_a_proof_is_json(tiny_path: Path, tiny_adapter_path: Path, copied: Path) -> None:
    proof = _proof(tiny_path, tiny_adapter_path)
    content = json.loads(json.dumps(proof.to_dict()))
    assert content == proof.to_dict()
    assert content["modules_to_save"] == []
    edit_json(copied / "generation_config.json", suppress_tokens=[7])
    _scale(copied / "model.safetensors", 1.1)
    other = _proof(tiny_path, copied, allow=("generation options",))
    shown = json.loads(json.dumps(other.to_dict()))
    assert shown["allowed"] == {"generation options": "suppress_tokens is absent and [7]"}
    assert set(shown) == set(content)


def test_a_base_and_a_model_alone_have_no_proof(tiny_path: Path, tiny_adapter_path: Path) -> None:
    base, tuned = load_pair(tiny_path, tiny_adapter_path)
    assert base.proof is None
    assert load_model(tiny_path, adapter=tiny_adapter_path).proof is None
    assert tuned.at_scale(0.5).proof is tuned.proof


# --- configurations that ask for what there is not


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"target_modules": ["o_proj", "gated_proj"]}, "'gated_proj' of its target_modules"),
        ({"target_modules": ["o_proj", "proj"]}, "'proj' of its target_modules"),
        ({"modules_to_save": ["classifier"]}, "'classifier' of its modules_to_save"),
        ({"layers_to_transform": [0, 1, 2, 3, 9]}, "9 of its layers_to_transform"),
    ],
)
def test_every_name_of_the_configuration_matches_a_module(
    tiny_path: Path, tmp_path: Path, fields: dict[str, Any], reason: str
) -> None:
    """PEFT is content with one match: the others would be silently nothing."""
    path = build_adapter(tiny_path, tmp_path / "adapter", target_modules=["o_proj"])
    load_pair(tiny_path, path)
    edit_json(path / "adapter_config.json", **fields)
    with pytest.raises(MismatchError, match=f"does not fit .*: {reason} matches no module"):
        load_pair(tiny_path, path)


# --- what changes nothing


def test_the_same_model_twice(tiny_path: Path, copied: Path) -> None:
    for other in (tiny_path, copied):
        with pytest.raises(MismatchError, match="are the same model twice") as caught:
            load_pair(tiny_path, other)
        assert str(other) in caught.value.given
        assert "tuned_dtype" in caught.value.remedy


def test_the_same_weights_in_other_files_change_nothing(tiny_path: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForImageTextToText

    target = tmp_path / "shards"
    with quiet_loading():
        hf = AutoModelForImageTextToText.from_pretrained(tiny_path, dtype=torch.float32)
        hf.save_pretrained(target, max_shard_size="60KB")
    assert len(list(target.glob("*.safetensors"))) > 1
    with pytest.raises(MismatchError, match=r"changes nothing in .* the same to the bit") as caught:
        load_pair(tiny_path, _with_processor(tiny_path, target))
    # Where the files put the weights decides last bits on some processors: either tells.
    assert "the logits on" in caught.value.given or "every weight is" in caught.value.given


def test_an_adapter_below_the_last_digit_changes_nothing(
    tiny_path: Path, copied_adapter: Path
) -> None:
    """Its tensors are not zero, so only the logits can tell."""
    _scale(copied_adapter / "adapter_model.safetensors", 1e-8)
    with pytest.raises(MismatchError, match=r"changes nothing in .* the same to the bit") as caught:
        load_pair(tiny_path, copied_adapter)
    assert str(copied_adapter) in caught.value.given
    assert "float32" in caught.value.remedy


def test_twin_a_small_adapter_is_a_change(tiny_path: Path, copied_adapter: Path) -> None:
    _scale(copied_adapter / "adapter_model.safetensors", 1e-2)
    proof = _proof(tiny_path, copied_adapter)
    assert 0 < proof.mean_logit_difference < 0.1
    assert not proof.rounding_only


def test_logits_that_are_not_numbers(tiny_path: Path, copied_adapter: Path) -> None:
    def spoil(tensors: Tensors) -> None:
        next(tensor for name, tensor in tensors.items() if "lora_B" in name).fill_(float("inf"))

    edit_tensors(copied_adapter / "adapter_model.safetensors", spoil)
    with pytest.raises(DataError, match=r"not numbers|not where it should be"):
        load_pair(tiny_path, copied_adapter)


def test_tokens_trained_one_by_one_are_seen(tiny: Model, tiny_path: Path, tmp_path: Path) -> None:
    """No prompt of the probe holds this word; without it the pair would look like one model."""
    token = tiny.tokenizer.convert_tokens_to_ids("surfer")
    options = {"target_modules": ["o_proj"], "trainable_token_indices": {"embed_tokens": [token]}}
    path = build_adapter(tiny_path, tmp_path / "words", **options)

    def tokens_alone(tensors: Tensors) -> None:
        for name, tensor in tensors.items():
            if "lora_B" in name:
                tensor.zero_()

    edit_tensors(path / "adapter_model.safetensors", tokens_alone)
    base, tuned = load_pair(tiny_path, path)
    assert tuned.proof is not None
    assert tuned.proof.probe.endswith("followed by 1 trained tokens")
    assert tuned.proof.embedding_modules == ("model.language_model.embed_tokens",)
    said, silent = [Sample("a", "the surfer")], [Sample("b", "the dog")]
    assert not _logits(base, said).equal(_logits(tuned, said))
    assert _logits(base, silent).equal(_logits(tuned, silent))


# --- cast, merged, quantised


@pytest.mark.parametrize("tuned_dtype", ["bfloat16", "auto"])
def test_before_and_after_casting(
    tiny_path: Path, tmp_path: Path, tuned_dtype: str, questions: list[Sample]
) -> None:
    half = _cast(tiny_path, tmp_path / "half", torch.bfloat16)
    with pytest.raises(MismatchError, match="they differ in dtype"):
        load_pair(tiny_path, half, tuned_dtype=tuned_dtype)
    base, tuned = load_pair(tiny_path, half, allow=("dtype",), tuned_dtype=tuned_dtype)
    assert (base.dtype, tuned.dtype) == (torch.float32, torch.bfloat16)
    assert tuned.proof is not None
    assert tuned.proof.rounding_only
    assert 0 < tuned.proof.mean_logit_difference < tuned.proof.rounding
    assert not _logits(base, questions).equal(_logits(tuned, questions).float())


def test_a_rounded_copy_in_a_wider_type_is_rounded_all_the_same(
    tiny_path: Path, tmp_path: Path
) -> None:
    """Its file says what it was rounded to."""
    half = _cast(tiny_path, tmp_path / "half", torch.bfloat16)
    proof = _proof(tiny_path, half, allow=("dtype",))
    assert proof.rounding_only
    assert proof.allowed == {}  # both are float32 in memory: nothing had to be allowed


def test_one_model_in_two_types_is_a_pair_if_that_is_meant(tiny_path: Path) -> None:
    proof = _proof(tiny_path, tiny_path, allow=("dtype",), tuned_dtype="bfloat16")
    assert proof.rounding_only
    assert proof.allowed == {"dtype": "torch.float32 and torch.bfloat16"}


def test_twin_a_fine_tune_is_more_than_rounding(tiny_path: Path, copied: Path) -> None:
    _scale(copied / "model.safetensors", 1.1)
    proof = _proof(tiny_path, copied)
    assert proof.kind == "full model"
    assert proof.mean_logit_difference > 1000 * proof.rounding > 0
    assert not proof.rounding_only


def test_before_and_after_merging(
    tiny_path: Path, tiny_adapter_path: Path, tmp_path: Path, questions: list[Sample]
) -> None:
    merged = _merge(tiny_path, tiny_adapter_path, tmp_path / "merged")
    base, tuned = load_pair(tiny_path, merged, base_adapter=tiny_adapter_path)
    assert (base.label, base.adapter_on, tuned.adapter_on) == ("base", True, False)
    assert tuned.proof is not None
    assert (tuned.proof.kind, tuned.proof.rounding_only) == ("full model", True)
    assert _logits(base, questions).allclose(_logits(tuned, questions), rtol=0, atol=1e-3)
    plain = _proof(tiny_path, merged)
    assert not plain.rounding_only  # against the base without the adapter it is a fine-tune


def test_twin_merging_another_adapter_is_more_than_rounding(
    tiny_path: Path, tiny_adapter_path: Path, tmp_path: Path
) -> None:
    other = build_adapter(tiny_path, tmp_path / "other", seed=1)
    merged = _merge(tiny_path, other, tmp_path / "merged")
    assert not _proof(tiny_path, merged, base_adapter=tiny_adapter_path).rounding_only


def test_two_adapters_of_one_base_are_a_pair(
    tiny_path: Path, tiny_adapter_path: Path, tmp_path: Path, questions: list[Sample]
) -> None:
    other = build_adapter(tiny_path, tmp_path / "later", seed=1)
    base, tuned = load_pair(tiny_path, other, base_adapter=tiny_adapter_path)
    assert base.hf is tuned.hf
    assert (base.label, base.adapter) == ("base", str(tiny_adapter_path))
    assert (tuned.label, tuned.adapter) == ("tuned", str(other))
    alone = load_model(tiny_path, adapter=tiny_adapter_path)
    assert _logits(base, questions).allclose(_logits(alone, questions), rtol=0, atol=1e-4)
    with pytest.raises(MismatchError, match="the same model twice"):
        load_pair(tiny_path, tiny_adapter_path, base_adapter=tiny_adapter_path)


def test_a_base_adapter_that_is_a_model(tiny_path: Path, tiny_adapter_path: Path) -> None:
    with pytest.raises(DataError, match="is no adapter, so the base cannot be run with it"):
        load_pair(tiny_path, tiny_adapter_path, base_adapter=tiny_path)


@pytest.mark.parametrize(
    "settings",
    [
        {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"},
        {"quant_method": "gptq", "bits": 4, "group_size": 128},
        {"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True},
    ],
    ids=lambda settings: settings["quant_method"],
)
def test_quantised_weights_without_their_package(
    tiny_path: Path, copied: Path, settings: dict[str, Any]
) -> None:
    edit_json(copied / "config.json", quantization_config=settings)
    pattern = rf"is quantised \({settings['quant_method']}\) and cannot be loaded .*\(.+\)"
    with pytest.raises(DataError, match=pattern) as caught:
        load_pair(tiny_path, copied, allow=("dtype",))
    assert "not quantised" in caught.value.allowed
    assert settings["quant_method"] in caught.value.remedy


# --- two checkpoints of one training


@pytest.mark.parametrize("kind", ["adapters", "full models"])
def test_two_checkpoints_of_one_training(
    tiny_path: Path, tiny_adapter_path: Path, tmp_path: Path, kind: str
) -> None:
    if kind == "adapters":
        early = Path(shutil.copytree(tiny_adapter_path, tmp_path / "early"))
        _scale(early / "adapter_model.safetensors", 0.9)
        proof = _proof(tiny_path, tiny_adapter_path, base_adapter=early)
    else:
        early, late = (Path(shutil.copytree(tiny_path, tmp_path / name)) for name in "ab")
        _scale(early / "model.safetensors", 1.1)
        _scale(late / "model.safetensors", 1.2)
        proof = _proof(early, late)
    assert proof.mean_logit_difference > 0.01
    assert not proof.rounding_only


def test_revisions_of_one_repository(
    tiny_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = tmp_path / "models--someone--run"
    commits: dict[str, Callable[[Path], None]] = {
        "a" * 40: lambda _file: None,
        "b" * 40: lambda file: _scale(file, 1.1),
    }
    (repository / "refs").mkdir(parents=True)
    for commit, change in commits.items():
        (repository / "refs" / f"step-{commit[0]}").write_text(commit)
        shutil.copytree(tiny_path, repository / "snapshots" / commit)
        change(repository / "snapshots" / commit / "model.safetensors")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    names = {"revision": "step-a", "tuned_revision": "step-b"}
    base, tuned = load_pair("someone/run", "someone/run", **names)
    assert [m.origin.revision for m in (base, tuned)] == list(commits)
    assert tuned.proof is not None
    assert tuned.proof.base_revision == "a" * 40
