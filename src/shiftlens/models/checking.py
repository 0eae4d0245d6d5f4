"""The check at load: what the hooks see is the residual stream, and the readout reads it."""

from typing import Any

import torch
from torch import Tensor

from shiftlens.core.errors import DataError
from shiftlens.models.hooks import record
from shiftlens.models.logit_scaling import measure_scaling
from shiftlens.models.model import Model
from shiftlens.models.processing.readable import needs_picture
from shiftlens.models.prompts import Turn, encode_turns

# Both sides are the same tensors pushed through the same modules; half precision rounds once more
# where the logits are scaled or capped in float32 here and in half there.
_TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-8}
_HALF_TOLERANCE = 2e-2


@torch.no_grad()
def check_address(model: Model) -> None:
    """Prove the address on a few tokens of text, or on a picture where a family needs one.

    A hook on block i must see ``hidden_states[i + 1]``, except on the last block, where
    transformers gives the state after the final norm; and norm and unembedding of the last block's
    state must be the logits.

    Raises:
        DataError: they are not; the message says which.
    """
    n_layers, probe = model.address.n_layers, _probe(model)
    try:
        with model.active(), record(model, range(n_layers)) as seen:
            output: Any = model.hf(**probe, output_hidden_states=True, use_cache=False)
    except (ValueError, TypeError) as error:
        if model.adapter_on:  # the adapter's own doing: whoever puts it in knows what to say
            raise
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise _not_found(model, f"it cannot read a few tokens of text ({lines[0]})") from error
    silent = [layer for layer, calls in seen.states.items() if not calls]
    if silent:
        raise _not_found(model, f"block {silent[0]} reads nothing")
    states = [calls[0] for calls in seen.states.values()]
    if states[-1].shape[-1] != model.address.d:
        raise _not_found(model, f"blocks are {states[-1].shape[-1]} wide, not {model.address.d}")
    for layer, expected in enumerate(hidden_states_of(output)[1:-1]):
        if not _close(states[layer], expected, model.dtype):
            raise _not_found(model, f"block {layer} is not hidden state {layer + 1}")
    logits = output.logits[0].float()
    readable = logits > torch.finfo(model.dtype).min / 2  # families may mask picture tokens
    _measure_scaling(model, probe, readable[-1])
    read = model.readout.logits(states[-1][0])
    if read.shape != logits.shape or not _close(read[readable], logits[readable], model.dtype):
        raise _not_found(model, "final norm and unembedding do not give its logits")


def _measure_scaling(model: Model, probe: dict[str, Tensor], readable: Tensor) -> None:
    """Let the model's readout scale and cap its logits as the model itself does."""
    columns = readable.nonzero().flatten()
    head = model.address.head(model.hf)

    def behind_head(raw: Tensor) -> Tensor:
        chosen = columns[: len(raw)]

        def put(_head: Any, _args: Any, output: Tensor) -> Tensor:
            return output.index_copy(-1, chosen, raw.to(output).expand(*output.shape[:-1], -1))

        handle = head.register_forward_hook(put)
        try:
            with model.active():
                output: Any = model.hf(**probe, use_cache=False)
        finally:
            handle.remove()
        return output.logits[0, -1, chosen].float().cpu()

    model.scaling = measure_scaling(behind_head, model.hf.config.get_text_config(decoder=True))
    model.__dict__.pop("readout", None)  # it may have been made before its scale was known


def hidden_states_of(output: Any) -> tuple[Tensor, ...]:
    """The decoder's states in an output of transformers, which BLIP keeps one level deeper.

    Args:
        output: of a forward pass with ``output_hidden_states``.
    """
    inner = getattr(output, "language_model_outputs", None) or output
    return tuple(inner.hidden_states)


def _probe(model: Model) -> dict[str, Tensor]:
    """A few ordinary tokens; a small picture with a question where a family needs one.

    Families place pictures by token, so the text holds none of the special ones.
    """
    if needs_picture(model):
        return encode_turns(model, [_seen()]).tensors
    special = set(model.tokenizer.all_special_ids)
    ids = [i for i in model.tokenizer("a picture of a person")["input_ids"] if i not in special]
    while len(ids) < 4:
        ids.append(next(i for i in range(len(model.tokenizer)) if i not in special))
    found = torch.tensor([ids], device=model.device)
    return {"input_ids": found, "attention_mask": torch.ones_like(found)}


def _seen() -> Turn:
    from PIL import Image

    return Turn("What is this?", (Image.linear_gradient("L").convert("RGB"),))


def _close(seen: Tensor, expected: Tensor, dtype: torch.dtype) -> bool:
    if seen.shape != expected.shape:
        return False
    tolerance = _TOLERANCE.get(dtype, _HALF_TOLERANCE)
    scale = float(expected.float().abs().max()) or 1.0
    return float((seen.float() - expected.float()).abs().max()) <= tolerance * scale


def _not_found(model: Model, reason: str) -> DataError:
    return DataError(
        f"the residual stream of {model.name} is not where it should be: {reason}",
        allowed=f"looked at {model.address.blocks_path}, {model.address.norm_path}, "
        f"{model.address.head_path}",
        remedy="the family needs a row of its own in shiftlens.models.address: please report it",
    )
