"""From samples to the model's inputs: chat template, pictures, padding.

Layout of a batch: prompts padded on the left, so that every last prompt position is in the same
column; then, when responses are given, their tokens, padded on the right. Both paddings are masked.
"""

import inspect
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from torch import Tensor

from shiftlens.core.errors import DataError
from shiftlens.data.images import open_image
from shiftlens.data.sample import Sample
from shiftlens.models.model import Model
from shiftlens.models.processing.continuing import continued
from shiftlens.models.processing.placeholders import placeholder_tokens
from shiftlens.models.processing.readable import require_equal_sizes, require_readable
from shiftlens.models.processing.rows_alike import require_rows_alike
from shiftlens.models.processing.templates import places_pictures, render
from shiftlens.models.processing.vocabulary import require_embedded

if TYPE_CHECKING:
    from PIL.Image import Image

# What processors raise for a picture or text that they were not made for.
_UNPREPARED = (ValueError, TypeError, RuntimeError, LookupError, ArithmeticError, AttributeError)


@dataclass(frozen=True)
class Turn:
    """One prompt with its opened pictures, which come before the text.

    Attributes:
        prompt: what the user says.
        images: open pictures, in RGB.
        system: what the model is told beforehand, in the template's place for it.
        name: of the sample, for messages.
        limit: where its response is cut off, if not where the others are.
    """

    prompt: str
    images: "tuple[Image, ...]" = ()
    system: str | None = None
    name: str = ""
    limit: int | None = None

    @staticmethod
    def of(sample: Sample, images: "Sequence[Image] | None" = None) -> "Turn":
        """A sample with its pictures opened.

        Args:
            sample: the sample.
            images: its pictures, where they are open already.

        Raises:
            DataError: a picture cannot be read, or the sample holds neither text nor picture.
        """
        if not sample.prompt.strip() and not sample.images:
            raise DataError(
                f"sample {sample.id!r} has neither a prompt nor a picture",
                allowed="a prompt, a picture, or both",
            )
        if images is None:
            images = [open_image(ref) for ref in sample.images]
        return Turn(sample.prompt, tuple(images), sample.system, sample.id, sample.max_new_tokens)


@dataclass(frozen=True)
class Inputs:
    """A batch, on the model's device.

    Attributes:
        tensors: what ``hf.generate`` or ``hf.forward`` takes: input_ids (b, t), attention_mask
            (b, t), pictures, and position_ids (b, t) for the families that count positions from 0.
        prompt_width: how many columns the prompts take, padding included.
        response_lengths: how many response tokens each row has; empty where none were given.
        sizes: width and height of each row's pictures in pixels, as they were opened.
        asked: each row's system prompt (empty where there is none) and prompt, as given.
        limits: how many tokens each row may answer with, where that is its own matter.
    """

    tensors: dict[str, Tensor]
    prompt_width: int
    response_lengths: tuple[int, ...] = ()
    sizes: tuple[tuple[tuple[int, int], ...], ...] = ()
    asked: tuple[tuple[str, str], ...] = ()
    limits: tuple[int | None, ...] = ()

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
    return encode_turns(model, [Turn.of(one) for one in samples], response_ids=response_ids)


def encode_turns(
    model: Model,
    turns: Sequence[Turn],
    *,
    response_ids: Sequence[Sequence[int]] | None = None,
) -> Inputs:
    """The same as ``encode`` for pictures that are open already."""
    if not turns:
        raise DataError("no samples to encode", allowed="at least one")
    if response_ids is not None:
        _check_responses(model, len(turns), response_ids)
    tensors = process(model, turns)
    seeing = [turn for turn in turns if turn.images]
    require_rows_alike(model, len(seeing), lambda: process(model, [seeing[0]] * 2))
    width = int(tensors["input_ids"].shape[1])
    if not counts_positions_itself(model):
        tensors["position_ids"] = _positions(tensors["attention_mask"])
    moved = {
        key: value.to(device=model.device, dtype=model.dtype)
        if value.is_floating_point()
        else value.to(model.device)
        for key, value in tensors.items()
    }
    sizes = tuple(tuple(image.size for image in turn.images) for turn in turns)
    asked = tuple((turn.system or "", turn.prompt) for turn in turns)
    limits = tuple(turn.limit for turn in turns)
    inputs = Inputs(moved, width, (), sizes, asked, limits)
    return inputs if response_ids is None else with_responses(model, inputs, response_ids)


