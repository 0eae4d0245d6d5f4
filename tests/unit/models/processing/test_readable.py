"""What a family cannot read is refused by one clear error that names the sample."""

from pathlib import Path

import pytest
from PIL import Image
from tests.architectures.families.tiled_beside import build_blip2, build_mllama
from tests.architectures.families.tiled_gemma import build_paligemma

from shiftlens.core.errors import DataError
from shiftlens.models.loading import load_model
from shiftlens.models.model import Model
from shiftlens.models.processing.readable import needs_picture, places_itself
from shiftlens.models.prompts import Turn, encode_turns

_PICTURE = Image.new("RGB", (40, 30), (10, 200, 30))
_SEEN = Turn("what is this ?", (_PICTURE,), name="seen")
_TWO = Turn("what is this ?", (_PICTURE, _PICTURE), name="two")
_BLIND = Turn("what is this ?", name="blind")


@pytest.fixture(scope="module")
def blip(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load_model(build_blip2(tmp_path_factory.mktemp("blip") / "model", 0))


@pytest.fixture(scope="module")
def mllama(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load_model(build_mllama(tmp_path_factory.mktemp("mllama") / "model", 0))


def test_a_forward_pass_that_demands_pixels_reads_no_text(blip: Model) -> None:
    assert needs_picture(blip)
    with pytest.raises(DataError, match="no prompt without a picture, and sample 'blind'"):
        encode_turns(blip, [_SEEN, _BLIND])


def test_nor_does_a_processor_that_demands_a_picture(tmp_path: Path) -> None:
    model = load_model(build_paligemma(tmp_path / "model", 0))
    assert needs_picture(model)
    with pytest.raises(DataError, match="no prompt without a picture, and row 0"):
        encode_turns(model, [Turn("what is this ?")])
    assert len(encode_turns(model, [_SEEN, _TWO])) == 2


def test_blocks_that_read_pictures_alone_need_equally_many(mllama: Model) -> None:
    assert needs_picture(mllama)
    with pytest.raises(DataError, match="another number of pictures"):
        encode_turns(mllama, [_SEEN, _TWO])
    assert len(encode_turns(mllama, [_TWO, _TWO])) == 2


def test_one_picture_where_a_processor_has_places_for_one(blip: Model) -> None:
    with pytest.raises(DataError, match="one picture a prompt, and sample 'two' has several"):
        encode_turns(blip, [_TWO])


def test_a_processor_that_adds_places_is_not_given_others(blip: Model) -> None:
    assert places_itself(blip.processor, "<image>")
    ids = encode_turns(blip, [_SEEN]).tensors["input_ids"][0].tolist()
    assert ids.count(blip.hf.config.image_token_id) == 3


def test_twin_a_family_of_placeholders_reads_all_of_them(tiny: Model) -> None:
    assert not needs_picture(tiny)
    assert not places_itself(tiny.processor, "<image>")
    assert len(encode_turns(tiny, [_SEEN, _TWO, _BLIND])) == 3
