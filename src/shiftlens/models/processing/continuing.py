"""Prompts followed by responses: every input that has a column a position gets more of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from shiftlens.models.model import Model


def continued(
    model: Model, tensors: Mapping[str, Tensor], responses: Sequence[Sequence[int]]
) -> dict[str, Tensor]:
    """Add response columns to every tensor that has one column, or row, a position.

    What a response's column holds in the extra tensors of a family (types of tokens, masks of
    pictures) is what the family's own generation gives to a new token, so that a teacher-forced
    pass reads a response as it was said: PaliGemma reads its prompt in both directions and the
    response in one, and tells them apart by these types.

    Args:
        model: who will read it.
        tensors: of prompts padded on the left, without positions.
        responses: for each row the tokens of its response; they are padded on the right.
    """
    ids = tensors["input_ids"]
    longest = max(map(len, responses))
    pad = int(model.tokenizer.pad_token_id or 0)
    more = torch.full((len(responses), longest), pad, dtype=ids.dtype)
    mask = torch.zeros((len(responses), longest), dtype=tensors["attention_mask"].dtype)
    for row, tokens in enumerate(responses):
        more[row, : len(tokens)] = torch.tensor(list(tokens), dtype=ids.dtype)
        mask[row, : len(tokens)] = 1
    added = {"input_ids": more.to(ids.device), "attention_mask": mask.to(ids.device)}
    wide = {
        key: one
        for key, one in tensors.items()
        if one.shape[:2] == ids.shape and not one.is_floating_point()  # pixels may look alike
    }
    given = _given_to_a_new_token(model.hf, wide)
    longer = dict(tensors)
    for key, value in wide.items():
        extra = added.get(key)
        if extra is None:
            extra = given[key].expand(-1, longest, *value.shape[2:])
        longer[key] = torch.cat([value, extra], dim=1)
    return longer


class _NothingComputed(dict[str, Any]):
    """Stands for a forward pass's output where only inputs are continued."""

    def __getattr__(self, name: str) -> None:
        return None


def _given_to_a_new_token(hf: Any, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The column (b, 1, ...) that generation adds to each tensor: text, where it adds none."""
    known = dict(tensors)
    # The one place where transformers says it; families override it for inputs of their own.
    after = hf._update_model_kwargs_for_generation(
        outputs=_NothingComputed(), model_kwargs=known.copy(), is_encoder_decoder=False
    )
    return {
        key: torch.zeros_like(one[:, :1]) if after.get(key) is one else after[key][:, -1:]
        for key, one in known.items()
    }
