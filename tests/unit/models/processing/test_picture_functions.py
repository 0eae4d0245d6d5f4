"""Image processors of torchvision on torch: the same pictures, and no trace of a stand-in."""

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from shiftlens.core.errors import DataError
from shiftlens.models.processing.picture_functions import (
    InterpolationMode,
    crop,
    grayscale_to_rgb,
    image_processor_for,
    normalize,
    pad,
    require_sound_torchvision,
    resize,
    with_working_pictures,
)

_LLAMA4 = {
    "image_processor_type": "Llama4ImageProcessorFast",
    "size": {"height": 16, "width": 16},
    "max_patches": 4,
}


def _bytes(width: int, height: int, seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    small = torch.randint(0, 256, (1, 3, 5, 7), generator=random).float()
    smooth = torch.nn.functional.interpolate(small, (height, width), mode="bilinear")
    return smooth.to(torch.uint8)[0]


def _directory(path: Path, settings: dict[str, Any]) -> Path:
    path.mkdir()
    (path / "preprocessor_config.json").write_text(json.dumps(settings))
    return path


@pytest.mark.parametrize("size", [(20, 12), (9, 31), (64, 80)])
@pytest.mark.parametrize(
    ("mode", "pillow"),
    [
        (InterpolationMode.BILINEAR, Image.Resampling.BILINEAR),
        (InterpolationMode.BICUBIC, Image.Resampling.BICUBIC),
    ],
)
def test_sizes_change_as_in_pillow(
    size: tuple[int, int], mode: InterpolationMode, pillow: Image.Resampling
) -> None:
    image = _bytes(40, 30)
    ours = resize(image, size, mode)
    picture = Image.fromarray(image.permute(1, 2, 0).numpy())
    theirs = torch.from_numpy(np.array(picture.resize((size[1], size[0]), pillow)))
    assert ours.dtype == torch.uint8
    assert ours.shape == (3, *size)
    assert (ours.int() - theirs.permute(2, 0, 1).int()).abs().max() <= 1


def test_twin_without_antialiasing_it_is_not_pillows() -> None:
    image = _bytes(80, 60, seed=1)
    assert not resize(image, (7, 9)).equal(resize(image, (7, 9), antialias=False))


def test_a_stack_is_resized_one_by_one_and_sides_may_be_tensors() -> None:
    stack = torch.stack([_bytes(24, 18, seed) for seed in range(4)]).reshape(2, 2, 3, 18, 24)
    found = resize(stack, (torch.tensor(9), 10))
    assert found.shape == (2, 2, 3, 9, 10)
    for row in range(2):
        for column in range(2):
            assert found[row, column].equal(resize(stack[row, column], (9, 10)))


def test_the_same_size_is_the_same_picture() -> None:
    image = _bytes(24, 18)
    assert resize(image, (18, 24)) is image


def test_numbers_that_torch_cannot_resize_are_rounded_and_kept_in_their_range() -> None:
    image = torch.tensor([[[0, 32767], [32767, 0]]], dtype=torch.int16)
    found = resize(image, (5, 5), InterpolationMode.BICUBIC)
    assert found.dtype == torch.int16
    assert int(found.min()) >= 0
    assert int(found.max()) <= 32767


def test_nearest_takes_pixels_as_they_are() -> None:
    image = torch.arange(16.0).reshape(1, 4, 4)
    assert set(resize(image, (2, 2), InterpolationMode.NEAREST).flatten().tolist()) == {0, 2, 8, 10}


@pytest.mark.parametrize("mode", ["lanczos", "box", "hamming"])
def test_what_torch_does_not_know_is_refused(mode: str) -> None:
    with pytest.raises(DataError, match=f"resizes by {mode}, which needs torchvision"):
        resize(_bytes(24, 18), (9, 9), InterpolationMode(mode))


def test_borders() -> None:
    image = torch.ones(2, 3, 4, 5)
    framed = pad(image, [1, 2, 3, 4], fill=[7, 8, 9])
    assert framed.shape == (2, 3, 2 + 4 + 4, 1 + 5 + 3)
    assert framed[:, :, 2:6, 1:6].equal(image)
    for channel, colour in enumerate((7, 8, 9)):
        assert (framed[:, channel, :2] == colour).all()
        assert (framed[:, channel, 6:] == colour).all()
        assert (framed[:, channel, :, 6:] == colour).all()
    assert float(framed.sum()) == 2 * (60 + (90 - 20) * (7 + 8 + 9))
    assert pad(image, [0, 0, 0, 0]).equal(image)
    assert (pad(image, [1, 0, 0, 0], fill=None)[..., 0] == 0).all()
    mirrored = pad(torch.arange(3.0).reshape(1, 1, 3), [2, 0, 0, 0], padding_mode="reflect")
    assert mirrored.flatten().tolist() == [2, 1, 0, 1, 2]


@pytest.mark.parametrize("inplace", [False, True])
def test_means_and_deviations_are_by_channel(inplace: bool) -> None:
    image = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    before = image.clone()
    found = normalize(image, [0.1, 0.2, 0.3], torch.tensor([1.0, 2.0, 4.0]), inplace)
    for channel, (mean, std) in enumerate(((0.1, 1), (0.2, 2), (0.3, 4))):
        expected = (before[:, channel] - mean) / std
        torch.testing.assert_close(found[:, channel], expected)
    assert image.equal(before) != inplace
    torch.testing.assert_close(normalize(before, 0.5, 0.25), (before - 0.5) / 0.25)


def test_parts_and_grey_pictures() -> None:
    image = torch.arange(20).reshape(1, 4, 5)
    assert crop(image, 1, 2, 2, 3).tolist() == [[[7, 8, 9], [12, 13, 14]]]
    assert grayscale_to_rgb(image).shape == (3, 4, 5)
    colours = _bytes(4, 4)
    assert grayscale_to_rgb(colours) is colours


def test_tiles_of_a_family_that_has_torchvisions_processor_alone(tmp_path: Path) -> None:
    cutter = image_processor_for(_directory(tmp_path / "llama", _LLAMA4))
    wide = Image.fromarray(_bytes(48, 16).permute(1, 2, 0).numpy())
    found = cutter([wide], return_tensors="pt")
    assert found["aspect_ratios"].tolist() == [[1, 3]]
    assert found["pixel_values"].shape == (4, 3, 16, 16)  # three tiles, and the whole
    # Cut, and put on the scale of -1 to 1 in bfloat16, as the family does it.
    tiles = found["pixel_values"][:3].float()
    whole = torch.cat(list(tiles), dim=-1)
    expected = (_bytes(48, 16).float() / 255 - 0.5) / 0.5
    assert (whole - expected).abs().max() < 2**-6
    assert not whole.equal(whole.flip(-1))


def test_it_leaves_no_trace(tmp_path: Path) -> None:
    from transformers.utils import is_torchvision_available

    image_processor_for(_directory(tmp_path / "llama", _LLAMA4))
    if importlib.util.find_spec("torchvision") is None:
        assert not [name for name in sys.modules if name.partition(".")[0] == "torchvision"]
        assert not is_torchvision_available()
        assert "transformers.models.llama4.image_processing_llama4" not in sys.modules


def test_what_it_cannot_know_is_said(tmp_path: Path) -> None:
    unknown = _directory(tmp_path / "unknown", {"image_processor_type": "NoImageProcessor"})
    with pytest.raises(DataError, match="the image processor 'NoImageProcessor' needs a package"):
        image_processor_for(unknown)
    with pytest.raises(DataError, match="the image processor '' needs a package"):
        image_processor_for(_directory(tmp_path / "none", {"size": 3}))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("raise RuntimeError('operator torchvision::nms does not exist')", "::nms does not exist"),
        ("import a_part_that_is_missing", "No module named 'a_part_that_is_missing'"),
        ("", None),
    ],
)
def test_a_torchvision_that_cannot_be_imported_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, message: str | None
) -> None:
    (tmp_path / "torchvision.py").write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)
    try:
        if message is None:
            require_sound_torchvision()
        else:
            with pytest.raises(DataError, match=message) as caught:
                require_sound_torchvision()
            assert caught.value.remedy == "pip uninstall torchvision"
    finally:
        sys.modules.pop("torchvision", None)


