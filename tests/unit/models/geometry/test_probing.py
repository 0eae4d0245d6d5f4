"""What a processor does with pixels, seen by showing it four pictures."""

import pytest
import torch
from tests.builders import build_idefics3, build_llava, build_qwen2_vl

from shiftlens.models.geometry.probing import Pixels, even, fit, look
from shiftlens.models.loading import load_model
from shiftlens.models.model import Model

SIZES = ((96, 40), (36, 90), (64, 64), (640, 480), (1200, 300))


@pytest.fixture(scope="module")
def llava(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load_model(build_llava(tmp_path_factory.mktemp("probing") / "llava"))


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load_model(build_qwen2_vl(tmp_path_factory.mktemp("probing") / "qwen"))


@pytest.fixture(scope="module")
def tiled(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load_model(build_idefics3(tmp_path_factory.mktemp("probing") / "idefics"))


@pytest.mark.parametrize("size", SIZES)
def test_a_crop_of_the_middle_is_seen(llava: Model, size: tuple[int, int]) -> None:
    """CLIP scales the shorter side to 24 pixels and crops the longer one to the middle 24."""
    (plane,) = look(llava, [size]).pixels["pixel_values"].planes()
    box = plane.box()
    assert box is not None
    short = min(size)
    wanted = [(side - short) / 2 for side in size] + [(side + short) / 2 for side in size]
    # The longer side is scaled to whole pixels: up to half a pixel of 24 may be lost.
    assert box == pytest.approx(wanted, abs=0.03 * short)


@pytest.mark.parametrize("size", SIZES)
def test_flattened_patches_are_placed(qwen: Model, size: tuple[int, int]) -> None:
    """Four patches of a square follow each other, then the next square of the row."""
    sight = look(qwen, [size])
    _, rows, cols = sight.facts["image_grid_thw"][0].tolist()
    points = sight.pixels["pixel_values"].points()
    assert points is not None
    wide, high = size[0] / cols, size[1] / rows
    assert float(points[0][0]) == pytest.approx(wide / 2, abs=0.01 * size[0])
    assert float(points[1][0]) == pytest.approx(high / 2, abs=0.01 * size[1])
    assert float(points[0][1]) == pytest.approx(wide * 1.5, abs=0.01 * size[0])
    assert float(points[1][2]) == pytest.approx(high * 1.5, abs=0.01 * size[1])
    assert float(points[0][4]) == pytest.approx(wide * 2.5, abs=0.01 * size[0])


def test_tiles_meet_and_the_last_shows_everything(tiled: Model) -> None:
    planes = look(tiled, [(640, 480)]).pixels["pixel_values"].planes()
    boxes = [plane.box() for plane in planes]
    assert len(boxes) == 5
    halves = [(0, 0, 320, 240), (320, 0, 640, 240), (0, 240, 320, 480), (320, 240, 640, 480)]
    for box, wanted in zip(boxes, [*halves, (0, 0, 640, 480)], strict=True):
        assert box == pytest.approx(wanted, abs=4)


def test_padding_is_no_place(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Half of the output is padding: what is left is placed as if nothing were there."""
    x = torch.full((1, 3, 4, 8), float("nan"))
    x[..., :4] = torch.tensor([1.0, 3.0, 5.0, 7.0])
    y = torch.full((1, 3, 4, 8), float("nan"))
    y[..., :4] = torch.tensor([1.0, 3.0, 5.0, 7.0])[:, None]
    (plane,) = Pixels((1, 3, 4, 8), x, y, (8, 8)).planes()
    assert plane.box() == pytest.approx((0, 0, 16, 8))
    assert plane.box(4, 4) == pytest.approx((0, 0, 8, 8))
    empty = torch.full((1, 3, 4, 8), float("nan"))
    (plane,) = Pixels((1, 3, 4, 8), empty, empty, (8, 8)).planes()
    assert not plane.seen
    assert plane.box() is None


def test_a_line_needs_places_on_a_line() -> None:
    line = fit(torch.tensor([2.0, 4.0, 6.0]), 100)
    assert line is not None
    assert (line.slope, line.at(0), line.at(3)) == pytest.approx((2, 1, 7))
    assert fit(torch.tensor([2.0]), 100) is None
    assert fit(torch.tensor([float("nan")] * 5), 100) is None
    assert fit(torch.tensor([0.0, 60.0, 0.0, 60.0, 0.0]), 100) is None


def test_a_picture_on_its_side_is_not_taken_for_upright() -> None:
    """Places across that depend on the row are no columns."""
    ramp = torch.arange(8.0)[:, None].expand(8, 8)
    assert even(ramp, 8)
    assert not even(ramp.T, 8)
    x, y = (one.expand(1, 3, 8, 8) for one in (ramp, ramp.T))  # turned by a quarter
    (plane,) = Pixels((1, 3, 8, 8), x, y, (8, 8)).planes()
    assert plane.box() is None


def test_flat_tensors_are_told_from_pictures() -> None:
    assert Pixels((48, 384)).flat
    assert Pixels((1, 5, 24)).flat
    assert not Pixels((2, 3, 24, 24)).flat
    # Three crops of flattened patches have the shape of a picture with three channels.
    patches = torch.arange(12.0)[None, None, :, None].expand(1, 3, 12, 7) * 1.0
    patches = patches + torch.tensor([0.0, 30.0, 60.0])[None, :, None, None]
    assert Pixels((1, 3, 12, 7), patches, patches, (90, 90)).flat
