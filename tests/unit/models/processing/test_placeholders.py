"""Which tokens stand for pictures, by family."""

from types import SimpleNamespace
from typing import Any

import pytest

from shiftlens.models.model import Model
from shiftlens.models.processing.placeholders import (
    picture_token,
    placeholder_texts,
    placeholder_tokens,
)

_WRITTEN = {
    "llava": ("<image>", ["<image>"]),
    "idefics3": ("<image>", ["<image>", "<fake_token_around_image>", "<global-img>"]),
    "qwen2_vl": (
        "<|image_pad|>",
        ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"],
    ),
}


@pytest.mark.parametrize("name", list(_WRITTEN))
def test_every_family_has_its_placeholders(families: dict[str, Model], name: str) -> None:
    model = families[name]
    picture, known = _WRITTEN[name]
    number = model.tokenizer.convert_tokens_to_ids
    assert picture_token(model.hf, model.processor) == number(picture)
    found = placeholder_tokens(model.hf, model.processor)
    assert {number(picture)} <= set(found) <= set(map(number, known))
    assert list(found) == sorted(set(found))
    assert picture in placeholder_texts(model.processor)


def test_a_video_is_a_placeholder_but_not_a_picture(families: dict[str, Model]) -> None:
    model = families["qwen2_vl"]
    video = model.tokenizer.convert_tokens_to_ids("<|video_pad|>")
    assert video in placeholder_tokens(model.hf, model.processor)
    assert video != picture_token(model.hf, model.processor)


def test_words_are_none(family: Model) -> None:
    words = family.tokenizer("the dog is on the beach .", add_special_tokens=False)["input_ids"]
    assert not set(words) & set(placeholder_tokens(family.hf, family.processor))


def _family(processor: dict[str, Any], **config: Any) -> tuple[Any, Any]:
    tokenizer = SimpleNamespace(image_token=None)
    return (
        SimpleNamespace(config=SimpleNamespace(**config)),
        SimpleNamespace(**{"tokenizer": tokenizer, **processor}),
    )


@pytest.mark.parametrize(
    ("processor", "config", "token", "tokens"),
    [
        ({}, {}, None, ()),
        ({}, {"image_token_index": 7}, 7, (7,)),
        ({}, {"image_token_id": 0}, 0, (0,)),
        ({}, {"image_token_index": -200}, None, ()),  # a mark, not a row of the vocabulary
        ({}, {"image_token_id": None, "image_token_index": 7}, 7, (7,)),
        ({"image_token_id": 9}, {"boi_token_id": 3}, 9, (3, 9)),
        ({"image_token_id": 9}, {"image_token_id": 7}, 7, (7, 9)),
        ({}, {"audio_token_id": 5}, None, (5,)),
        ({"image_token_ids": [8, 9]}, {"image_token_id": 9}, 9, (8, 9)),  # several in one field
        ({}, {"visual_indicator_token_ids": (4, 6), "image_patch_id": 2}, None, (2, 4, 6)),
        # Neither numbers of tokens, nor of anything but text.
        ({"use_image_id": True}, {"eos_token_id": 2, "image_size": 5, "seq_id": 3}, None, ()),
    ],
)
def test_where_families_keep_them(
    processor: dict[str, Any], config: dict[str, Any], token: int | None, tokens: tuple[int, ...]
) -> None:
    hf, owner = _family(processor, **config)
    assert picture_token(hf, owner) == token
    assert placeholder_tokens(hf, owner) == tokens


def test_spellings() -> None:
    _, plain = _family({})
    assert placeholder_texts(plain) == ()
    _, rich = _family({"image_token": "<img>", "boi_token": "<boi>"})
    rich.tokenizer.image_token = "<img>"
    assert placeholder_texts(rich) == ("<boi>", "<img>")
