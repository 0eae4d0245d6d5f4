"""What a harvest is held against, written with transformers alone: bare batches, and one by one."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from shiftlens.data.sample import Sample
from shiftlens.models.model import Model


def settings_of(model: Model, max_new_tokens: int) -> Any:
    """Greedy settings, the same as those of a harvest."""
    settings = deepcopy(model.hf.generation_config)
    settings.update(
        do_sample=False,
        num_beams=1,
        max_length=None,
        max_new_tokens=max_new_tokens,
        pad_token_id=model.tokenizer.pad_token_id,
        suppress_tokens=[model.hf.config.image_token_id],
    )
    return settings


def encode_plainly(model: Model, samples: Sequence[Sample]) -> dict[str, Tensor]:
    """Pictures decoded and processed, prompts in the chat template, padded on the left."""
    texts: list[str] = []
    pictures: list[list[Any]] = []
    for sample in samples:
        parts = [{"type": "image"} for _ in sample.images]
        content = [*parts, {"type": "text", "text": sample.prompt}]
        message = [{"role": "user", "content": content}]
        texts.append(
            model.processor.apply_chat_template(message, add_generation_prompt=True, tokenize=False)
        )
        opened: list[Any] = []
        for ref in sample.images:
            with Image.open(ref) as image:
                opened.append(image.convert("RGB"))
        pictures.append(opened)
    bos = model.tokenizer.bos_token
    batch = model.processor(
        text=texts,
        images=pictures,
        padding=True,
        padding_side="left",
        add_special_tokens=not (bos and texts[0].startswith(bos)),
        return_tensors="pt",
    )
    names = ("input_ids", "attention_mask", "pixel_values")
    tensors = {name: batch[name].to(model.device) for name in names}
    tensors["pixel_values"] = tensors["pixel_values"].to(model.dtype)
    return tensors


@torch.no_grad()
def generate_plainly(
    model: Model, samples: Sequence[Sample], max_new_tokens: int, batch_size: int
) -> list[str]:
    """Bare batched ``generate``: decode, process, answer, decode the text; nothing is kept."""
    settings, said = settings_of(model, max_new_tokens), list[str]()
    with model.active():
        for start in range(0, len(samples), batch_size):
            inputs = encode_plainly(model, samples[start : start + batch_size])
            output = model.hf.generate(**inputs, generation_config=settings)
            new = output[:, inputs["input_ids"].shape[1] :]
            said += model.tokenizer.batch_decode(new, skip_special_tokens=True)
    return said


@torch.no_grad()
def capture_one_by_one(
    model: Model, samples: Sequence[Sample], layer: int, word: str, max_new_tokens: int
) -> tuple[list[str], list[Tensor]]:
    """The usual script: one sample at a time, a hook that keeps every token, selection at the end.

    Returns:
        the answers, and for each that holds the word the state that is about to say it.
    """
    settings, said = settings_of(model, max_new_tokens), list[str]()
    kept: list[Tensor] = []
    rows: list[list[int]] = []
    calls: list[Tensor] = []

    def hook(_block: Any, _args: Any, output: Any) -> None:
        calls.append((output[0] if isinstance(output, tuple) else output).detach().cpu())

    handle = model.address.block(model.hf, layer).register_forward_hook(hook)
    try:
        with model.active():
            for sample in samples:
                calls.clear()
                inputs = encode_plainly(model, [sample])
                output = model.hf.generate(**inputs, generation_config=settings)
                rows.append(output[0, inputs["input_ids"].shape[1] :].tolist())
                said.append(model.tokenizer.decode(rows[-1], skip_special_tokens=True))
                kept.append(torch.cat(calls, dim=1)[0])
    finally:
        handle.remove()
    return said, [
        states[len(states) - len(row) + at]
        for row, states in zip(rows, kept, strict=True)
        for at in [next((i for i in range(len(row)) if _says(model, row[i], word)), None)]
        if at is not None
    ]


def _says(model: Model, token: int, word: str) -> bool:
    return model.tokenizer.decode([token]).strip() == word
