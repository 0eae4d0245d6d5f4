"""The tokens that stand for pictures: what a prompt, or a response, must not contain as text."""

from typing import Any

_PICTURE = ("image_token_id", "image_token_index")
# Other tokens by which families mark where something that is not text begins, lies, or ends.
_OTHERS = (
    "video_token_id",
    "video_token_index",
    "vision_start_token_id",
    "vision_end_token_id",
    "boi_token_index",
    "boi_token_id",
    "eoi_token_index",
    "eoi_token_id",
    "audio_token_id",
    "audio_token_index",
)


def picture_token(hf: Any, processor: Any) -> int | None:
    """The token that stands for a piece of a picture; ``None`` if the family has none."""
    return next(iter(_ids((hf.config, processor), _PICTURE)), None)


def placeholder_tokens(hf: Any, processor: Any) -> tuple[int, ...]:
    """Every token that stands for something that is not text; sorted."""
    return tuple(sorted(set(_ids((hf.config, processor), _PICTURE + _OTHERS))))


def placeholder_texts(processor: Any) -> tuple[str, ...]:
    """What a chat template writes for a picture, in the spellings that the family knows; sorted."""
    named = [getattr(processor, name, None) for name in ("image_token", "boi_token")]
    own = getattr(processor.tokenizer, "image_token", None)
    return tuple(sorted({str(text) for text in (*named, own) if text}))


def _ids(owners: tuple[Any, ...], names: tuple[str, ...]) -> list[int]:
    found = (getattr(owner, name, None) for owner in owners for name in names)
    return [token for token in found if isinstance(token, int) and token >= 0]
