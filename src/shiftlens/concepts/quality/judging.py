"""What judges concepts from outside: models that never saw the states, behind small protocols.

The implementations on transformers are in ``grounding/judges.py``; anything with these methods
serves.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize

from shiftlens.core.errors import LearnError
from shiftlens.data.images import open_image

Seen = Float[Tensor, "n e"]
"""One embedding of length 1 a picture or text."""

_AT_ONCE = 256


@runtime_checkable
class PictureJudge(Protocol):
    """A model that puts pictures and texts into one space, such as CLIP."""

    def pictures(self, pictures: Sequence[Image.Image]) -> Seen:
        """Embeddings of pictures (n, e), on the CPU; any length."""
        ...

    def texts(self, texts: Sequence[str]) -> Seen:
        """Embeddings of texts (n, e), on the CPU; any length."""
        ...

    def knows(self, word: str) -> bool:
        """Whether the judge can read the word; words that it cannot are left out and counted."""
        ...


@dataclass(frozen=True, eq=False)
class Tokens:
    """A text as an encoder reads it, without special tokens.

    Attributes:
        ids: (t,) of the tokens.
        vectors: (t, e) contextual embedding of each.
    """

    ids: tuple[int, ...]
    vectors: Float[Tensor, "t e"]


@runtime_checkable
class TextEncoder(Protocol):
    """A model that gives every token of a text a vector."""

    def tokens(self, texts: Sequence[str]) -> list[Tokens]:
        """Tokens of each text."""
        ...


def looked_at(judge: PictureJudge, pictures: Sequence[Image.Image | str]) -> Seen:
    """Embeddings of length 1 of pictures given as such or by path; a path is read once.

    Args:
        judge: who looks.
        pictures: n of them.

    Raises:
        DataError: a file cannot be read.
        LearnError: there are no pictures, or an embedding is not finite.
    """
    if not len(pictures):
        raise LearnError("there are no pictures to look at", allowed="one a row")
    keys = [one if isinstance(one, str) else index for index, one in enumerate(pictures)]
    places = {key: place for place, key in enumerate(dict.fromkeys(keys))}
    firsts = dict(zip(keys, pictures, strict=True))
    distinct = [firsts[key] for key in places]
    parts: list[Tensor] = []
    for start in range(0, len(distinct), _AT_ONCE):
        opened = [
            open_image(one) if isinstance(one, str) else one
            for one in distinct[start : start + _AT_ONCE]
        ]
        parts.append(judge.pictures(opened))
    return _unit(torch.cat(parts))[[places[key] for key in keys]]


def read_out(judge: PictureJudge, texts: Sequence[str]) -> Seen:
    """Embeddings of length 1 of texts; a text is read once.

    Raises:
        LearnError: an embedding is not finite.
    """
    places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
    return _unit(judge.texts(list(places)))[[places[text] for text in texts]]


def _unit(vectors: Tensor) -> Tensor:
    if not bool(vectors.isfinite().all()):
        raise LearnError(
            "the judge's embeddings are not finite", remedy="load the judge in float32"
        )
    return normalize(vectors.float(), dim=1)
