"""What cannot be opened says why: size, kind, damage, rights; nothing is decoded to find out."""

import os
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from shiftlens.core.errors import DataError
from shiftlens.data.images import MAX_PIXELS, Opening, open_image


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png(path: Path, width: int, height: int, *more: bytes, rows: bytes = b"") -> Path:
    """A PNG of one bit a pixel whose header may promise anything."""
    head = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    data = _chunk(b"IDAT", zlib.compress(rows))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + b"".join(more) + data + _chunk(b"IEND", b""))
    return path


def _no_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(self: ImageFile.ImageFile) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)


@pytest.mark.parametrize("shown", ["ignore", "error"])
@pytest.mark.parametrize(
    ("width", "height"), [(10_000, 9_000), (MAX_PIXELS + 1, 1), (20_000, 20_000), (65_535, 65_535)]
)
def test_a_bomb_is_refused_by_its_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: int, height: int, shown: str
) -> None:
    """Pillow warns of some of these sizes only, and refuses the others."""
    path = _png(tmp_path / "bomb.png", width, height)
    _no_decoding(monkeypatch)
    with warnings.catch_warnings():
        warnings.simplefilter(shown, Image.DecompressionBombWarning)
        with pytest.raises(DataError, match="is too large") as caught:
            open_image(str(path))
    assert f"{width * height:,} pixels" in caught.value.given
    assert caught.value.allowed == "up to 89,478,485 pixels"
    assert "smaller" in caught.value.remedy


