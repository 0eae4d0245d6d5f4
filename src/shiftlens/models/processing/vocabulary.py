"""Tokens that a tokenizer has and its model has not."""

from collections.abc import Iterable

from shiftlens.core.errors import DataError
from shiftlens.models.model import Model
from shiftlens.models.processing.placeholders import placeholder_tokens


def require_embedded(model: Model, token_ids: Iterable[int]) -> None:
    """Refuse tokens that a model has no embedding for, before it fails at them.

    That is what a fine-tune leaves whose tokenizer was given tokens and whose embeddings were not
    resized, or a tokenizer that was copied from another model.

    Args:
        model: who will read them. Where it has embeddings of another kind than one table, or
            tokens that it never looks up there (those of pictures), they are not judged.
        token_ids: what it will read.

    Raises:
        DataError: names the first such token.
    """
    table = model.hf.get_input_embeddings()
    rows = getattr(table, "num_embeddings", None)
    if not isinstance(rows, int) or getattr(table, "num_additional_embeddings", 0):
        return
    beyond = {token for token in token_ids if token >= rows}
    beyond -= {*placeholder_tokens(model.hf, model.processor)}
    if beyond:
        first = min(beyond)
        raise DataError(
            f"{model.name} has no embedding for token {first} of its tokenizer, "
            f"{model.tokenizer.convert_ids_to_tokens(first)!r}",
            allowed=f"tokens 0..{rows - 1}: its embeddings have {rows} rows, its tokenizer "
            f"{len(model.tokenizer)} tokens",
            remedy="copy the tokenizer that it was trained with; or resize the embeddings to the "
            "tokenizer's length, train them, and save both",
        )
