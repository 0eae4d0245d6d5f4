"""Greedy and sampled generation, and the teacher-forced pass that sees the same states."""

import inspect
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from shiftlens.core.errors import DataError, MismatchError
from shiftlens.models.decoding import check_options
from shiftlens.models.model import Model, Response
from shiftlens.models.processing.placeholders import placeholder_tokens
from shiftlens.models.processing.reasoning import ReasoningMarks
from shiftlens.models.prompts import Inputs
from shiftlens.models.stopping import Enough, RowStops


@dataclass(frozen=True)
class Sampled(Response):
    """A response that was drawn, with the token that ended it.

    Attributes:
        end: the end-of-sequence token that was drawn; ``None`` where the limit came first. Families
            with several ends do not use them alike.
    """

    end: int | None = None


@torch.no_grad()
def generate(
    model: Model,
    inputs: Inputs,
    *,
    max_new_tokens: int,
    use_cache: bool = True,
    options: Mapping[str, Any] | None = None,
    enough: Enough | None = None,
) -> list[Response]:
    """Answer a batch greedily: the most likely token at every step, nothing penalised.

    Placeholders of pictures are never said, nor is what the model's own settings suppress.

    Args:
        model: who answers; its adapter state is entered.
        inputs: prompts without responses.
        max_new_tokens: where to stop when the model does not; rows with a limit of their own
            (``Sample.max_new_tokens``) stop there.
        use_cache: keep keys and values between steps; without it every step repeats the prompt.
        options: settings of transformers' ``GenerationConfig`` that are meant, by name, such as
            ``repetition_penalty``; see ``shiftlens.models.decoding.ALLOWED``.
        enough: asked after every step with what a row has said; a row of which it is true stops,
            and is truncated.

    Raises:
        DataError: ``inputs`` hold responses, ``max_new_tokens`` is not positive, or an option
            cannot be set.
        MismatchError: the pictures do not fit their places in the prompt.
    """
    _check(inputs, max_new_tokens)
    limits = [one or max_new_tokens for one in inputs.limits or [None] * len(inputs)]
    settings = _greedy(model, max(limits), use_cache)
    for name, value in check_options(options).items():
        setattr(settings, name, _with_ours(settings, name, value))
    own = enough is not None or len(set(limits)) > 1
    stops = RowStops(limits, enough) if own else None
    rows = _new_tokens(model, inputs, settings, stops=stops)
    ends, lengths = _ends(settings), stops.lengths if stops else [None] * len(rows)
    said = [_response(model, row[:length], ends) for row, length in zip(rows, lengths, strict=True)]
    return with_reasoning(model, inputs, said)


def telling(model: Model, heard: Callable[[str], object]) -> Enough:
    """Never enough: it tells what a row has said so far, as text, after every step."""

    def enough(tokens: Sequence[int]) -> bool:
        heard(decode(model, tokens))
        return False

    return enough


def with_reasoning(model: Model, inputs: Inputs, said: Sequence[Response]) -> list[Response]:
    """Responses with their reasoning told apart from their answers.

    Args:
        model: whose marks.
        inputs: the prompts, which may open the reasoning themselves.
        said: one response a row.
    """
    marks = ReasoningMarks.of(model.tokenizer)
    if not marks.opening:
        return list(said)
    prompts = inputs.tensors["input_ids"][:, : inputs.prompt_width].tolist()
    return [
        replace(one, reasoning=marks.length(prompt, one.token_ids))
        for one, prompt in zip(said, prompts, strict=True)
    ]


def _with_ours(settings: Any, name: str, value: Any) -> Any:
    """A user's setting; what must not be said, because it could not be read back, stays so."""
    if name != "suppress_tokens":
        return value
    return sorted({*(value or ()), *(settings.suppress_tokens or ())})


@torch.no_grad()
def sample(
    model: Model,
    inputs: Inputs,
    *,
    seeds: Sequence[int],
    max_new_tokens: int,
    temperature: float = 1.0,
) -> list[Sampled]:
    """Draw one response a row from the model's own distribution: no top-k, no top-p.

    Each row draws by a stream of its own, so that what it says depends on its seed and not on the
    rows beside it; the random state of torch is neither used nor changed. Placeholders of pictures
    are never said, as in ``generate``.

    Args:
        model: who answers; its adapter state is entered.
        inputs: prompts without responses.
        seeds: for each row, of its stream; not negative.
        max_new_tokens: where to stop when the model does not.
        temperature: what logits are divided by; 1 is the model itself.

    Raises:
        DataError: ``inputs`` hold responses, there are not as many seeds as rows, or
            ``max_new_tokens`` or ``temperature`` is not positive.
    """
    _check(inputs, max_new_tokens)
    if len(seeds) != len(inputs):
        raise DataError(f"{len(seeds)} seeds for {len(inputs)} rows")
    if not 0 < temperature < float("inf"):
        raise DataError(f"a temperature of {temperature}", allowed="above 0; 1 is the model itself")
    settings = _greedy(model, max_new_tokens, use_cache=True)
    drawn = [np.random.default_rng(seed).random(max_new_tokens) for seed in seeds]
    numbers = torch.from_numpy(np.stack(drawn))
    rows = _new_tokens(model, inputs, settings, _Drawing(numbers, temperature))
    ends = _ends(settings)
    return [_sampled(_response(model, row, ends), row) for row in rows]


