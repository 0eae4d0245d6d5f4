"""The check at load finds every wrong address that it is shown."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.builders import build_llava
from torch import nn

from shiftlens.core.errors import DataError
from shiftlens.models.checking import check_address
from shiftlens.models.loading import load_model
from shiftlens.models.model import Model


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """As many blocks in the vision tower as in the decoder."""
    return load_model(build_llava(tmp_path_factory.mktemp("deep") / "llava", vision_layers=4))


def _at(model: Model, **fields: Any) -> Model:
    return replace(model, address=replace(model.address, **fields))


def test_what_was_found_is_right(family: Model) -> None:
    check_address(family)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
def test_in_every_type(tiny_path: Path, dtype: str) -> None:
    load_model(tiny_path, dtype=dtype)


def test_the_vision_tower_is_not_the_decoder(deep: Model) -> None:
    wrong = _at(deep, blocks_path="model.vision_tower.encoder.layers")
    with pytest.raises(DataError, match="is not where it should be") as caught:
        check_address(wrong)
    assert "vision_tower" in caught.value.allowed
    assert "report it" in caught.value.remedy


@pytest.fixture
def shuffled(deep: Model) -> Iterator[Model]:
    blocks = deep.hf.get_submodule(deep.address.blocks_path)
    deep.hf.shuffled = nn.ModuleList([blocks[0], blocks[2], blocks[1], blocks[3]])
    yield _at(deep, blocks_path="shuffled")
    del deep.hf.shuffled


def test_blocks_in_another_order(shuffled: Model) -> None:
    with pytest.raises(DataError, match="block 1 is not hidden state 2"):
        check_address(shuffled)


@pytest.fixture
def parts(deep: Model) -> Iterator[Model]:
    blocks = deep.hf.get_submodule(deep.address.blocks_path)
    deep.hf.parts = nn.ModuleList(block.mlp for block in blocks)
    yield _at(deep, blocks_path="parts")
    del deep.hf.parts


def test_something_within_the_blocks(parts: Model) -> None:
    with pytest.raises(DataError, match="block 0 is not hidden state 1"):
        check_address(parts)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"d": 31}, "blocks are 32 wide, not 31"),
        ({"norm_path": None}, "final norm and unembedding do not give its logits"),
        ({"head_path": "model.language_model.layers.0.mlp.up_proj"}, "final norm and unembedding"),
    ],
)
def test_wrong_parts(tiny: Model, fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        check_address(_at(tiny, **fields))


def test_nothing_is_left_behind(deep: Model) -> None:
    def ours() -> list[Any]:
        return [
            hook
            for module in deep.hf.modules()
            for hook in module._forward_hooks.values()
            if not getattr(hook, "__module__", "").startswith("transformers.")
        ]

    with pytest.raises(DataError):
        check_address(_at(deep, norm_path=None))
    assert ours() == []
