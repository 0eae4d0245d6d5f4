"""The check at load: what the hooks see is the residual stream, and the readout reads it."""

from typing import Any

import torch
from torch import Tensor

from shiftlens.core.errors import DataError
from shiftlens.models.hooks import record
from shiftlens.models.model import Model

# Both sides are the same tensors pushed through the same modules; half precision rounds once more
# where the logits are scaled or capped in float32 here and in half there.
_TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-8}
_HALF_TOLERANCE = 2e-2


@torch.no_grad()
def check_address(model: Model) -> None:
    """Prove the address on a few tokens of text.

    A hook on block i must see ``hidden_states[i + 1]``, except on the last block, where
    transformers gives the state after the final norm; and norm and unembedding of the last block's
    state must be the logits.

    Raises:
        DataError: they are not; the message says which.
    """
    ids = _probe(model)
    n_layers = model.address.n_layers
    with model.active(), record(model, range(n_layers)) as seen:
        output: Any = model.hf(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            output_hidden_states=True,
            use_cache=False,
        )
    silent = [layer for layer, calls in seen.states.items() if not calls]
    if silent:
        raise _not_found(model, f"block {silent[0]} reads no text")
    states = [calls[0] for calls in seen.states.values()]
    if states[-1].shape[-1] != model.address.d:
        raise _not_found(model, f"blocks are {states[-1].shape[-1]} wide, not {model.address.d}")
    for layer, expected in enumerate(output.hidden_states[1:-1]):
        if not _close(states[layer], expected):
            raise _not_found(model, f"block {layer} is not hidden state {layer + 1}")
    logits = output.logits[0].float()
    readable = logits > torch.finfo(model.dtype).min / 2  # families may mask picture tokens
    read = model.readout.logits(states[-1][0])
    if read.shape != logits.shape or not _close(read[readable], logits[readable]):
        raise _not_found(model, "final norm and unembedding do not give its logits")


def _probe(model: Model) -> Tensor:
    """A few ordinary tokens; families place pictures by token, so none of the special ones."""
    special = set(model.tokenizer.all_special_ids)
    ids = [i for i in model.tokenizer("a picture of a person")["input_ids"] if i not in special]
    while len(ids) < 4:
        ids.append(next(i for i in range(len(model.tokenizer)) if i not in special))
    return torch.tensor([ids], device=model.device)


def _close(seen: Tensor, expected: Tensor) -> bool:
    if seen.shape != expected.shape:
        return False
    tolerance = _TOLERANCE.get(expected.dtype, _HALF_TOLERANCE)
    scale = float(expected.float().abs().max()) or 1.0
    return float((seen.float() - expected.float()).abs().max()) <= tolerance * scale


def _not_found(model: Model, reason: str) -> DataError:
    return DataError(
        f"the residual stream of {model.name} is not where it should be: {reason}",
        allowed=f"looked at {model.address.blocks_path}, {model.address.norm_path}, "
        f"{model.address.head_path}",
        remedy="the family needs a row of its own in shiftlens.models.address: please report it",
    )