class _Drawing:
    """Leaves one token a row: where the row's next number falls in its cumulated probabilities.

    Greedy decoding of what is left is a draw from the model (inversion of the distribution).
    """

    def __init__(self, numbers: Tensor, temperature: float) -> None:
        self._numbers = numbers
        self._temperature = temperature
        self._step = 0

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:  # noqa: ARG002
        # Cumulated in double where the device knows it: a vocabulary has many small shares.
        wide = torch.float32 if scores.device.type == "mps" else torch.float64
        shares = torch.softmax(scores.to(wide) / self._temperature, dim=-1)
        below = shares.cumsum(dim=-1)
        number = self._numbers[:, self._step, None].to(below) * below[:, -1:]
        chosen = (below <= number).sum(dim=-1, keepdim=True)
        # Rounding may end the sum at the number itself: then the last possible token is meant.
        last = (shares > 0).long().cumsum(dim=-1).argmax(dim=-1, keepdim=True)
        self._step += 1
        only = torch.full_like(scores, -float("inf"))
        return only.scatter_(1, torch.minimum(chosen, last), 0.0)


def _check(inputs: Inputs, max_new_tokens: int) -> None:
    if inputs.response_lengths:
        raise DataError(
            "these inputs hold responses already", remedy="encode the samples without response_ids"
        )
    if max_new_tokens < 1:
        raise DataError(f"cannot generate {max_new_tokens} tokens", allowed="at least 1")


def _new_tokens(
    model: Model,
    inputs: Inputs,
    settings: Any,
    processor: Any = None,
    stops: RowStops | None = None,
) -> list[list[int]]:
    """Rows of new tokens, ends and padding behind them included."""
    more: dict[str, Any] = dict(last_logits(model))
    more |= {} if processor is None else {"logits_processor": [processor]}
    more |= {} if stops is None else {"stopping_criteria": [stops]}
    with model.active(), model.tenancy.announcing(inputs), _fitting(model):
        output: Tensor = model.hf.generate(**inputs.tensors, generation_config=settings, **more)
    # Families that generate from embeddings return the new tokens alone.
    prompt = inputs.tensors["input_ids"]
    repeats = torch.equal(output[:, : prompt.shape[1]], prompt)
    return (output[:, prompt.shape[1] :] if repeats else output).tolist()


def last_logits(model: Model, n: int = 1) -> dict[str, Tensor]:
    """The option by which a forward pass unembeds the last positions alone; none where it cannot.

    A number in the tensor's place would let families whose upper blocks reuse the keys and values
    of lower ones (Gemma 4) leave the other positions out of these blocks: hooks would not see them.
    """
    if "logits_to_keep" not in inspect.signature(model.hf.forward).parameters:
        return {}
    return {"logits_to_keep": torch.arange(-n, 0, device=model.device)}


@torch.no_grad()
def forward(model: Model, inputs: Inputs) -> Any:
    """One teacher-forced pass, for what hooks see: no cache, logits of the last position only.

    Args:
        model: who reads; its adapter state is entered.
        inputs: prompts, with or without responses.

    Returns:
        the output of transformers.
    """
    options: dict[str, Any] = {"use_cache": False, **last_logits(model)}
    with model.active(), model.tenancy.announcing(inputs), _fitting(model):
        return model.hf(**inputs.tensors, **options)


@contextmanager
def _fitting(model: Model) -> Generator[None]:
    """Say in our words that a prompt has more, or fewer, picture tokens than pictures have parts.

    Raises:
        MismatchError: the processor is not the model's own.
    """
    try:
        yield
    except ValueError as error:
        text = str(error).strip()
        if not all(word in text.lower() for word in ("image", "token", "feature")):
            raise
        raise MismatchError(
            f"the pictures do not fit their places in the prompt of {model.name} ({text})",
            allowed="the processor that the model was trained with",
            remedy="copy the original model's processor files into its directory",
        ) from error


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


def _sampled(said: Response, row: list[int]) -> Sampled:
    end = None if said.truncated else row[len(said.token_ids)]
    return Sampled(said.text, said.token_ids, said.truncated, said.reasoning, end)


def decode(model: Model, token_ids: Sequence[int]) -> str:
    """Response tokens as text, without special tokens and without tidying of spaces."""
    return model.tokenizer.decode(
        list(token_ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
    )
