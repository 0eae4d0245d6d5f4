"""Greedy generation, and the teacher-forced pass that sees the same states."""

import inspect
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor

from shiftlens.core.errors import DataError
from shiftlens.models.model import Model, Response
from shiftlens.models.placeholders import placeholder_tokens
from shiftlens.models.prompts import Inputs


@torch.no_grad()
def generate(
    model: Model, inputs: Inputs, *, max_new_tokens: int, use_cache: bool = True
) -> list[Response]:
    """Answer a batch greedily: the most likely token at every step, nothing penalised.

    Placeholders of pictures are never said, nor is what the model's own settings suppress.

    Args:
        model: who answers; its adapter state is entered.
        inputs: prompts without responses.
        max_new_tokens: where to stop when the model does not.
        use_cache: keep keys and values between steps; without it every step repeats the prompt.

    Raises:
        DataError: ``inputs`` hold responses, or ``max_new_tokens`` is not positive.
    """
    if inputs.response_lengths:
        raise DataError(
            "these inputs hold responses already", remedy="encode the samples without response_ids"
        )
    if max_new_tokens < 1:
        raise DataError(f"cannot generate {max_new_tokens} tokens", allowed="at least 1")
    settings = _greedy(model, max_new_tokens, use_cache)
    with model.active():
        output: Tensor = model.hf.generate(**inputs.tensors, generation_config=settings)
    # Families that generate from embeddings return the new tokens alone.
    prompt = inputs.tensors["input_ids"]
    repeats = torch.equal(output[:, : prompt.shape[1]], prompt)
    new = output[:, prompt.shape[1] :] if repeats else output
    ends = _ends(settings)
    return [_response(model, row, ends) for row in new.tolist()]


@torch.no_grad()
def forward(model: Model, inputs: Inputs) -> Any:
    """One teacher-forced pass, for what hooks see: no cache, logits of the last position only.

    Args:
        model: who reads; its adapter state is entered.
        inputs: prompts, with or without responses.

    Returns:
        the output of transformers.
    """
    options: dict[str, Any] = {"use_cache": False}
    if "logits_to_keep" in inspect.signature(model.hf.forward).parameters:
        options["logits_to_keep"] = 1
    with model.active():
        return model.hf(**inputs.tensors, **options)


def _greedy(model: Model, max_new_tokens: int, use_cache: bool) -> Any:
    """The model's own settings (ends, suppressed tokens) without sampling, beams, or penalties."""
    settings = deepcopy(model.hf.generation_config)
    # Values, not None: transformers fills what is None from the model's settings again.
    neutral: dict[str, Any] = {
        "do_sample": False,
        "num_beams": 1,
        "num_return_sequences": 1,
        "temperature": 1.0,
        "top_k": 50,
        "top_p": 1.0,
        "typical_p": 1.0,
        "repetition_penalty": 1.0,
        "encoder_repetition_penalty": 1.0,
        "no_repeat_ngram_size": 0,
        "length_penalty": 1.0,
        "min_length": 0,
        "max_length": None,
        "max_new_tokens": max_new_tokens,
        "use_cache": use_cache,
        "return_dict_in_generate": False,
        "output_hidden_states": False,
        "output_attentions": False,
    }
    for name, value in neutral.items():
        setattr(settings, name, value)
    if settings.eos_token_id is None:
        settings.eos_token_id = model.tokenizer.eos_token_id
    if settings.pad_token_id is None:
        settings.pad_token_id = model.tokenizer.pad_token_id
    # A response is text: a picture's placeholder in it could never be read back.
    barred = {*(settings.suppress_tokens or ()), *placeholder_tokens(model.hf, model.processor)}
    settings.suppress_tokens = sorted(barred) or None
    return settings


def _ends(settings: Any) -> frozenset[int]:
    ends = settings.eos_token_id
    return frozenset(ends if isinstance(ends, list) else [] if ends is None else [ends])


def _response(model: Model, row: list[int], ends: frozenset[int]) -> Response:
    length = next((at for at, token in enumerate(row) if token in ends), len(row))
    ids = tuple(row[:length])
    return Response(decode(model, ids), ids, truncated=length == len(row))


def decode(model: Model, token_ids: Sequence[int]) -> str:
    """Response tokens as text, without special tokens and without tidying of spaces."""
    return model.tokenizer.decode(
        list(token_ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
    )