def with_responses(model: Model, inputs: Inputs, response_ids: Sequence[Sequence[int]]) -> Inputs:
    """Encoded prompts, followed by responses; nothing of text or pictures is processed again.

    Args:
        model: who will read them.
        inputs: prompts without responses; they stay as they are, and share their pictures.
        response_ids: for each row the tokens of its response; they may be empty.

    Raises:
        DataError: the inputs hold responses already, there are not as many responses as rows, or
            one of them holds a picture's placeholder.
    """
    if inputs.response_lengths:
        raise DataError(
            "these inputs hold responses already", remedy="encode the samples without response_ids"
        )
    _check_responses(model, len(inputs), response_ids)
    tensors = {key: value for key, value in inputs.tensors.items() if key != "position_ids"}
    tensors = continued(model, tensors, response_ids)
    if "position_ids" in inputs.tensors:
        tensors["position_ids"] = _positions(tensors["attention_mask"])
    lengths = tuple(len(ids) for ids in response_ids)
    return replace(inputs, tensors=tensors, response_lengths=lengths)


def _check_responses(model: Model, n: int, response_ids: Sequence[Sequence[int]]) -> None:
    if len(response_ids) != n:
        raise DataError(f"{len(response_ids)} responses for {n} samples")
    _refuse_pictures(model, response_ids)
    require_embedded(model, {token for tokens in response_ids for token in tokens})


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


def process(model: Model, turns: Sequence[Turn]) -> dict[str, Tensor]:
    """What the processor makes of turns, as it leaves it: on the CPU, pictures in float32.

    Raises:
        DataError: the template cannot hold a prompt, the processor cannot prepare a picture, or
            the model has no embedding for a token.
    """
    require_readable(model, turns)
    texts = [render(model, turn.prompt, len(turn.images), turn.system) for turn in turns]
    if len({bool(turn.images) for turn in turns}) == 2 and places_pictures(model.processor):
        raise DataError(
            f"{model.name} reads a text in one batch with pictures otherwise than by itself",
            allowed="batches in which every sample has a picture, or none has",
            remedy="ask samples without pictures in batches of their own (batch size 1 will do)",
        )
    tensors = _process(model, texts, turns)
    require_equal_sizes(model, tensors, len(turns))
    require_embedded(model, tensors["input_ids"].unique().tolist())
    return tensors


def _process(model: Model, texts: list[str], turns: Sequence[Turn]) -> dict[str, Tensor]:
    batch: Any | None = None
    refused: Exception | None = None
    for images in _pictures(turns):
        try:
            batch = _processed(model, texts, images)
            break
        except _UNPREPARED as error:
            refused = refused or error  # what the clearest way was refused for says most
    if batch is None:
        raise _unprepared(model, turns, refused or ValueError("no way was tried")) from refused
    tensors = {key: value for key, value in batch.items() if isinstance(value, Tensor)}
    tensors.pop("labels", None)  # what to learn, which some processors add and models then act on
    if "token_type_ids" not in inspect.signature(model.hf.forward).parameters:
        tensors.pop("token_type_ids", None)  # some tokenizers offer them to every model
    return tensors


def _processed(model: Model, texts: list[str], images: Any) -> Any:
    bos = model.tokenizer.bos_token
    with _padding_left(model.tokenizer):
        return model.processor(
            text=texts,
            images=images,
            padding=True,
            # Many templates write the first token themselves; a second changes every state.
            add_special_tokens=not (bos and texts[0].startswith(bos)),
            return_tensors="pt",
        )


def _unprepared(model: Model, turns: Sequence[Turn], error: Exception) -> DataError:
    """One error for whatever a processor raised, naming the sample where there is only one."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    whose = f"sample {turns[0].name!r}" if len(turns) == 1 and turns[0].name else "these samples"
    sizes = ", ".join(f"{w}x{h}" for turn in turns[:4] for w, h in (i.size for i in turn.images))
    return DataError(
        f"the processor of {model.name} cannot prepare {whose} ({lines[0]})",
        allowed=f"pictures and prompts that it was made for; pictures here: {sizes or 'none'}",
        remedy="leave the sample out, or check that the processor is the model's own",
    )


def _pictures(turns: Sequence[Turn]) -> list[Any]:
    """Pictures in the ways that processors take them, the clearest first.

    Nested by sample nothing can be mistaken; but where only some samples have any, or all have one,
    there are processors that want a flat list.
    """
    nested = [list(turn.images) for turn in turns]
    flat = [image for images in nested for image in images]
    if not flat:
        return [None]
    single = all(len(images) == 1 for images in nested)
    return [nested, flat] if single or not all(nested) else [nested]


@contextmanager
def _padding_left(tokenizer: Any) -> Generator[None]:
    before = tokenizer.padding_side
    tokenizer.padding_side = "left"
    try:
        yield
    finally:
        tokenizer.padding_side = before
