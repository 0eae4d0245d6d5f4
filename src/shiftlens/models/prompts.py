"""From samples to the model's inputs: chat template, pictures, padding.

Layout of a batch: prompts padded on the left, so that every last prompt position is in the same
column; then, when responses are given, their tokens, padded on the right. Both paddings are masked.
"""

import inspect
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from shiftlens.core.errors import DataError
from shiftlens.data.images import open_image
from shiftlens.data.sample import Sample
from shiftlens.models.model import Model
from shiftlens.models.placeholders import placeholder_texts, placeholder_tokens
from shiftlens.models.processors import chat_template

if TYPE_CHECKING:
    from PIL.Image import Image

# Masks with one row per position, which generation continues by repeating the last row.
_ROWWISE = ("cross_attention_mask", "image_attention_mask")
# A template that was not written for a list of parts prints the list itself.
_PRINTED_LIST = ("'type'", '"type"')


@dataclass(frozen=True)
class Turn:
    """One prompt with its opened pictures, which come before the text."""

    prompt: str
    images: "tuple[Image, ...]" = ()


@dataclass(frozen=True)
class Inputs:
    """A batch, on the model's device.

    Attributes:
        tensors: what ``hf.generate`` or ``hf.forward`` takes: input_ids (b, t), attention_mask
            (b, t), pictures, and position_ids (b, t) for the families that count positions from 0.
        prompt_width: how many columns the prompts take, padding included.
        response_lengths: how many response tokens each row has; empty where none were given.
        sizes: width and height of each row's pictures in pixels, as they were opened.
    """

    tensors: dict[str, Tensor]
    prompt_width: int
    response_lengths: tuple[int, ...] = ()
    sizes: tuple[tuple[tuple[int, int], ...], ...] = ()

    def __len__(self) -> int:
        return int(self.tensors["input_ids"].shape[0])


def encode(
    model: Model,
    samples: Sequence[Sample],
    *,
    response_ids: Sequence[Sequence[int]] | None = None,
) -> Inputs:
    """Turn samples into one batch of inputs.

    Args:
        model: whose processor and chat template are used.
        samples: prompts and paths of pictures.
        response_ids: for each sample the response tokens that it is given, for a teacher-forced
            pass; they may be empty.

    Raises:
        DataError: a picture cannot be read, there are no samples, the chat template cannot hold a
            prompt, or there are not as many responses as samples.
    """
    turns = [Turn(s.prompt, tuple(open_image(ref) for ref in s.images)) for s in samples]
    return encode_turns(model, turns, response_ids=response_ids)


def encode_turns(
    model: Model,
    turns: Sequence[Turn],
    *,
    response_ids: Sequence[Sequence[int]] | None = None,
) -> Inputs:
    """The same as ``encode`` for pictures that are open already."""
    if not turns:
        raise DataError("no samples to encode", allowed="at least one")
    if response_ids is not None and len(response_ids) != len(turns):
        raise DataError(f"{len(response_ids)} responses for {len(turns)} samples")
    _refuse_pictures(model, response_ids or ())
    texts = [render(model, turn.prompt, len(turn.images)) for turn in turns]
    tensors = _process(model, texts, turns)
    width = int(tensors["input_ids"].shape[1])
    if response_ids is not None:
        tensors = _append(tensors, response_ids, int(model.tokenizer.pad_token_id or 0))
    if not counts_positions_itself(model):
        tensors["position_ids"] = _positions(tensors["attention_mask"])
    moved = {
        key: value.to(device=model.device, dtype=model.dtype)
        if value.is_floating_point()
        else value.to(model.device)
        for key, value in tensors.items()
    }
    lengths = tuple(len(ids) for ids in response_ids or ())
    sizes = tuple(tuple(image.size for image in turn.images) for turn in turns)
    return Inputs(moved, width, lengths, sizes)


def _refuse_pictures(model: Model, responses: Sequence[Sequence[int]]) -> None:
    marks = set(placeholder_tokens(model.hf, model.processor))
    for row, tokens in enumerate(responses):
        if not marks.isdisjoint(tokens):
            raise DataError(
                f"response {row} contains the model's placeholder for a picture",
                remedy="take it out of the response: a response is text",
            )


def counts_positions_itself(model: Model) -> bool:
    """Whether the family gives pictures positions of its own (Qwen-VL and its kin).

    Such a model must be left to compute its positions from the inputs, which it does true to both
    paddings.
    """
    inner = getattr(model.hf, "base_model", model.hf)
    return any(hasattr(module, "get_rope_index") for module in (model.hf, inner))


def _positions(mask: Tensor) -> Tensor:
    """Positions that begin at 0 with the first real token, as generation counts them."""
    return (mask.long().cumsum(-1) - 1).masked_fill(mask == 0, 0)


