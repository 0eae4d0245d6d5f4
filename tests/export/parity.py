"""What a steered model says by hooks, token by token, as another engine is asked for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from shiftlens.models.generation import generate
from shiftlens.models.model import Model
from shiftlens.models.prompts import Turn, encode_turns
from shiftlens.steering.applying import steer
from shiftlens.steering.intervening import Intervention

NEW_TOKENS = 12


@dataclass(frozen=True)
class Answer:
    """A greedy answer.

    Attributes:
        prompt: the prompt as text, with one placeholder for a picture.
        ids: the prompt's tokens.
        image: the picture.
        tokens: of the answer, with the end where it came.
        logprobs: of each.
    """

    prompt: str
    ids: list[int]
    image: str | None
    tokens: list[int]
    logprobs: list[float]


def answers(
    model: Model, one: Intervention | None, asked: Sequence[tuple[str, Path | None]]
) -> list[Answer]:
    """Greedy answers of a model, steered by hooks or not, each prompt by itself."""
    return [_answer(model, one, prompt, image) for prompt, image in asked]


def _answer(model: Model, one: Intervention | None, prompt: str, image: Path | None) -> Answer:
    from contextlib import nullcontext

    from PIL import Image

    pictures = () if image is None else (Image.open(image).convert("RGB"),)
    turn = Turn(prompt, pictures)
    given = encode_turns(model, [turn])
    with nullcontext() if one is None else steer(model, one):
        (said,) = generate(model, given, max_new_tokens=NEW_TOKENS)
    tokens = [*said.token_ids]
    if not said.truncated:
        tokens.append(int(model.tokenizer.eos_token_id))
    whole = encode_turns(model, [turn], response_ids=[tuple(tokens)])
    with torch.no_grad(), nullcontext() if one is None else steer(model, one):
        logits = model.hf(**whole.tensors, use_cache=False).logits[0].float()
    start = logits.shape[0] - len(tokens) - 1
    shares = torch.log_softmax(logits[start : start + len(tokens)], dim=-1)
    logprobs = [float(row[token]) for row, token in zip(shares, tokens, strict=True)]
    ids = given.tensors["input_ids"][0].tolist()
    return Answer(_text(model, turn), ids, None if image is None else str(image), tokens, logprobs)


def _text(model: Model, turn: Turn) -> str:
    parts: list[dict[str, Any]] = [{"type": "image"} for _ in turn.images]
    parts.append({"type": "text", "text": turn.prompt})
    talk = [{"role": "user", "content": parts}]
    return model.processor.apply_chat_template(talk, add_generation_prompt=True, tokenize=False)
