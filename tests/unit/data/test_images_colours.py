"""Colour modes: every one comes out as RGB, scaled and not clipped, with transparency on white."""

import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from shiftlens.core.errors import DataError
from shiftlens.data.images import open_image


def _opened(path: Path) -> np.ndarray:
    image = open_image(str(path))
    assert image.mode == "RGB"
    return np.asarray(image)


def _tiff(path: Path, width: int, bits: int, data: bytes, meaning: int = 1) -> Path:
    """One row of grey values, as plain as the format allows."""
    tags = {
        256: width,
        257: 1,
        258: bits,
        259: 1,
        262: meaning,
        273: 0,
        277: 1,
        278: 1,
        279: len(data),
    }
    tags[273] = 8 + 2 + 12 * len(tags) + 4  # the pixels follow the directory
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    head = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(tags))
    path.write_bytes(head + entries + b"\0" * 4 + data)
    return path


RAMP = np.linspace(0, 65535, 256).astype(np.uint16).reshape(1, 256)


@pytest.mark.parametrize("ending", ["png", "tif", "pgm"])
def test_grey_of_16_bits_is_scaled(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"ramp.{ending}"
    Image.fromarray(RAMP).save(path)
    found = _opened(path)
    assert (found[..., 0] == RAMP >> 8).all()
    assert (found[..., 0] == found[..., 2]).all()
    # Twin: what Pillow's own conversion makes of most of them.
    with Image.open(path) as image:
        clipped = np.asarray(image.convert("I").convert("L"))
    assert (clipped == 255).mean() > 0.9 > (found[..., 0] == 255).mean()


def test_grey_and_colour_of_16_bits_agree(tmp_path: Path) -> None:
    """Pillow reads colours of 16 bits itself, and writes none: the file is made by hand."""
    rows = np.repeat(RAMP[..., None], 3, axis=2).astype(">u2").tobytes()

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", 256, 1, 16, 2, 0, 0, 0)
    data = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" + rows)) + chunk(b"IEND", b"")
    (tmp_path / "colour.png").write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    Image.fromarray(RAMP).save(tmp_path / "grey.png")
    assert (_opened(tmp_path / "colour.png") == _opened(tmp_path / "grey.png")).all()


def test_grey_of_12_bits_is_scaled_by_its_own_white(tmp_path: Path) -> None:
    values = [0, 4095, 2048, 16]
    packed = b"".join(
        bytes([a >> 4, (a & 15) << 4 | b >> 8, b & 255])
        for a, b in zip(values[::2], values[1::2], strict=True)
    )
    found = _opened(_tiff(tmp_path / "twelve.tif", 4, 12, packed))
    assert found[0, :, 0].tolist() == [0, 255, 128, 1]


@pytest.mark.parametrize(("meaning", "shown"), [(1, [0, 128, 255]), (0, [255, 127, 0])])
def test_deep_grey_whose_zero_is_white(tmp_path: Path, meaning: int, shown: list[int]) -> None:
    """Pillow turns such pictures of 8 bits round by itself, and leaves those of 16 as they are."""
    data = struct.pack("<3H", 0, 0x8000, 0xFFFF)
    found = _opened(_tiff(tmp_path / "sixteen.tif", 3, 16, data, meaning))
    assert found[0, :, 0].tolist() == shown
    found = _opened(_tiff(tmp_path / "eight.tif", 3, 8, bytes([0, 0x80, 0xFF]), meaning))
    assert found[0, :, 0].tolist() == shown


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),  # shares of white
        ([0.25, 0.5, 0.5], [64, 128, 128]),  # and not stretched
        ([-1.0, 0.0, 1.0], [0, 128, 255]),
        ([1000.0, 1500.0, 2000.0], [0, 128, 255]),
        ([7.0, 7.0, 7.0], [0, 0, 0]),
    ],
)
def test_floating_point_is_scaled(tmp_path: Path, values: list[float], shown: list[int]) -> None:
    Image.fromarray(np.array([values], np.float32)).save(tmp_path / "f.tif")
    assert _opened(tmp_path / "f.tif")[0, :, 0].tolist() == shown


def test_whole_numbers_of_32_bits_are_scaled_between_their_ends(tmp_path: Path) -> None:
    Image.fromarray(np.array([[-(2**31), 0, 2**31 - 1]], np.int32)).save(tmp_path / "i.tif")
    assert _opened(tmp_path / "i.tif")[0, :, 0].tolist() == [0, 128, 255]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_picture_of_nan_is_refused(tmp_path: Path, bad: float) -> None:
    Image.fromarray(np.array([[0.0, bad, 1.0]], np.float32)).save(tmp_path / "f.tif")
    with pytest.raises(DataError, match="NaN or infinity"):
        open_image(str(tmp_path / "f.tif"))


def _half_clear(mode: str) -> Image.Image:
    """Left: opaque and dark; right: the same colour, wholly transparent."""
    dark = np.full((4, 8, 4), 40, np.uint8)
    dark[..., 3] = 255
    dark[:, 4:, 3] = 0
    return Image.fromarray(dark).convert(mode)


