"""``open_files``, ``open_beside``: a setting that was kept, from whoever it comes."""

import io
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import shiftlens as sl
from shiftlens.core.fields import Fields
from shiftlens.core.strict_json import read_strict
from shiftlens.playground.limits import Limits
from shiftlens.playground.lines import KeptLine, kept_lines
from shiftlens.playground.setting import KIND, SCHEMA

if TYPE_CHECKING:
    from PIL.Image import Image

_STEERING, _ASKED, _PICTURE = "steering", "setting.json", "picture.png"
_INSIDE = (f"{_STEERING}.json", f"{_STEERING}.safetensors", _ASKED, _PICTURE)
_ENDINGS = (".json", ".safetensors")
_HOW = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_OLDEST = 2  # the oldest schema of a setting whose question can be read
_MOST_FILES = 2
_WHAT = "the zip that this page saves, or both files of a steering: .json and .safetensors"


@dataclass(frozen=True)
class Opened:
    """A setting that was kept.

    Attributes:
        steering: how it was steered.
        lines: the same for the list of a page.
        prompt: what was asked; ``None`` where only the steering was kept.
        picture: what it was asked about.
        tokens: where answers were cut off.
        model: what the model was called, where it is known.
    """

    steering: "sl.Steering"
    lines: tuple[KeptLine, ...]
    prompt: str | None = None
    picture: "Image | None" = None
    tokens: int | None = None
    model: str = ""


def open_files(paths: Sequence[str], limits: Limits) -> Opened:
    """Open what a visitor has uploaded.

    Args:
        paths: of the uploads: a zip, or the two files of a steering.
        limits: of visitors.

    Raises:
        ShiftLensError: it is something else, damaged, too large, or a steering that cannot be.
    """
    read = partial(_steering_of, tuple(paths), limits)
    with _unpacked(paths, limits) as place:
        steering = sl.Steering.load(place)
        _require_few(steering, limits)
        return _opened(steering, read, "", place.parent, limits)


def open_beside(steering: "sl.Steering", source: str, root: Path, limits: Limits) -> Opened:
    """Open a steering of the run, with what was asked where that lies beside it.

    Args:
        steering: as it was read with the run.
        source: where it lies in the run, without ending.
        root: the run's directory.
        limits: of visitors.

    Raises:
        ShiftLensError: the question beside it is damaged, or there are too many directions.
    """
    _require_few(steering, limits)
    place = root / source
    with _ours(place.parent):
        return _opened(steering, lambda: steering, source, place.parent, limits)


def _steering_of(paths: Sequence[str], limits: Limits) -> "sl.Steering":
    """The steering of uploads, which go after an hour."""
    if not all(Path(one).is_file() for one in paths):
        raise sl.ShiftLensError(
            "the file that this list comes from was uploaded too long ago",
            remedy="empty the list, and open the file again",
        )
    with _unpacked(paths, limits) as place:
        return sl.Steering.load(place)


def _opened(
    steering: "sl.Steering",
    read: Callable[[], "sl.Steering"],
    source: str,
    folder: Path,
    limits: Limits,
) -> Opened:
    lines = kept_lines(steering, read, source)
    asked, picture = folder / _ASKED, folder / _PICTURE
    if not asked.is_file() or asked.is_symlink():
        return Opened(steering, lines)
    with _ours(folder):
        told = Fields(read_strict(asked, most=limits.upload_bytes), _ASKED)
        if told.text("kind") != KIND:
            raise sl.ShiftLensError(f"{_ASKED} is no setting of a playground", allowed=_WHAT)
        told.whole("schema", _OLDEST, SCHEMA)
        # What was steered with is told by the steering itself; the rest is for other programs.
        seen = limits.picture(str(picture)) if _is_ours(picture) else None
        prompt, tokens = limits.asked(told.text("prompt")), told.whole("max_new_tokens", 1)
        return Opened(
            steering, lines, prompt, seen, min(tokens, limits.new_tokens), told.text("model", "")
        )


def _is_ours(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _require_few(steering: "sl.Steering", limits: Limits) -> None:
    many = len(steering.interventions)
    if many > limits.lines:
        raise sl.ShiftLensError(
            f"this setting has {many} directions",
            allowed=f"up to {limits.lines} at a time",
            remedy="steer with it in Python: sl.steer(model, sl.Steering.load(...))",
        )


@contextmanager
def _unpacked(paths: Sequence[str], limits: Limits) -> Generator[Path]:
    """Place of the steering, without ending, in a folder that goes again."""
    endings = sorted(PurePath(one).suffix.lower() for one in paths)
    with tempfile.TemporaryDirectory(prefix="shiftlens-opened-") as made, _ours(Path(made)):
        folder = Path(made)
        if endings == [".zip"]:
            _unzip(Path(paths[0]), folder, limits)
        elif tuple(endings) == _ENDINGS:
            for one in paths:
                place = folder / f"{_STEERING}{PurePath(one).suffix.lower()}"
                place.write_bytes(_content(Path(one), limits))
        else:
            given = f"{len(paths)} files" if len(paths) > _MOST_FILES else ", ".join(endings)
            raise sl.ShiftLensError(
                f"this is no kept setting ({given or 'nothing'})", allowed=_WHAT
            )
        yield folder / _STEERING


def _content(upload: Path, limits: Limits) -> bytes:
    if upload.stat().st_size > limits.upload_bytes:
        raise _too_large(limits)
    return upload.read_bytes()


def _unzip(path: Path, folder: Path, limits: Limits) -> None:
    """Take the four files that count, by their names; nothing else is looked at."""
    try:
        # From memory: places in a file that cannot be are then no errors of the disk.
        with zipfile.ZipFile(io.BytesIO(_content(path, limits))) as archive:
            entries = [one for one in archive.infolist() if one.filename in _INSIDE]
            if len({one.filename for one in entries}) < len(entries):
                raise sl.ShiftLensError("the zip holds a file twice", allowed=_WHAT)
            left = limits.unpacked
            for one in entries:
                if one.flag_bits & 1 or one.compress_type not in _HOW:
                    raise sl.ShiftLensError("the zip is locked, or packed unusually", allowed=_WHAT)
                # What it says of its sizes is a claim: bytes are counted.
                with archive.open(one) as packed:
                    content = packed.read(left + 1)
                left -= len(content)
                if left < 0:
                    raise _too_large(limits)
                (folder / one.filename).write_bytes(content)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise sl.ShiftLensError("the zip is damaged", remedy="save it again") from error
    except (ValueError, OverflowError, MemoryError) as error:  # sizes and places that cannot be
        raise sl.ShiftLensError("the zip is damaged", remedy="save it again") from error
    if not all((folder / name).is_file() for name in _INSIDE[:2]):
        raise sl.ShiftLensError("there is no steering in this zip", allowed=_WHAT)


def _too_large(limits: Limits) -> "sl.ShiftLensError":
    return sl.ShiftLensError(
        "this setting is too large", allowed=f"up to {limits.unpacked / 1024**2:.0f} MB unpacked"
    )


@contextmanager
def _ours(folder: Path) -> Generator[None]:
    """Say what is wrong with a file by its name: where it lies is the server's business."""
    try:
        yield
    except sl.ShiftLensError as error:
        given, allowed, remedy = (
            one.replace(f"{folder}/", "").replace(str(folder), "the setting")
            for one in (error.given, error.allowed, error.remedy)
        )
        raise sl.ShiftLensError(given, allowed=allowed, remedy=remedy) from error
