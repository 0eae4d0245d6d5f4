"""Layouts of whole batches: every token of a row belongs to one of its pictures."""

from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest
import torch
from PIL import Image
from tests.architectures.families.table import FAMILIES
from tests.builders import build_idefics3, build_llava, build_qwen2_vl

from shiftlens.core.errors import DataError, SiteError, SteeringError
from shiftlens.models.geometry.finding import layouts_from, layouts_of
from shiftlens.models.geometry.layout import Layout
from shiftlens.models.loading import load_model
from shiftlens.models.model import Model
from shiftlens.models.prompts import Inputs, Turn, encode_turns

WIDE, HIGH, SMALL = (96, 40), (36, 90), (30, 26)


def _turn(text: str, *sizes: tuple[int, int]) -> Turn:
    return Turn(text, tuple(Image.new("RGB", size, (90, 20, 60)) for size in sizes))


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load_model(build_qwen2_vl(tmp_path_factory.mktemp("finding") / "qwen"))


@pytest.fixture(scope="module")
def tiled(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load_model(build_idefics3(tmp_path_factory.mktemp("finding") / "idefics"))


@pytest.fixture(scope="module")
def onevision(tmp_path_factory: pytest.TempPathFactory) -> Model:
    family = next(one for one in FAMILIES if one.name == "LLaVA-OneVision")
    return load_model(family.build(tmp_path_factory.mktemp("finding") / "onevision", 0))


@pytest.fixture
def batch() -> list[Turn]:
    return [
        _turn("what is this ?", WIDE, HIGH),
        _turn("describe the beach ."),
        _turn("is the dog in the picture ?", SMALL),
    ]


def _shapes(layouts: list[list[Layout]]) -> list[list[tuple[int, int] | None]]:
    return [
        [None if o.grid is None else (o.grid.rows, o.grid.cols) for o in row] for row in layouts
    ]


def test_a_batch_of_all_sizes(qwen: Model, batch: list[Turn]) -> None:
    found = layouts_of(qwen, encode_turns(qwen, batch))
    assert _shapes(found) == [[(2, 6), (6, 2)], [], [(2, 2)]]
    assert [[one.size for one in row] for row in found] == [[WIDE, HIGH], [], [SMALL]]
    first, second = found[0]
    assert first.column(0, 0, "a") == first.columns[0]
    assert first.column(1, 5, "a") == first.columns[11] < second.columns[0]
    assert first.grid is not None
    assert first.grid.box == (0, 0, *WIDE)


def test_each_row_is_what_it_is_alone(tiled: Model, batch: list[Turn]) -> None:
    """Counted from the end of the prompt, neighbours and padding change nothing."""
    inputs = encode_turns(tiled, batch)
    for row, turn in zip(layouts_of(tiled, inputs), batch, strict=True):
        alone = encode_turns(tiled, [turn])
        shift = inputs.prompt_width - alone.prompt_width
        (other,) = layouts_of(tiled, alone)
        moved = [tuple(at + shift for at in one.columns) for one in other]
        assert [one.columns for one in row] == moved
        assert [one.grid and one.grid.box for one in row] == [o.grid and o.grid.box for o in other]


def test_responses_change_nothing(qwen: Model, batch: list[Turn]) -> None:
    prompts = encode_turns(qwen, batch)
    answered = encode_turns(qwen, batch, response_ids=[[20, 21], [22], []])
    assert layouts_of(qwen, answered) == layouts_of(qwen, prompts)


def test_company_changes_what_a_picture_is_given(onevision: Model) -> None:
    """Alone a picture is cut into tiles; one of several is padded to a square and shown small."""
    alone, both = (
        layouts_of(onevision, encode_turns(onevision, [_turn("what", *sizes)]))[0]
        for sizes in ((WIDE,), (WIDE, HIGH))
    )
    assert alone[0].overview is not None
    assert [one.overview for one in both] == [None, None]
    assert _shapes([both]) == [[(3, 3), (3, 3)]]
    wide, high = (one.grid.box for one in both if one.grid is not None)
    assert wide == pytest.approx((0, -28, 96, 68), abs=2)
    assert high == pytest.approx((-27, 0, 63, 90), abs=2)


def test_raw_tensors_tell_sizes_where_the_model_needs_them(onevision: Model) -> None:
    for sizes in ((WIDE,), (WIDE, HIGH)):
        inputs = encode_turns(onevision, [_turn("what", *sizes), _turn("what is", *sizes)])
        raw = layouts_from(onevision, inputs.tensors["input_ids"], inputs.tensors)
        assert raw == layouts_of(onevision, inputs)


def test_without_pixels_a_fixed_grid_is_known(tiny: Model, batch: list[Turn]) -> None:
    ids = encode_turns(tiny, batch).tensors["input_ids"]
    found = layouts_from(tiny, ids, {})
    assert _shapes(found) == [[(3, 3), (3, 3)], [], [(3, 3)]]
    for one in (one for row in found for one in row):
        assert one.size is None
        assert one.grid is not None
        with pytest.raises(SiteError, match="not known how large the picture was"):
            one.grid.patch(0, 0)


def test_without_grids_sizes_that_vary_are_unknown(qwen: Model, batch: list[Turn]) -> None:
    ids = encode_turns(qwen, batch).tensors["input_ids"]
    found = layouts_from(qwen, ids, {})
    assert _shapes(found) == [[None, None], [], [None]]
    assert [len(one.columns) for row in found for one in row] == [12, 12, 4]
    assert "model.generate" in found[0][0].reason


def test_named_tiles_need_no_pixels(tiled: Model, batch: list[Turn]) -> None:
    inputs = encode_turns(tiled, batch)
    known, found = layouts_of(tiled, inputs), layouts_from(tiled, inputs.tensors["input_ids"], {})
    assert _shapes(found) == _shapes(known)
    for one, other in zip(chain(*found), chain(*known), strict=True):
        assert one.columns == other.columns
        assert one.grid is not None
        assert other.grid is not None
        assert one.grid.columns == other.grid.columns


def test_tiles_without_names_are_not_guessed(tmp_path: Path, batch: list[Turn]) -> None:
    family = next(one for one in FAMILIES if one.name == "InternVL")
    model = load_model(family.build(tmp_path / "internvl", 0))
    ids = encode_turns(model, batch).tensors["input_ids"]
    with pytest.raises(SteeringError, match=r"cuts a picture into tiles.*\n.*model\.generate"):
        layouts_from(model, ids, {})


def test_tokens_that_are_of_no_picture(qwen: Model, batch: list[Turn]) -> None:
    inputs = encode_turns(qwen, batch)
    wrong = replace(inputs, sizes=((WIDE, WIDE), (), (HIGH,)))
    with pytest.raises(DataError, match=r"4 picture tokens of .* are not those of .* of 36x90"):
        layouts_of(qwen, wrong)
    with pytest.raises(DataError, match="are not those of pictures of no size"):
        layouts_of(qwen, replace(inputs, sizes=((), (), ())))


def test_a_family_without_picture_tokens(
    tiny: Model, batch: list[Turn], monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = encode_turns(tiny, batch)
    monkeypatch.setattr("shiftlens.models.geometry.finding.picture_token", lambda *_: None)
    with pytest.raises(DataError, match="has no token that stands for a piece of a picture"):
        layouts_of(tiny, inputs)


def test_settings_may_change_while_the_model_is_loaded(tmp_path: Path) -> None:
    model = load_model(build_llava(tmp_path / "llava"))
    inputs = encode_turns(model, [_turn("what", WIDE)])
    before = layouts_of(model, inputs)[0][0].grid
    model.processor.image_processor.do_center_crop = False
    model.processor.image_processor.size = {"height": 24, "width": 24}
    after = layouts_of(model, encode_turns(model, [_turn("what", WIDE)]))[0][0].grid
    assert before is not None
    assert after is not None
    assert before.box != after.box == (0, 0, *WIDE)


def test_what_is_known_goes_with_the_model(tmp_path: Path) -> None:
    import gc
    import weakref

    model = load_model(build_llava(tmp_path / "llava"))
    layouts_of(model, encode_turns(model, [_turn("what", WIDE)]))
    hf = weakref.ref(model.hf)
    del model
    gc.collect()
    assert hf() is None


@pytest.mark.parametrize("size", [(1, 1), (3, 400), (2000, 31)])
def test_odd_sizes(tiny: Model, size: tuple[int, int]) -> None:
    inputs: Inputs = encode_turns(tiny, [_turn("what", size)])
    ((one,),) = layouts_of(tiny, inputs)
    assert one.grid is not None
    assert len(one.columns) == 9


def test_ids_alone_are_read_on_any_device(tiny: Model, batch: list[Turn]) -> None:
    ids = encode_turns(tiny, batch).tensors["input_ids"]
    assert layouts_from(tiny, ids.to(torch.int32), {}) == layouts_from(tiny, ids, {})
