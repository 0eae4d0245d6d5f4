"""The tokens that stand for pictures: what a prompt, or a response, must not contain as text."""

import re
from collections.abc import Hashable, Sequence
from functools import lru_cache
from typing import Any, cast

_PICTURE = ("image_token_id", "image_token_index")
# How families name the tokens by which they mark where something that is not text begins, lies, or
# ends: vision_start_token_id, boi_token_index, visual_indicator_token_ids, image_patch_id, ...
_MARKING = re.compile(
    r"(image|img|video|vision|visual|audio|frame|boi|eoi|boa|eoa)\w*_(id|ids|index)$"
)


def picture_token(hf: Any, processor: Any) -> int | None:
    """The token that stands for a piece of a picture; ``None`` if the family has none."""
    return next(iter(_ids((hf.config, processor), _PICTURE)), None)


def placeholder_tokens(hf: Any, processor: Any) -> tuple[int, ...]:
    """Every token that stands for something that is not text; sorted."""
    owners = (hf.config, processor)
    named = {name for owner in owners for name in vars(owner) if _MARKING.search(name)}
    # What a family offers as a property, or by another name, is in no dictionary.
    return tuple(sorted(set(_ids(owners, (*_PICTURE, "image_token_ids", *sorted(named))))))


def placeholder_texts(processor: Any) -> tuple[str, ...]:
    """What a chat template writes for a picture or a video, as the family spells it; sorted."""
    return _remembered(processor) if isinstance(processor, Hashable) else _spelled(processor)


def _spelled(processor: Any) -> tuple[str, ...]:
    names = ("image_token", "image_placeholder_token", "boi_token", "video_token")
    named = [getattr(processor, name, None) for name in names]
    own = [getattr(processor.tokenizer, name, None) for name in ("image_token", "video_token")]
    return tuple(sorted({str(text) for text in (*named, *own) if text}))


# It is asked for every sample, and processors look up slowly what they lack.
_remembered = lru_cache(maxsize=8)(_spelled)


def _ids(owners: tuple[Any, ...], names: tuple[str, ...]) -> list[int]:
    found: list[Any] = []
    for value in (getattr(owner, name, None) for owner in owners for name in names):
        found += list(cast(Sequence[Any], value)) if isinstance(value, list | tuple) else [value]
    return [one for one in found if type(one) is int and one >= 0]