def test_the_largest_size_is_not_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twin: one pixel fewer goes on to be decoded (which is left out here)."""
    _no_decoding(monkeypatch)
    with pytest.raises(DataError, match=r"cannot decode \(decoded\)"):
        open_image(str(_png(tmp_path / "large.png", MAX_PIXELS, 1)))


def test_a_real_bomb_is_refused_without_its_memory(tmp_path: Path) -> None:
    """A few kilobytes that are 400 million pixels; the header alone is read."""
    rows = bytes(1 + 20_000 // 8) * 20_000
    path = _png(tmp_path / "bomb.png", 20_000, 20_000, rows=rows)
    assert path.stat().st_size < 60_000
    with pytest.raises(DataError, match="400,000,000 pixels"):
        open_image(str(path))


def test_the_limit_can_be_lower(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "small.png"
    Image.new("RGB", (20, 10)).save(path)
    assert open_image(str(path), Opening(max_pixels=200)).size == (20, 10)
    with pytest.raises(DataError, match="20 x 10 = 200 pixels") as caught:
        open_image(str(path), Opening(max_pixels=199))
    assert caught.value.allowed == "up to 199 pixels"
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 150)  # somebody's own limit counts as well
    with pytest.raises(DataError, match="up to 150 pixels"):
        open_image(str(path))


@pytest.mark.parametrize("pixels", [0, -1, MAX_PIXELS + 1])
def test_a_limit_that_is_none_is_refused(pixels: int) -> None:
    with pytest.raises(DataError, match=f"a limit of {pixels} pixels"):
        Opening(max_pixels=pixels)


def test_an_icon_is_as_large_as_what_is_in_it(tmp_path: Path) -> None:
    """Its directory may say 16 x 16 of a picture that is larger."""
    Image.new("RGB", (256, 256)).save(tmp_path / "icon.ico", sizes=[(256, 256)])
    data = bytearray((tmp_path / "icon.ico").read_bytes())
    data[6:8] = b"\x10\x10"
    (tmp_path / "icon.ico").write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # Pillow notices
        with pytest.raises(DataError, match="256 x 256"):
            open_image(str(tmp_path / "icon.ico"), Opening(max_pixels=1000))


def test_text_that_unpacks_without_end_is_refused(tmp_path: Path) -> None:
    packed = zlib.compress(bytes(100 * 2**20))
    assert len(packed) < 2**18
    bomb = _chunk(b"zTXt", b"Comment\0\0" + packed)
    small = _chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(100)))
    rows = b"\0\xff"
    assert open_image(str(_png(tmp_path / "fine.png", 8, 1, small, rows=rows))).size == (8, 1)
    with pytest.raises(DataError, match="MAX_TEXT_CHUNK"):
        open_image(str(_png(tmp_path / "bomb.png", 8, 1, bomb, rows=rows)))


@pytest.mark.parametrize("ending", ["png", "jpg", "gif", "webp", "bmp", "tif"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.97])
def test_a_picture_that_was_cut_off_is_refused(tmp_path: Path, ending: str, share: float) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    path = tmp_path / f"cut.{ending}"
    Image.fromarray(pixels).save(path)
    assert open_image(str(path)).size == (40, 40)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(DataError, match=r"is damaged|not a picture"):
        open_image(str(path))


def test_any_flipped_bytes_are_a_picture_or_a_reason(tmp_path: Path) -> None:
    """No other exception gets out, whatever Pillow raises: 900 damaged files of six kinds."""
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (12, 12, 3), np.uint8)
    reasons: list[str] = []
    for ending in ("png", "jpg", "gif", "webp", "bmp", "tif"):
        path = tmp_path / f"whole.{ending}"
        Image.fromarray(pixels).save(path)
        whole = np.frombuffer(path.read_bytes(), np.uint8)
        for _ in range(150):
            data = whole.copy()
            at = random.integers(0, min(len(data), 200), 3)
            data[at] = random.integers(0, 256, 3)
            path.write_bytes(data.tobytes())
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    assert open_image(str(path)).mode == "RGB"
                except DataError as error:
                    reasons.append(error.given)
    assert 100 < len(reasons) < 900
    assert all(str(tmp_path) in reason for reason in reasons)


def test_an_empty_file_is_named_as_such(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(DataError, match="is empty: it has 0 bytes"):
        open_image(str(tmp_path / "empty.jpg"))


def test_folders_pipes_and_devices_are_no_files(tmp_path: Path) -> None:
    """Opening a pipe would wait for ever, and reading a device would never end."""
    os.mkfifo(tmp_path / "pipe.png")
    for name, what in (
        (str(tmp_path), "is a folder"),
        (str(tmp_path / "pipe.png"), "is no file"),
        ("/dev/zero", "is no file"),
    ):
        with pytest.raises(DataError, match=what):
            open_image(name)


@pytest.mark.parametrize("ref", ["", "x" * 5000, "a\0b.png"])
def test_names_that_no_file_can_have(ref: str) -> None:
    with pytest.raises(DataError, match=r"is empty|cannot be opened"):
        open_image(ref)


def test_links_that_run_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "a.png").symlink_to(tmp_path / "b.png")
    (tmp_path / "b.png").symlink_to(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"cannot be opened .*symbolic links"):
        open_image(str(tmp_path / "a.png"))
    (tmp_path / "c.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(DataError, match="does not exist"):
        open_image(str(tmp_path / "c.png"))


@contextmanager
def _as_nobody() -> Iterator[None]:
    """The superuser may read everything, so it is not him for a while."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / "secret.png"
    Image.new("RGB", (2, 2)).save(path)
    path.chmod(0)
    with _as_nobody(), pytest.raises(DataError, match=r"may not be read by this user"):
        open_image(str(path))
    path.chmod(0o600)
    assert open_image(str(path)).size == (2, 2)


def test_a_program_is_not_run(tmp_path: Path) -> None:
    """PostScript is drawn by another program; what a file is called does not matter."""
    code = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n0 0 moveto\n"
    (tmp_path / "photo.png").write_bytes(code)
    with pytest.raises(DataError, match="is PostScript, which is a program"):
        open_image(str(tmp_path / "photo.png"))


def test_a_machine_out_of_memory_is_said_to_be_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(self: ImageFile.ImageFile) -> None:
        raise MemoryError

    Image.new("RGB", (2, 2)).save(tmp_path / "small.png")
    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    with pytest.raises(DataError, match="more memory than there is"):
        open_image(str(tmp_path / "small.png"))
