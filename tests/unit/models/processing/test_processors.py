"""Processors: loaded without torchvision, described by what they do, refused with a remedy."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.builders import edit_json

from shiftlens.core.errors import DataError
from shiftlens.models.loading import load_model
from shiftlens.models.model import Model
from shiftlens.models.processing.processors import (
    chat_template,
    describe_processor,
    load_processor,
    pictures_only,
)


def test_a_processor_has_both_parts(family: Model) -> None:
    loaded = load_processor(family.origin.directory, family.name)
    assert type(loaded).__name__ == type(family.processor).__name__
    assert describe_processor(loaded) == describe_processor(family.processor)
    assert loaded.tokenizer.pad_token == "<pad>"


def test_a_processor_with_a_video_part_loads_without_it(qwen_path: Path) -> None:
    loaded = load_processor(qwen_path, "qwen")
    assert type(loaded).__name__ == "Qwen2VLProcessor"
    assert getattr(loaded, "video_processor", None) is None
    assert chat_template(loaded) is not None


@pytest.mark.parametrize("named", ["Qwen2_5_VLProcessor", None])
def test_the_files_name_the_class_and_the_model_type_if_they_do_not(
    qwen_path: Path, tmp_path: Path, named: str | None
) -> None:
    path = Path(shutil.copytree(qwen_path, tmp_path / "copied"))
    edit_json(path / "preprocessor_config.json", processor_class=named)
    assert type(load_processor(path, "qwen")).__name__ == (named or "Qwen2VLProcessor")


@pytest.mark.parametrize("part", ["processor_config.json", "tokenizer.json"])
def test_a_missing_part_is_said(copied: Path, part: str) -> None:
    (copied / part).unlink()
    with pytest.raises(DataError, match=r"the processor of .*copied") as caught:
        load_model(copied)
    assert "copy the processor" in caught.value.remedy


def test_no_part_at_all(copied: Path) -> None:
    for file in (*copied.glob("*token*"), *copied.glob("*process*")):
        file.unlink()
    with pytest.raises(DataError, match="the processor of mine"):
        load_processor(copied, "mine")


@pytest.mark.parametrize("part", ["processor_config.json", "tokenizer.json"])
def test_a_broken_part_is_said(copied: Path, part: str) -> None:
    (copied / part).write_text("{")
    with pytest.raises(DataError, match="the processor of mine cannot be loaded"):
        load_processor(copied, "mine")


def test_without_a_padding_token_the_end_pads(copied: Path) -> None:
    edit_json(copied / "tokenizer_config.json", pad_token=None)
    assert load_processor(copied, "mine").tokenizer.pad_token == "<eos>"


# --- what it is


def _picture(change: dict[str, Any]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        file = folder / "processor_config.json"
        content = json.loads(file.read_text())
        content["image_processor"] |= change
        file.write_text(json.dumps(content))

    return apply


def _template(folder: Path) -> None:
    file = folder / "chat_template.jinja"
    file.write_text(file.read_text() + " ")


def _word(folder: Path) -> None:
    file = folder / "tokenizer.json"
    content = json.loads(file.read_text())
    words = content["model"]["vocab"]
    words["horse"] = words.pop("dog")
    file.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (_picture({"image_std": [0.5, 0.5, 0.5]}), "processor"),
        (_picture({"do_normalize": False}), "processor"),
        (_picture({"resample": 2}), "processor"),
        (_template, "template"),
        (_word, "tokenizer"),
    ],
)
def test_a_change_is_seen_where_it_is(
    tiny: Model, copied: Path, change: Callable[[Path], None], field: str
) -> None:
    change(copied)
    ours, theirs = (
        describe_processor(one) for one in (tiny.processor, load_processor(copied, "mine"))
    )
    assert {key for key in ours if ours[key] != theirs[key]} == {field}


def test_the_place_does_not_matter(tiny: Model, tiny_path: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(tiny_path, tmp_path / "elsewhere"))
    loaded = load_processor(moved, "mine")
    assert describe_processor(loaded) == describe_processor(tiny.processor)


def test_without_a_template_there_is_none(copied: Path) -> None:
    (copied / "chat_template.jinja").unlink()
    loaded = load_processor(copied, "mine")
    assert chat_template(loaded) is None
    assert describe_processor(loaded)["template"] is None


class _Owner:
    def __init__(self, template: Any, inner: Any = None) -> None:
        self.chat_template, self.tokenizer = template, self
        if inner is not None:
            self.tokenizer = _Owner(inner)


@pytest.mark.parametrize(
    ("owner", "expected"),
    [
        (_Owner("mine", "inner"), "mine"),
        (_Owner(None, "inner"), "inner"),
        (_Owner("", "inner"), "inner"),
        (_Owner({"default": "mine", "tools": "other"}), "mine"),
        (_Owner({"tools": "other"}), None),
        (_Owner(None), None),
    ],
)
def test_where_the_template_is(owner: Any, expected: str | None) -> None:
    assert chat_template(owner) == expected


def test_only_an_absent_part_is_excused() -> None:
    """A part of the wrong kind is refused as before."""

    class _Kind:
        def check_argument_for_proper_class(self, name: str, part: Any) -> str:
            raise TypeError(f"{name} is {part}")

    kind = pictures_only(_Kind)
    assert kind.__name__ == "_Kind"
    assert kind().check_argument_for_proper_class("video_processor", None) is None
    with pytest.raises(TypeError, match="video_processor is 7"):
        kind().check_argument_for_proper_class("video_processor", 7)
