"""A few questions that every model can be asked, to see whether two of them answer alike."""

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from shiftlens.core.errors import DataError, ShiftLensError
from shiftlens.models.generation import forward
from shiftlens.models.hooks import edit
from shiftlens.models.model import Model
from shiftlens.models.processing.placeholders import placeholder_tokens
from shiftlens.models.prompts import Inputs, Turn, encode_turns

_PROMPTS = ("What is in the picture?", "Describe the weather in a few words.", "yes or no")
_PICTURE_PROMPT = "What is in the picture?"
# Tokens of the vocabulary that the probe repeats when an adapter trains embeddings one by one.
_TOKENS = 64
# Runs in which the last digits are moved, and how many times the largest of them is still rounding.
_RUNS, _FACTOR = 3, 16.0


@dataclass(frozen=True)
class Probe:
    """What is asked.

    Attributes:
        turns: prompts with their pictures, in groups that are asked together.
        tokens: what each prompt is followed by, as if it had been answered so.
        pictures: why there is no picture; empty if there is one.
    """

    turns: tuple[tuple[Turn, ...], ...]
    tokens: tuple[int, ...] = ()
    pictures: str = ""

    def __str__(self) -> str:
        n = sum(len(group) for group in self.turns)
        how = f"text only ({self.pictures})" if self.pictures else "one with a picture"
        more = f", followed by {len(self.tokens)} trained tokens" if self.tokens else ""
        return f"{n} prompts, {how}{more}"


def make_probe(model: Model, tokens: tuple[int, ...] = ()) -> Probe:
    """The probe for a model: always the same prompts and the same picture.

    Args:
        model: who must be able to read it; where its processor cannot take the picture, the probe
            is text only and says why.
        tokens: token ids that must occur, because an adapter trains their embeddings alone.
    """
    barred = {*placeholder_tokens(model.hf, model.processor)}
    kept = tuple(token for token in tokens if token not in barred)[:_TOKENS]
    text = tuple(Turn(prompt) for prompt in _PROMPTS)
    seen = (Turn(_PICTURE_PROMPT, (_picture(),)),)
    try:
        forward(model, _inputs(model, seen, ()))
    except (ShiftLensError, ValueError, TypeError, RuntimeError, KeyError, IndexError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        return Probe((text,), kept, lines[0])
    return Probe((text, seen), kept)


def _picture() -> Any:
    """Two crossed ramps and a disc: a picture with colours, edges and no randomness."""
    from PIL import Image

    side = 128
    ramp = torch.linspace(0, 255, side)
    across, down = ramp.expand(side, side), ramp[:, None].expand(side, side)
    disc = 255.0 * ((across - 128) ** 2 + (down - 128) ** 2 < 60**2)
    pixels = torch.stack([across, down, disc], dim=-1).to(torch.uint8)
    return Image.fromarray(pixels.numpy())


def _inputs(model: Model, turns: tuple[Turn, ...], tokens: tuple[int, ...]) -> Inputs:
    return encode_turns(model, turns, response_ids=[tokens] * len(turns) if tokens else None)


@torch.no_grad()
def probe_logits(model: Model, probe: Probe) -> Tensor:
    """What a model would say next after each prompt of a probe: (prompts, vocabulary), float32.

    Raises:
        DataError: the logits are not numbers.
    """
    found = [
        forward(model, _inputs(model, turns, probe.tokens)).logits[:, -1].float().cpu()
        for turns in probe.turns
    ]
    logits = torch.cat(found)
    if logits.isnan().any():
        raise DataError(
            f"{model} answers with logits that are not numbers",
            allowed="finite logits (minus infinity where a family bars a token)",
            remedy="load it in a wider type (dtype='float32' or 'bfloat16'), or check its weights",
        )
    return logits


def difference(ours: Tensor, theirs: Tensor) -> Tensor:
    """Absolute differences of logits; a token that both bar does not differ."""
    return torch.where(ours == theirs, 0.0, (ours - theirs).abs())


def rounding_bound(model: Model, probe: Probe, said: Tensor, eps: float, *, seed: int = 0) -> float:
    """The largest mean difference of logits that is put down to rounding.

    How much a rounding moves the logits differs by orders of magnitude between models, so it is
    measured on this one: the residual stream after every block is moved by random parts of its own
    last digit (up to ``eps`` of each entry, either sign), and the largest mean difference of three
    such runs is taken ten times, because a block rounds more often than once. On the shipped world
    and on random models of three families, casting to half precision and merging an adapter gave
    0.0004 to 7.4 times the measured difference; the world's adapters give 93 times and more, even
    in bfloat16.

    Args:
        model: one of the two, entered with its adapter state.
        probe: what is asked.
        said: what the model answers when nothing is moved, (prompts, vocabulary).
        eps: relative distance of neighbouring numbers in the coarsest type involved.
        seed: of the signs and sizes.
    """
    random = torch.Generator().manual_seed(seed)

    def jitter(state: Tensor) -> Tensor:
        moved = 1 + eps * (2 * torch.rand(state.shape, generator=random) - 1)
        return (state.float() * moved.to(state.device)).to(state.dtype)

    means = list[float]()
    for _ in range(_RUNS):
        with ExitStack() as edits:
            for layer in range(model.address.n_layers):
                edits.enter_context(edit(model, layer, jitter))
            means.append(float(difference(said, probe_logits(model, probe)).mean()))
    return _FACTOR * max(means)
