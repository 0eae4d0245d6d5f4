"""Small pictures that travel with a steering, as the bytes of their files."""

from dataclasses import dataclass

import torch
from torch import Tensor

from shiftlens.core.errors import StoreError

_STARTS = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpg", b"RIFF": "webp"}
_MOST_BYTES = 2**20


@dataclass(frozen=True)
class Thumbnail:
    """One picture: PNG, JPEG or WebP, of at most 1 MiB.

    Attributes:
        image: the bytes of the file; they are never decoded here.
        caption: what is to be seen.
    """

    image: bytes
    caption: str = ""

    def __post_init__(self) -> None:
        if not 0 < len(self.image) <= _MOST_BYTES or not self.ending:
            raise StoreError(
                f"a thumbnail of {len(self.image)} bytes that is no picture we know",
                allowed="PNG, JPEG or WebP of at most 1 MiB",
            )

    @property
    def ending(self) -> str:
        """Of a file of its kind; empty where it is none of them."""
        found = (end for start, end in _STARTS.items() if self.image.startswith(start))
        return next(found, "")

    def to_tensor(self) -> Tensor:
        """(bytes,) uint8."""
        return torch.frombuffer(bytearray(self.image), dtype=torch.uint8)

    @staticmethod
    def from_tensor(tensor: Tensor | None, caption: str) -> "Thumbnail":
        """The picture that ``to_tensor`` wrote.

        Raises:
            StoreError: it is missing, or no picture.
        """
        if tensor is None or tensor.dtype != torch.uint8 or tensor.ndim != 1:
            raise StoreError("a thumbnail is missing, or is not a row of bytes")
        return Thumbnail(tensor.numpy().tobytes(), caption)