def render(model: Model, prompt: str, n_images: int) -> str:
    """The prompt as the model's chat template writes it, with a place for each picture.

    Args:
        model: whose template.
        prompt: what the user says.
        n_images: how many pictures come before it.

    Raises:
        DataError: the template cannot hold the prompt, or the prompt holds the model's own
            placeholder of a picture.
    """
    marks = placeholder_texts(model.processor)
    if any(mark in prompt for mark in marks):
        raise DataError(
            f"the prompt {prompt!r} contains the model's placeholder for a picture",
            remedy="leave the placeholder out: the chat template puts it where it belongs",
        )
    if chat_template(model.processor) is None:
        return f"{_image_token(model.processor) * n_images}{prompt}"
    for content in _contents(model.processor, prompt, n_images):
        text = _apply(model.processor, content)
        if text is not None and _holds(text, prompt, n_images, marks):
            return text
    raise DataError(
        f"the chat template of {model.name} cannot hold {n_images} picture(s) and a prompt",
        allowed="a template that writes one placeholder for each picture and the prompt as it is",
        remedy="check the number of pictures of the samples, or the model's chat_template.jinja",
    )


def _contents(processor: Any, prompt: str, n_images: int) -> list[Any]:
    """The ways in which templates want a message, the standard one first."""
    parts = [{"type": "image"} for _ in range(n_images)]
    marked = f"{_image_token(processor) * n_images}\n{prompt}" if n_images else prompt
    return [[*parts, {"type": "text", "text": prompt}], prompt, marked]


def _apply(processor: Any, content: Any) -> str | None:
    """Render one message; ``None`` when the template was not written for such content."""
    from jinja2 import TemplateError

    owner = processor if getattr(processor, "chat_template", None) else processor.tokenizer
    try:
        return owner.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
        )
    except (TemplateError, TypeError, KeyError):
        return None


def _holds(text: str, prompt: str, n_images: int, marks: Sequence[str]) -> bool:
    shown = max((text.count(mark) for mark in marks), default=n_images)
    printed = any(mark in text and mark not in prompt for mark in _PRINTED_LIST)
    return prompt.strip() in text and shown == n_images and not printed


def _image_token(processor: Any) -> str:
    return str(getattr(processor, "image_token", None) or "<image>")


def _process(model: Model, texts: list[str], turns: Sequence[Turn]) -> dict[str, Tensor]:
    bos = model.tokenizer.bos_token
    with _padding_left(model.tokenizer):
        batch = model.processor(
            text=texts,
            images=_pictures(turns),
            padding=True,
            # Many templates write the first token themselves; a second one changes every state.
            add_special_tokens=not (bos and texts[0].startswith(bos)),
            return_tensors="pt",
        )
    tensors = {key: value for key, value in batch.items() if isinstance(value, Tensor)}
    if "token_type_ids" not in inspect.signature(model.hf.forward).parameters:
        tensors.pop("token_type_ids", None)  # some tokenizers offer them to every model
    return tensors


def _pictures(turns: Sequence[Turn]) -> Any:
    """Pictures as processors take them: nested by sample, or flat where only some have any."""
    if all(turn.images for turn in turns):
        return [list(turn.images) for turn in turns]
    return [image for turn in turns for image in turn.images] or None


@contextmanager
def _padding_left(tokenizer: Any) -> Generator[None]:
    before = tokenizer.padding_side
    tokenizer.padding_side = "left"
    try:
        yield
    finally:
        tokenizer.padding_side = before


def _append(
    tensors: dict[str, Tensor], responses: Sequence[Sequence[int]], pad: int
) -> dict[str, Tensor]:
    """Add response columns to every tensor that has one column, or row, per position."""
    ids = tensors["input_ids"]
    longest = max(map(len, responses))
    more = torch.full((len(responses), longest), pad, dtype=ids.dtype)
    mask = torch.zeros((len(responses), longest), dtype=tensors["attention_mask"].dtype)
    for row, tokens in enumerate(responses):
        more[row, : len(tokens)] = torch.tensor(list(tokens), dtype=ids.dtype)
        mask[row, : len(tokens)] = 1
    added = {"input_ids": more, "attention_mask": mask}
    longer = dict(tensors)
    for key, value in tensors.items():
        if value.shape[:2] != ids.shape:
            continue
        if key in added:
            extra = added[key]
        elif key in _ROWWISE:
            extra = value[:, -1:].expand(-1, longest, *value.shape[2:])
        else:  # types of tokens: a response is text, which is type 0
            extra = value.new_zeros((len(responses), longest, *value.shape[2:]))
        longer[key] = torch.cat([value, extra], dim=1)
    return longer
