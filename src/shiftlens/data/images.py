"""Opening pictures: upright, in RGB, or refused with the reason."""

import io
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from shiftlens.core.errors import DataError
from shiftlens.data.pixels import as_rgb

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
"""File endings that an image folder is searched for."""
MAX_PIXELS = 89_478_485
"""Width times height of the largest picture that is decoded: 256 MiB in RGB."""
_VIDEOS = frozenset((".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv"))
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")


@dataclass(frozen=True)
class Opening:
    """Which pictures may be opened.

    Attributes:
        remote: fetch references that begin with ``http://`` or ``https://``.
        max_pixels: width times height beyond which a picture is refused before it is decoded.
    """

    remote: bool = False
    max_pixels: int = MAX_PIXELS

    def __post_init__(self) -> None:
        if not 1 <= self.max_pixels <= MAX_PIXELS:
            raise DataError(
                f"a limit of {self.max_pixels} pixels for a picture",
                allowed=f"1 to {MAX_PIXELS:,}",
                remedy="make larger pictures smaller beforehand: models see far fewer pixels",
            )


LOCAL = Opening()
"""Files of this machine, up to the largest size: the default everywhere."""


def open_image(ref: str, opening: Opening = LOCAL) -> Image.Image:
    """Open a picture as a viewer would show it: EXIF orientation applied, first frame, RGB.

    Transparency is laid over white, and deep grey is scaled: see ``shiftlens.data.pixels.as_rgb``.
    An orientation that cannot be read turns nothing.

    Args:
        ref: path of a local file; an address on the web where ``opening`` allows it.
        opening: what is allowed. A lower ``Image.MAX_IMAGE_PIXELS`` of Pillow counts as well.

    Raises:
        DataError: the file is missing, a folder, not readable by this user, empty, truncated, not a
            picture, a video, a program (PostScript), has more pixels than are allowed (told by its
            header, before anything is decoded), or is on the web.
    """
    if Path(ref).suffix.lower() in _VIDEOS:
        raise DataError(
            f"{ref} is a video, and videos are not supported",
            allowed=f"pictures ending in {', '.join(SUFFIXES)}",
            remedy="give frames of it as pictures: a sample may have several",
        )
    scheme = _SCHEME.match(ref)
    with _file(ref) if scheme is None else _fetched(ref, scheme[1].lower(), opening) as stream:
        return _decoded(ref, stream, pixels_allowed(opening))


def pixels_allowed(opening: Opening) -> int:
    """The limit that counts: ours, or Pillow's where somebody has made that one lower."""
    return min(opening.max_pixels, Image.MAX_IMAGE_PIXELS or opening.max_pixels)


def _file(ref: str) -> io.BytesIO | io.BufferedReader:
    if not ref:
        raise DataError("the reference of an image is empty", allowed="the path of a file")
    try:
        found = Path(ref).stat()
        # Of what is not a file, a pipe would be waited for and a device read without end.
        if stat.S_ISREG(found.st_mode) and found.st_size:
            return Path(ref).open("rb")
    except FileNotFoundError as error:
        raise DataError(f"image {ref} does not exist") from error
    except PermissionError as error:
        raise DataError(f"image {ref} may not be read by this user ({error.strerror})") from error
    except (OSError, ValueError) as error:  # a name that is too long, a NUL, a circle of links
        raise DataError(f"image {ref!r} cannot be opened ({error})") from error
    if stat.S_ISREG(found.st_mode):
        raise DataError(f"image {ref} is empty: it has 0 bytes and is not a picture")
    what = "a folder" if stat.S_ISDIR(found.st_mode) else "no file (a pipe, a socket or a device)"
    raise DataError(f"image {ref} is {what}", allowed="the path of a file")


def _fetched(ref: str, scheme: str, opening: Opening) -> io.BytesIO | io.BufferedReader:
    if scheme not in ("http", "https"):
        raise DataError(
            f"image {ref} is neither a file of this machine nor on the web",
            allowed="paths, and http:// or https:// where remote images are asked for",
        )
    if not opening.remote:
        raise DataError(
            f"image {ref} is on the web, and remote images are off",
            allowed="paths of files",
            remedy="save it, or ask for it: harvest(..., remote=True), or "
            "shiftlens harvest --remote-images",
        )
    from shiftlens.data.remote import fetch

    return io.BytesIO(fetch(ref))


def _decoded(ref: str, stream: io.BytesIO | io.BufferedReader, limit: int) -> Image.Image:
    try:
        with Image.open(stream) as image:
            if image.format == "EPS":
                raise DataError(f"image {ref} is PostScript, which is a program and not a picture")
            _check_size(ref, image, limit)
            image.load()
            _check_size(ref, image, limit)  # an icon is as large as the picture within it
            return as_rgb(image)
    except DataError:
        raise
    except UnidentifiedImageError as error:
        raise DataError(f"image {ref} is not a picture that Pillow can read") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        pixels = re.search(r"\d+", str(error))  # Pillow's own limit, which ours never exceeds
        raise _too_large(ref, f"{int(pixels[0]):,}" if pixels else "too many", limit) from error
    except MemoryError as error:
        raise DataError(f"image {ref} takes more memory than there is") from error
    except Exception as error:  # Pillow reports broken files under a dozen names
        why = str(error) or type(error).__name__
        raise DataError(
            f"image {ref} is damaged, or of a kind that Pillow cannot decode ({why})"
        ) from error


def _check_size(ref: str, image: Image.Image, limit: int) -> None:
    width, height = image.size
    if width * height > limit:
        raise _too_large(ref, f"{width} x {height} = {width * height:,}", limit)


def _too_large(ref: str, pixels: str, limit: int) -> DataError:
    return DataError(
        f"image {ref} is too large: {pixels} pixels",
        allowed=f"up to {limit:,} pixels",
        remedy="make it smaller beforehand: models see far fewer pixels",
    )