def test_without_torchvision_there_is_no_objection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    require_sound_torchvision()


class _Pil:
    """Stands for an image processor for Pillow, whose processor raises what it is told to."""


class _Processor:
    image_token = "<image>"

    def __init__(self, *errors: Exception | None) -> None:
        self.image_processor: Any = type("SomethingPil", (_Pil,), {})()
        self.first = self.image_processor
        self.errors = list(errors)
        self.texts: list[str] = []

    def __call__(self, *, images: Any, text: list[str], return_tensors: str) -> dict[str, Any]:
        self.texts += text
        error = self.errors.pop(0) if self.errors else None
        if error is not None and self.image_processor is self.first:
            raise error
        return {"images": images, "as": return_tensors}


def test_an_image_processor_that_fails_on_any_picture_is_replaced(tmp_path: Path) -> None:
    processor = _Processor(TypeError("a"), TypeError("b"))
    found = with_working_pictures(processor, _directory(tmp_path / "llama", _LLAMA4))
    assert found is processor
    assert processor.image_processor is not processor.first
    assert processor.texts[:2] == ["<image>", ""]


@pytest.mark.parametrize(
    "errors",
    [
        (),  # it works
        (ValueError("this text"), None),
        (TypeError("this text"), None),
        (ValueError("this text"), ValueError("and that")),  # objections, not errors of the code
    ],
)
def test_others_are_left_alone(tmp_path: Path, errors: tuple[Exception | None, ...]) -> None:
    processor = _Processor(*errors)
    with_working_pictures(processor, _directory(tmp_path / "llama", _LLAMA4))
    assert processor.image_processor is processor.first


def test_one_that_cannot_be_replaced_stays(tmp_path: Path) -> None:
    processor = _Processor(TypeError("a"), TypeError("b"))
    with_working_pictures(processor, _directory(tmp_path / "none", {}))
    assert processor.image_processor is processor.first
