"""Two full models that are not a base and its fine-tune are refused, with the field named."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.builders import build_llava, edit_json, template

from shiftlens.core.errors import MismatchError
from shiftlens.models.loading import load_model, load_pair
from shiftlens.models.model import Model
from shiftlens.models.pairs import check_pair


def test_a_model_is_a_pair_with_itself(tiny: Model, copied: Path) -> None:
    check_pair(tiny, tiny)
    check_pair(tiny, load_model(copied))


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"num_hidden_layers": 3}, "number of layers"),
        ({"hidden_size": 64}, "width"),
        ({"intermediate_size": 32}, "shape of the tensors"),
        ({"vision_layers": 3}, "shape of the tensors"),
        ({"by_bytes": True}, "shape of the tensors"),
        ({"chat_template": template("<image>") + " "}, "chat template"),
        ({"chat_template": None}, "chat template"),
    ],
)
def test_another_build_is_no_partner(
    tiny_path: Path, tmp_path: Path, options: dict[str, object], field: str
) -> None:
    other = build_llava(tmp_path / "other", **options)
    with pytest.raises(MismatchError, match=f"are not a pair: {field} differs") as caught:
        load_pair(tiny_path, other)
    assert str(tiny_path) in caught.value.given
    assert str(other) in caught.value.given
    assert " and " in caught.value.allowed
    assert caught.value.remedy


def test_another_architecture_is_no_partner(families: dict[str, Model]) -> None:
    with pytest.raises(MismatchError, match="architecture differs") as caught:
        check_pair(families["llava"], families["qwen2_vl"])
    assert caught.value.allowed.startswith("LlavaFor")
    assert "Qwen2VLFor" in caught.value.allowed


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


def _reword(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text(template("<image>").replace("assistant", "a man"))


@pytest.mark.parametrize(
    ("change", "field", "remedy"),
    [
        (_swap_two_words, "vocabulary", "fine-tuned version"),
        (_darken, "picture processing", "copy the base's processor"),
        (_reword, "chat template", "copy the base's chat template"),
    ],
)
def test_the_same_weights_with_other_files_are_no_partner(
    tiny_path: Path, copied: Path, change: Callable[[Path], None], field: str, remedy: str
) -> None:
    change(copied)
    with pytest.raises(MismatchError, match=f"not a pair: {field} differs") as caught:
        load_pair(tiny_path, copied)
    assert remedy in caught.value.remedy


def test_another_type_is_no_partner(tiny: Model, tiny_path: Path) -> None:
    half = load_model(tiny_path, dtype="bfloat16")
    with pytest.raises(MismatchError, match="dtype differs") as caught:
        check_pair(tiny, half)
    assert caught.value.allowed == "torch.float32 and torch.bfloat16"


def test_another_picture_token_is_no_partner(tiny: Model, copied: Path) -> None:
    edit_json(copied / "config.json", image_token_index=3)
    other = load_model(copied)
    with pytest.raises(MismatchError, match="picture token differs") as caught:
        check_pair(tiny, other)
    assert caught.value.allowed == "4 and 3"


def test_names_and_labels_do_not_matter(tiny: Model, tiny_path: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(tiny_path, tmp_path / "elsewhere"))
    other = load_model(moved, label="another", attention="sdpa")
    check_pair(tiny, other)
    with pytest.raises(MismatchError, match="number of layers differs"):
        check_pair(tiny, replace(other, address=replace(other.address, n_layers=3)))