@pytest.mark.parametrize(
    ("mode", "ending"),
    [("RGBA", "png"), ("LA", "png"), ("RGBA", "webp"), ("RGBA", "tif"), ("RGBA", "gif")],
)
def test_what_is_transparent_is_white(tmp_path: Path, mode: str, ending: str) -> None:
    path = tmp_path / f"clear.{ending}"
    options = {"lossless": True} if ending == "webp" else {}
    _half_clear(mode).save(path, **options)
    found = _opened(path)
    assert (found[:, :4] == 40).all()
    assert (found[:, 4:] == 255).all()


def test_a_palette_with_transparency_is_on_white(tmp_path: Path) -> None:
    image = Image.fromarray(np.repeat(np.array([[0, 1, 2]], np.uint8), 2, axis=0), "P")
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    for name, clear in (("one", 1), ("all", b"\xff\x00\x80")):
        image.save(tmp_path / f"{name}.png", transparency=clear)
    assert _opened(tmp_path / "one.png")[0].tolist() == [[10, 20, 30], [255] * 3, [70, 80, 90]]
    first, second, third = _opened(tmp_path / "all.png")[0].tolist()
    assert (first, second) == ([10, 20, 30], [255] * 3)
    assert 70 < third[0] < 255, "half of it is white"


def test_a_colour_that_stands_for_transparent_is_white(tmp_path: Path) -> None:
    pixels = np.array([[[1, 2, 3], [9, 9, 9]]], np.uint8)
    Image.fromarray(pixels).save(tmp_path / "keyed.png", transparency=(1, 2, 3))
    assert _opened(tmp_path / "keyed.png")[0].tolist() == [[255] * 3, [9] * 3]


def test_an_opaque_picture_loses_nothing_to_the_white(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    Image.fromarray(pixels).convert("RGBA").save(tmp_path / "opaque.png")
    assert (_opened(tmp_path / "opaque.png") == pixels).all()


def test_one_bit_is_black_and_white(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 255]], np.uint8)).convert("1").save(tmp_path / "bits.png")
    assert _opened(tmp_path / "bits.png")[0].tolist() == [[0] * 3, [255] * 3]


@pytest.mark.parametrize("ending", ["gif", "webp", "png", "tif"])
def test_of_several_frames_the_first_counts(tmp_path: Path, ending: str) -> None:
    first, second = (Image.new("RGB", (8, 8), colour) for colour in ("red", "blue"))
    options = {"lossless": True} if ending == "webp" else {}
    path = tmp_path / f"moving.{ending}"
    first.save(path, save_all=True, append_images=[second], **options)
    assert _opened(path)[4, 4].tolist() == [255, 0, 0]


def _turned(path: Path, orientation: int, mode: str = "RGB") -> Path:
    pixels = np.arange(24, dtype=np.uint8).reshape(4, 6) * 10
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(pixels).convert(mode).save(path, exif=exif)
    return path


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_all_eight_orientations_are_those_of_pillow(
    tmp_path: Path, orientation: int, ending: str
) -> None:
    path = _turned(tmp_path / f"turned.{ending}", orientation)
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    assert (_opened(path) == expected).all()
    assert expected.shape == ((6, 4, 3) if orientation > 4 else (4, 6, 3))


def test_deep_grey_is_turned_too(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(RAMP).save(tmp_path / "turned.png", exif=exif)
    assert _opened(tmp_path / "turned.png")[:, 0, 0].tolist() == (RAMP[0] >> 8).tolist()


def test_a_picture_that_was_turned_is_not_turned_again(tmp_path: Path) -> None:
    """Processors of transformers apply what orientation they still find."""
    opened = open_image(str(_turned(tmp_path / "turned.png", 6)))
    assert opened.info == {}
    again = ImageOps.exif_transpose(opened)
    assert again.size == opened.size == (4, 6)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")  # Pillow's own word on it
@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0garbage that is no TIFF",
        b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12",  # more entries than there are bytes
        b"Exif\0\0II*\0\xff\xff\xff\xff",  # a directory beyond the end
        # An orientation that is a text.
        b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x04\0\0\0six\0\0\0\0\0",
    ],
)
def test_an_orientation_that_cannot_be_read_turns_nothing(tmp_path: Path, exif: bytes) -> None:
    Image.new("RGB", (30, 20), "red").save(tmp_path / "odd.jpg", exif=exif)
    assert open_image(str(tmp_path / "odd.jpg")).size == (30, 20)


def test_broken_neighbours_of_the_orientation_do_not_matter(tmp_path: Path) -> None:
    """Pillow's own exif_transpose writes all tags anew, and fails at what it cannot write."""
    entries = struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0) + struct.pack("<HHII", 0x8769, 4, 1, 2**31)
    exif = b"Exif\0\0II*\0\x08\0\0\0\x02\0" + entries + b"\0" * 4
    Image.new("RGB", (30, 20), "red").save(tmp_path / "odd.jpg", exif=exif)
    assert open_image(str(tmp_path / "odd.jpg")).size == (20, 30)


def test_eight_bits_need_no_numpy(tmp_path: Path) -> None:
    """Twin of what deep grey costs: a process that decodes photographs loads Pillow alone."""
    Image.new("RGBA", (4, 4)).save(tmp_path / "plain.png")
    Image.fromarray(RAMP).save(tmp_path / "deep.png")
    for name, loaded in (("plain", False), ("deep", True)):
        program = (
            "import sys; from shiftlens.data.images import open_image\n"
            f"open_image({str(tmp_path / name)!r} + '.png')\n"
            "print('numpy' in sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        assert done.stdout.strip() == str(loaded), done.stderr
