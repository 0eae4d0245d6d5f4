"""Two models that are not a base and its fine-tune are refused, with the field named."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tests.builders import build_adapter, build_llava, build_tokenizer, edit_json, template

from shiftlens.core.errors import DataError, MismatchError
from shiftlens.models.loading import load_model, load_pair
from shiftlens.models.model import Model
from shiftlens.models.pairs import ALLOWABLE, check_pair
from shiftlens.models.processing.processors import chat_template

_NEVER = "only these may differ, and only by name: " + ", ".join(ALLOWABLE)


def test_a_model_is_a_pair_with_itself(tiny: Model, copied: Path) -> None:
    assert check_pair(tiny, tiny) == {}
    assert check_pair(tiny, load_model(copied)) == {}


def test_the_base_of_an_adapter_is_a_pair_with_the_base_alone(
    tiny: Model, tiny_path: Path, tmp_path: Path
) -> None:
    """What PEFT puts into the module is no shape of the base's."""
    options = {"target_modules": ["q_proj", "embed_tokens"], "modules_to_save": ["lm_head"]}
    base, tuned = load_pair(tiny_path, build_adapter(tiny_path, tmp_path / "adapter", **options))
    assert check_pair(tiny, base) == check_pair(base, tiny) == check_pair(tuned, tiny) == {}


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"num_hidden_layers": 3}, "number of layers"),
        ({"hidden_size": 64}, "width"),
        ({"intermediate_size": 32}, "shape of the tensors"),
        ({"vision_layers": 3}, "shape of the tensors"),
        ({"by_bytes": True}, "vocabulary"),
        ({"chat_template": template("<image>") + " "}, "chat template"),
        ({"chat_template": None}, "chat template"),
    ],
)
def test_another_build_is_no_partner(
    tiny_path: Path, tmp_path: Path, options: dict[str, object], field: str
) -> None:
    other = build_llava(tmp_path / "other", **options)
    with pytest.raises(MismatchError, match=f"are not a pair: they differ in {field}, ") as caught:
        load_pair(tiny_path, other)
    assert str(tiny_path) in caught.value.given
    assert str(other) in caught.value.given
    assert " and " in caught.value.given.partition(field)[2]
    assert all(name in caught.value.allowed for name in ALLOWABLE)
    assert caught.value.remedy


@pytest.mark.parametrize(
    "options",
    [
        {"num_hidden_layers": 3},
        {"hidden_size": 64},
        {"intermediate_size": 32},
        {"by_bytes": True},
    ],
)
def test_shapes_are_never_allowed(
    tiny_path: Path, tmp_path: Path, options: dict[str, object]
) -> None:
    other = build_llava(tmp_path / "other", **options)
    with pytest.raises(MismatchError, match="they differ in") as caught:
        load_pair(tiny_path, other, allow=tuple(ALLOWABLE))
    assert caught.value.allowed == _NEVER


def test_another_architecture_is_no_partner(families: dict[str, Model]) -> None:
    with pytest.raises(
        MismatchError, match=r"architecture, LlavaFor\w+ and Qwen2VLFor\w+"
    ) as caught:
        check_pair(families["llava"], families["qwen2_vl"])
    assert caught.value.allowed == _NEVER


def _swap_two_words(folder: Path) -> None:
    file = folder / "tokenizer.json"
    content = json.loads(file.read_text())
    words = content["model"]["vocab"]
    words["dog"], words["cat"] = words["cat"], words["dog"]
    file.write_text(json.dumps(content))


def _darken(folder: Path) -> None:
    file = folder / "processor_config.json"
    content = json.loads(file.read_text())
    content["image_processor"]["image_mean"] = [0.5, 0.5, 0.5]
    file.write_text(json.dumps(content))


def _shrink(folder: Path) -> None:
    """Another limit on the size of pictures."""
    file = folder / "processor_config.json"
    content = json.loads(file.read_text())
    content["image_processor"]["crop_size"] = {"height": 16, "width": 16}
    file.write_text(json.dumps(content))


