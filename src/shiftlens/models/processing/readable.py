"""What a family cannot read: prompts without a picture, several pictures, rows that differ."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from shiftlens.core.errors import DataError
from shiftlens.models.model import Model
from shiftlens.models.processing.processors import PLAIN, chat_template

# Inputs of families whose text looks at pictures beside it, through blocks of their own (Mllama).
_BESIDE = ("cross_attention_mask",)
# What processors raise for a text without a picture.
_REFUSALS = (ValueError, TypeError, LookupError, AttributeError)


@runtime_checkable
class Asked(Protocol):
    """A prompt with its pictures."""

    @property
    def images(self) -> tuple[Any, ...]:
        """Its pictures, opened."""
        ...

    @property
    def name(self) -> str:
        """Of the sample, for messages."""
        ...


def require_readable(model: Model, turns: Sequence[Asked]) -> None:
    """Refuse what a family cannot read, or reads in a batch otherwise than by itself.

    Raises:
        DataError: a sample has no picture, or several, and the family cannot do with that; or the
            samples may not stand in one batch.
    """
    counts = [len(turn.images) for turn in turns]
    if 0 in counts and needs_picture(model):
        raise DataError(
            f"{model.name} reads no prompt without a picture, and {_named(turns, _blind)} has none",
            allowed="samples with a picture each",
            remedy="leave these samples out, or take a model that reads text by itself",
        )
    plain = chat_template(model.processor) in (None, PLAIN)  # templates name every picture
    if plain and max(counts) > 1 and _places_one(model):
        raise DataError(
            f"{model.name} reads one picture a prompt, and {_named(turns, _several)} has several",
            allowed="one picture a sample",
            remedy="keep one picture of each sample",
        )
    if len(set(counts)) > 1 and _looks_beside(model):
        raise DataError(
            f"{model.name} reads a prompt otherwise beside one with another number of pictures",
            allowed="batches of samples that have equally many pictures",
            remedy="ask them in batches by number of pictures (batch size 1 will do)",
        )


def require_equal_sizes(model: Model, tensors: Mapping[str, Tensor], n: int) -> None:
    """Refuse pictures of different sizes in one batch of a family that reads the padding too.

    Emu3 turns a picture into codes together with what it was padded with to the size of the
    largest picture beside it: the same picture has other codes in another batch.

    Args:
        model: who reads them.
        tensors: what its processor made.
        n: how many samples they are of.

    Raises:
        DataError: they differ.
    """
    sizes = tensors.get("image_sizes")
    coded = getattr(model.hf.config, "vq_config", None) is not None
    if n > 1 and coded and sizes is not None and not bool((sizes == sizes[:1]).all()):
        raise DataError(
            f"{model.name} reads a picture otherwise beside a larger one",
            allowed="batches whose pictures are all of one size once they are prepared",
            remedy="resize the pictures to one size, or ask one sample at a time (batch size 1)",
        )


def needs_picture(model: Model) -> bool:
    """Whether a family reads no text by itself.

    Its forward pass may demand pixels (BLIP-2), its processor may demand a picture (PaliGemma), or
    some of its blocks may be left out where there is nothing to look at (Mllama).
    """
    pixels = inspect.signature(model.hf.forward).parameters.get("pixel_values")
    if pixels is not None and pixels.default is inspect.Parameter.empty:
        return True
    return _looks_beside(model) or not _takes_text(model.processor)


def _looks_beside(model: Model) -> bool:
    # Before its picture a text attends evenly to all that lie beside it, those of no one included.
    return not set(_BESIDE).isdisjoint(inspect.signature(model.hf.forward).parameters)


def _takes_text(processor: Any) -> bool:
    try:
        processor(text=["a"], images=None, return_tensors="pt")
    except _REFUSALS:
        return False
    return True


def _places_one(model: Model) -> bool:
    """Whether a processor puts the places of one picture into a prompt, however many it is given.

    That is the case where two pictures have as many places as one.
    """
    token = str(getattr(model.processor, "image_token", None) or "<image>")

    def places(n: int) -> int:
        ids = _trial(model.processor, n)
        return 0 if ids is None else ids.count(model.tokenizer.convert_tokens_to_ids(token))

    return 0 < places(2) == places(1)


def _trial(processor: Any, n_images: int, text: str = "a") -> list[int] | None:
    """The tokens of a text that names no picture, beside some; ``None`` where that is refused."""
    from PIL import Image

    images = [Image.new("RGB", (32, 32)) for _ in range(n_images)]
    try:
        # No tensors are asked for: two pictures of one prompt may not fit where one is expected.
        ids = processor(text=[text], images=[images])["input_ids"][0]
    except _REFUSALS:
        return None
    return [int(one) for one in ids]


@lru_cache(maxsize=8)
def places_itself(processor: Any, token: str) -> bool:
    """Whether a processor adds a picture's places to a text, even if the text names it already.

    Where a text that names its picture has more places than one that does not, the name is one
    place too many. Tried once for a processor: a picture has to be prepared for it.

    Args:
        processor: of the family.
        token: what stands for a picture in its texts.
    """
    named, unnamed = _trial(processor, 1, f"{token}a"), _trial(processor, 1)
    if not named or not unnamed:
        return False
    number = processor.tokenizer.convert_tokens_to_ids(token)
    return 0 < unnamed.count(number) < named.count(number)


def _blind(turn: Asked) -> bool:
    return not turn.images


def _several(turn: Asked) -> bool:
    return len(turn.images) > 1


def _named(turns: Sequence[Asked], which: Callable[[Asked], bool]) -> str:
    at = next(at for at, turn in enumerate(turns) if which(turn))
    return f"sample {turns[at].name!r}" if turns[at].name else f"row {at}"
