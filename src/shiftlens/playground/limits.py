"""``Limits``: how much one visitor may ask for."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import shiftlens as sl
from shiftlens.data.images import Opening, open_image

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class Limits:
    """What is refused, with a sentence, before the model sees anything.

    Attributes:
        upload_bytes: of one picture, and of any one request.
        unpacked: of a kept setting, in bytes.
        pixels: width times height of a picture, told by its header before it is decoded.
        prompt: characters.
        words: characters of a list of words, or of a rectangle.
        new_tokens: of one answer.
        strength: of a direction, either way.
        lines: directions at a time.
        waiting: visitors in the queue; further ones are told that the model is busy.
    """

    upload_bytes: int = 10 * 1024 * 1024
    unpacked: int = 32 * 1024 * 1024
    pixels: int = 25_000_000
    prompt: int = 2_000
    words: int = 200
    new_tokens: int = 256
    strength: float = 5.0
    lines: int = 8
    waiting: int = 64

    def picture(self, path: str | None) -> "Image | None":
        """The picture at a path, upright and in RGB; ``None`` without one.

        Raises:
            DataError: it is no picture, damaged, or larger than allowed.
        """
        if not path:
            return None
        size = Path(path).stat().st_size if Path(path).is_file() else 0
        if size > self.upload_bytes:
            raise sl.ShiftLensError(
                f"this picture has {size / 1024**2:.1f} MB",
                allowed=f"up to {self.upload_bytes / 1024**2:.0f} MB",
                remedy="make it smaller first: models see far fewer pixels",
            )
        try:
            return open_image(path, Opening(max_pixels=self.pixels))
        except sl.ShiftLensError as error:
            # The path is the server's: a visitor knows only that the picture is theirs.
            said = error.given.replace(f"image {path}", "this picture").replace(path, "the file")
            raise sl.ShiftLensError(
                said, allowed=error.allowed, remedy=error.remedy or "choose another picture"
            ) from error

    def asked(self, prompt: str) -> str:
        """A prompt that can be asked.

        Raises:
            ShiftLensError: it is empty, too long, or no Unicode.
        """
        text = prompt.strip()
        if not text:
            raise sl.ShiftLensError("nothing is asked", remedy="write a question or a request")
        if len(text) > self.prompt:
            raise sl.ShiftLensError(
                f"the prompt has {len(text):,} characters", allowed=f"up to {self.prompt:,}"
            )
        if any("\ud800" <= letter <= "\udfff" for letter in text):
            raise sl.ShiftLensError("the prompt holds half a character", remedy="type it again")
        return text