def _reword(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text(template("<image>").replace("assistant", "a man"))


def _end_elsewhere(folder: Path) -> None:
    edit_json(folder / "generation_config.json", eos_token_id=[2, 7])


def _suppress(folder: Path) -> None:
    edit_json(folder / "generation_config.json", suppress_tokens=[9, 7])


_CHANGES = [
    (_darken, "picture processing", "image_mean is .* and "),
    (_shrink, "picture processing", "crop_size is .*24.* and .*16"),
    (_reword, "chat template", ".*assistant.* and .*a man"),
    (_end_elsewhere, "generation options", r"eos_token_id is \[2\] and \[2, 7\]"),
    (_suppress, "generation options", r"suppress_tokens is absent and \[7, 9\]"),
]


@pytest.mark.parametrize(("change", "field", "values"), _CHANGES)
def test_the_same_weights_with_other_files_are_no_partner(
    tiny_path: Path, copied: Path, change: Callable[[Path], None], field: str, values: str
) -> None:
    change(copied)
    with pytest.raises(MismatchError, match=f"they differ in {field}, {values}") as caught:
        load_pair(tiny_path, copied)
    assert all(name in caught.value.allowed for name in ALLOWABLE)
    assert ALLOWABLE[field] in caught.value.remedy
    assert f"allow=({field!r},)" in caught.value.remedy


@pytest.mark.parametrize(("change", "field", "values"), _CHANGES)
def test_a_difference_that_is_meant_is_allowed_by_name(
    tiny: Model, copied: Path, change: Callable[[Path], None], field: str, values: str
) -> None:
    change(copied)
    other = load_model(copied)
    assert (
        list(check_pair(tiny, other, (field,))) == list(check_pair(tiny, other, field)) == [field]
    )
    others = tuple(name for name in ALLOWABLE if name != field)
    with pytest.raises(MismatchError, match=field):
        check_pair(tiny, other, others)  # the other names do not cover it


def test_a_vocabulary_is_never_allowed(tiny_path: Path, copied: Path) -> None:
    _swap_two_words(copied)
    with pytest.raises(MismatchError, match="they differ in vocabulary") as caught:
        load_pair(tiny_path, copied, allow=tuple(ALLOWABLE))
    assert "tokenizer files" in caught.value.remedy
    assert caught.value.allowed == _NEVER


@pytest.mark.parametrize("name", ["width", "vocabulary", "shape of the tensors", "dtypes", ""])
def test_an_unknown_name_is_refused(tiny_path: Path, tiny_adapter_path: Path, name: str) -> None:
    for partner in (tiny_adapter_path, "/no/where"):  # before anything is loaded
        with pytest.raises(
            DataError, match=f"a difference in '{name}' cannot be allowed"
        ) as caught:
            load_pair(tiny_path, partner, allow=("dtype", name))
        assert all(one in caught.value.allowed for one in ALLOWABLE)
        assert "allow=(" in caught.value.remedy


@pytest.mark.parametrize(
    "options",
    [
        {"do_sample": True, "temperature": 0.2, "top_p": 0.5},
        {"repetition_penalty": 1.3},
        {"max_length": 9, "min_length": 3},
        {"eos_token_id": [2]},
        {"eos_token_id": None},
        {"pad_token_id": 3},
    ],
    ids=str,
)
def test_options_that_do_not_decide_a_greedy_answer_may_differ(
    tiny: Model, copied: Path, options: dict[str, Any]
) -> None:
    """Sampling and penalties are set aside by ``generate``; ends are what they come down to."""
    edit_json(copied / "generation_config.json", **options)
    assert check_pair(tiny, load_model(copied)) == {}


def test_another_type_is_no_partner(tiny: Model, tiny_path: Path) -> None:
    half = load_model(tiny_path, dtype="bfloat16")
    pattern = r"dtype, torch\.float32 and torch\.bfloat16"
    with pytest.raises(MismatchError, match=pattern) as caught:
        check_pair(tiny, half)
    assert "allow=('dtype',)" in caught.value.remedy
    found = check_pair(tiny, half, ("dtype",))
    assert found == {"dtype": "torch.float32 and torch.bfloat16"}


def test_another_picture_token_is_no_partner(tiny: Model, copied: Path) -> None:
    edit_json(copied / "config.json", image_token_index=3)
    other = load_model(copied)
    with pytest.raises(MismatchError, match="they differ in picture token, 4 and 3"):
        check_pair(tiny, other, tuple(ALLOWABLE))


def test_names_and_labels_do_not_matter(tiny: Model, tiny_path: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(tiny_path, tmp_path / "elsewhere"))
    other = load_model(moved, label="another", attention="sdpa")
    check_pair(tiny, other)
    with pytest.raises(MismatchError, match="they differ in number of layers, 4 and 3"):
        check_pair(tiny, replace(other, address=replace(other.address, n_layers=3)))


# --- quantised weights


class _Packed(torch.nn.Module):
    """Eight weights of a linear map packed into four bytes, as quantised layers hold them."""

    def __init__(self, linear: torch.nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        size = linear.weight.numel() // 2
        self.weight = torch.nn.Parameter(torch.zeros(size, 1, dtype=torch.uint8), False)
        self.register_buffer("scales", torch.ones(3))


def _packed(path: Path, *names: str) -> Model:
    model = load_model(path)
    for name in names:
        owner, _, leaf = name.rpartition(".")
        parent = model.hf.get_submodule(owner)
        setattr(parent, leaf, _Packed(model.hf.get_submodule(name)))
    model.hf.config.quantization_config = SimpleNamespace(to_dict=lambda: {"quant_method": "toy"})
    return model


def test_packed_weights_are_compared_by_what_they_take_and_give(
    tiny: Model, tiny_path: Path, tmp_path: Path
) -> None:
    names = (
        "model.language_model.layers.0.mlp.up_proj",
        "model.language_model.layers.3.mlp.up_proj",
    )
    packed = _packed(tiny_path, *names)
    with pytest.raises(MismatchError, match=r"dtype, torch\.float32 and .* quantised \(toy\)"):
        check_pair(tiny, packed)
    assert list(check_pair(tiny, packed, ("dtype",))) == ["dtype"]
    wider = _packed(build_llava(tmp_path / "wider", intermediate_size=80), *names)
    with pytest.raises(
        MismatchError, match=r"shape of the tensors, .* is \(64, 32\) and \(80, 32\)"
    ):
        check_pair(tiny, wider, ("dtype",))


# --- what lies beside an adapter


def _beside(base: Path, adapter: Path, *patterns: str) -> None:
    for pattern in patterns:
        for file in base.glob(pattern):
            shutil.copy(file, adapter)


_TOKENIZER, _ALL = ("tokenizer*",), ("tokenizer*", "process*", "*.jinja")


@pytest.mark.parametrize("patterns", [_TOKENIZER, _ALL, ("*.jinja",)])
def test_the_same_processor_beside_an_adapter_changes_nothing(
    tiny_path: Path, copied_adapter: Path, patterns: tuple[str, ...]
) -> None:
    _beside(tiny_path, copied_adapter, *patterns)
    base, tuned = load_pair(tiny_path, copied_adapter)
    assert tuned.proof is not None
    assert tuned.proof.allowed == {}
    assert tuned.processor is base.processor


@pytest.mark.parametrize("patterns", [_TOKENIZER, _ALL, ("*.jinja",)])
def test_an_adapter_that_was_trained_with_another_template(
    tiny_path: Path, copied_adapter: Path, patterns: tuple[str, ...]
) -> None:
    _beside(tiny_path, copied_adapter, *patterns)
    _reword(copied_adapter)
    with pytest.raises(MismatchError, match=r"they differ in chat template, .*a man"):
        load_pair(tiny_path, copied_adapter)
    base, tuned = load_pair(tiny_path, copied_adapter, allow=("chat template",))
    assert tuned.proof is not None
    assert list(tuned.proof.allowed) == ["chat template"]
    assert "a man" in str(chat_template(tuned.processor))
    assert "a man" not in str(chat_template(base.processor))  # each is asked in its own way


def test_an_adapter_that_saw_other_pictures(tiny_path: Path, copied_adapter: Path) -> None:
    _beside(tiny_path, copied_adapter, *_ALL)
    _darken(copied_adapter)
    with pytest.raises(MismatchError, match="they differ in picture processing, image_mean"):
        load_pair(tiny_path, copied_adapter)
    base, tuned = load_pair(tiny_path, copied_adapter, allow=("picture processing",))
    assert tuned.identity["processor"] != base.identity["processor"]


def test_an_adapter_with_more_words_than_the_base(tiny_path: Path, copied_adapter: Path) -> None:
    build_tokenizer(("<image>", "<more>")).save_pretrained(copied_adapter)
    with pytest.raises(MismatchError, match="they differ in vocabulary"):
        load_pair(tiny_path, copied_adapter, allow=tuple(ALLOWABLE))


def test_a_broken_tokenizer_beside_an_adapter(tiny_path: Path, copied_adapter: Path) -> None:
    (copied_adapter / "tokenizer.json").write_text("{")
    with pytest.raises(
        DataError, match=r"the tokenizer beside adapter .* cannot be loaded"
    ) as caught:
        load_pair(tiny_path, copied_adapter)
    assert "remove its files" in caught.value.remedy


# --- revisions of the base


_A, _B = "a" * 40, "b" * 40


@pytest.fixture
def hub(tiny_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The tiny model as one that was downloaded at commit ``_A``."""
    repository = tmp_path / "models--someone--model"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(_A)
    shutil.copytree(tiny_path, repository / "snapshots" / _A)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    return "someone/model"


@pytest.mark.parametrize("revision", [None, _A, _A[:8], "main", "v1.0"])
def test_a_revision_that_may_be_the_loaded_one(
    hub: str, copied_adapter: Path, revision: str | None
) -> None:
    edit_json(copied_adapter / "adapter_config.json", revision=revision)
    _, tuned = load_pair(hub, copied_adapter)
    assert tuned.proof is not None
    assert (tuned.proof.base, tuned.proof.base_revision) == (hub, _A)
    assert tuned.proof.base_revision_named == revision


@pytest.mark.parametrize("revision", [_B, _B[:8]])
def test_another_revision_of_the_base(hub: str, copied_adapter: Path, revision: str) -> None:
    edit_json(copied_adapter / "adapter_config.json", revision=revision)
    pattern = f"they differ in base revision, {_A} and {revision}"
    with pytest.raises(MismatchError, match=pattern) as caught:
        load_pair(hub, copied_adapter)
    assert "revision=..." in caught.value.remedy
    _, tuned = load_pair(hub, copied_adapter, allow=("base revision",))
    assert tuned.proof is not None
    assert list(tuned.proof.allowed) == ["base revision"]


def test_files_without_a_revision_are_not_held_against_one(
    tiny_path: Path, copied_adapter: Path
) -> None:
    edit_json(copied_adapter / "adapter_config.json", revision=_B)
    _, tuned = load_pair(tiny_path, copied_adapter)
    assert tuned.proof is not None
    assert (tuned.proof.base_revision, tuned.proof.base_revision_named) == (None, _B)
