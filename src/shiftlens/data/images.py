"""Opening pictures: upright, in RGB, or refused with the reason."""

from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from shiftlens.core.errors import DataError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
"""File endings that an image folder is searched for."""
_VIDEOS = frozenset((".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv"))


def open_image(ref: str) -> Image.Image:
    """Open a picture as a viewer would show it: EXIF orientation applied, first frame, RGB.

    Args:
        ref: path of a local file.

    Raises:
        DataError: the file is missing, truncated, not a picture, a video, or so large that Pillow
            takes it for a decompression bomb.
    """
    if Path(ref).suffix.lower() in _VIDEOS:
        raise DataError(
            f"{ref} is a video, and videos are not supported",
            allowed=f"pictures ending in {', '.join(SUFFIXES)}",
            remedy="give frames of it as pictures: a sample may have several",
        )
    try:
        with Image.open(ref) as image:
            image.load()
            return ImageOps.exif_transpose(image).convert("RGB")
    except FileNotFoundError as error:
        raise DataError(f"image {ref} does not exist") from error
    except UnidentifiedImageError as error:
        raise DataError(f"image {ref} is not a picture that Pillow can read") from error
    except Image.DecompressionBombError as error:
        raise DataError(f"image {ref} is too large ({error})") from error
    except (OSError, SyntaxError, ValueError) as error:
        # Pillow reports broken files under all three names.
        raise DataError(f"image {ref} is damaged ({error})") from error
