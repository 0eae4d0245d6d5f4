"""Pictures of every kind that people have, opened as a viewer would show them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shiftlens.activations import tokens
from shiftlens.activations.harvesting import harvest
from shiftlens.activations.site import Site
from shiftlens.core.errors import DataError
from shiftlens.data.images import open_image
from shiftlens.data.sample import Sample, Samples
from shiftlens.models.model import Model


def _odd(folder: Path) -> dict[str, Path]:
    """One file of each odd kind; red on the left, blue on the right where a kind has colours."""
    folder.mkdir(exist_ok=True)
    pixels = np.zeros((20, 30, 3), np.uint8)
    pixels[:, :15, 0] = pixels[:, 15:, 2] = 255
    plain = Image.fromarray(pixels)
    made = {name: folder / name for name in (
        "cmyk.jpg", "palette.png", "clear.png", "grey16.png", "moving.gif", "turned.jpg",
        "one.png", "long.png", "lossless.webp", "mask.bmp",
    )}  # fmt: skip
    plain.convert("CMYK").save(made["cmyk.jpg"], quality=95)
    plain.convert("P").save(made["palette.png"])
    plain.convert("RGBA").save(made["clear.png"])
    Image.fromarray(np.full((20, 30), 40_000, np.uint16)).save(made["grey16.png"])
    second = Image.fromarray(255 - pixels)
    plain.save(made["moving.gif"], save_all=True, append_images=[second], duration=100)
    exif = Image.Exif()
    exif[274] = 6  # to be shown turned by a quarter, clockwise
    plain.save(made["turned.jpg"], exif=exif, quality=95)
    plain.resize((1, 1)).save(made["one.png"])
    plain.resize((10_000, 10)).save(made["long.png"])
    plain.save(made["lossless.webp"], lossless=True)
    plain.convert("1").save(made["mask.bmp"])
    return made


@pytest.mark.parametrize("name", ["cmyk.jpg", "palette.png", "clear.png", "moving.gif",
                                  "lossless.webp"])  # fmt: skip
def test_colours_survive(tmp_path: Path, name: str) -> None:
    opened = open_image(str(_odd(tmp_path)[name]))
    assert (opened.mode, opened.size) == ("RGB", (30, 20))
    left, right = np.array(opened)[10, 5].astype(int), np.array(opened)[10, 25].astype(int)
    assert left[0] > 180 > 80 > left[2]
    assert right[2] > 180 > 80 > right[0]


def test_a_turned_picture_is_put_upright(tmp_path: Path) -> None:
    opened = open_image(str(_odd(tmp_path)["turned.jpg"]))
    assert opened.size == (20, 30)
    above, below = np.array(opened)[5, 10].astype(int), np.array(opened)[25, 10].astype(int)
    assert above[0] > 180 > below[0], "the left side is above now"


@pytest.mark.parametrize("name", ["clip.mp4", "clip.MOV", "clip.webm"])
def test_a_video_is_refused_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\0" * 64)
    with pytest.raises(DataError, match="is a video, and videos are not supported") as caught:
        open_image(str(tmp_path / name))
    assert "frames" in caught.value.remedy


def test_a_harvest_takes_them_all(tiny: Model, tmp_path: Path) -> None:
    made = _odd(tmp_path / "odd")
    samples = Samples([Sample(name, "what ?", (str(path),)) for name, path in made.items()])
    store = harvest(tiny, samples, Site(0, tokens.last_prompt()), tmp_path / "s", max_new_tokens=1)
    refused = {one["id"]: one["reason"] for one in store.quarantine}
    assert len(store) + len(refused) == len(samples)
    # CLIP's own limits: a picture may be too thin for its crop, and then it is named.
    assert set(refused) <= {"one.png", "long.png"}
    assert all("cannot prepare" in reason for reason in refused.values())
