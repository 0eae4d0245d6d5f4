"""Training an adapter on given responses: the loop behind placebos.

Teacher forcing runs through the same inputs as a harvest, so that positions and padding are those
of every other pass over the model.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from shiftlens.core.errors import DataError
from shiftlens.core.progress import Progress
from shiftlens.data.images import open_image
from shiftlens.data.sample import Sample
from shiftlens.models.generation import last_logits
from shiftlens.models.model import Model
from shiftlens.models.prompts import Inputs, Turn, encode_turns

# Batches whose lessons are sorted by length together: padding shrinks, the order stays random.
_SORTED_TOGETHER = 8


@dataclass(frozen=True)
class Schedule:
    """How an adapter is trained: what does not stand in its configuration.

    Attributes:
        steps: of the optimiser (AdamW).
        rate: highest learning rate.
        batch_size: responses in a step; run in smaller pieces by itself when memory runs out.
        warmup: share of the steps in which the rate rises from 0; it then falls as a cosine to 0.
        weight_decay: of AdamW.
        clip: largest norm of the gradient.
        averaging: share of its old value that a running average of the weights keeps at a step;
            the average is the result. 0 gives the last weights themselves.
    """

    steps: int
    rate: float
    batch_size: int = 32
    warmup: float = 1 / 12
    weight_decay: float = 0.0
    clip: float = 1.0
    averaging: float = 0.0

    def __post_init__(self) -> None:
        for name, value, allowed, fine in (
            ("steps", self.steps, "1 or more", self.steps >= 1),
            ("rate", self.rate, "a number above 0", 0 < self.rate < math.inf),
            ("batch_size", self.batch_size, "1 or more", self.batch_size >= 1),
            ("warmup", self.warmup, "a share from 0 to 1", 0 <= self.warmup <= 1),
            ("weight_decay", self.weight_decay, "0 or more", self.weight_decay >= 0),
            ("clip", self.clip, "a number above 0", self.clip > 0),
            ("averaging", self.averaging, "from 0 to below 1", 0 <= self.averaging < 1),
        ):
            if not fine:
                raise DataError(f"cannot train with {name} = {value}", allowed=allowed)

    def rate_at(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        rising = min(1.0, (step + 1) / max(1, round(self.warmup * self.steps)))
        return self.rate * rising * 0.5 * (1 + math.cos(math.pi * step / self.steps))


@dataclass(frozen=True)
class Lesson:
    """One response to learn.

    Attributes:
        sample: what is asked.
        token_ids: what is to be said, with the token that ends it where it has an end.
    """

    sample: Sample
    token_ids: tuple[int, ...]


def train(
    model: Model,
    parameters: Sequence[nn.Parameter],
    lessons: Sequence[Lesson],
    schedule: Schedule,
    *,
    seed: int,
    name: str,
    progress: Progress,
) -> list[float]:
    """Train parameters inside ``model.hf``, in place, to say the lessons.

    The loss is the cross-entropy of the response tokens, prompts and padding left out, averaged
    over the tokens of a batch. Dropout of an adapter draws from torch's global random state.

    Args:
        model: the model that holds the parameters.
        parameters: float32; everything else must be frozen.
        lessons: responses, none of them empty.
        schedule: steps, rate and sizes.
        seed: of the order of the lessons.
        name: of what is trained, for messages.
        progress: who is told; it advances once a step.

    Returns:
        the loss of every step.

    Raises:
        DataError: a loss is not finite, or a picture cannot be read.
    """
    state = _State(model, parameters, schedule)
    batches, losses = _batches(lessons, schedule.batch_size, seed), list[float]()
    for step in range(schedule.steps):
        loss = state.step(next(batches), step)
        if not math.isfinite(loss):
            raise DataError(
                f"the loss of {name} is {loss} at step {step + 1} of {schedule.steps}",
                allowed="a finite loss",
                remedy=f"choose a lower rate than {schedule.rate:g}",
            )
        losses.append(loss)
        progress.advance()
    state.adopt_average()
    return losses


def response_loss(model: Model, lessons: Sequence[Lesson], *, tokens: int | None = None) -> Tensor:
    """Cross-entropy of the lessons' tokens in one teacher-forced pass, in nats.

    Args:
        model: who is taught; gradients reach whatever in it requires them.
        lessons: the batch.
        tokens: what the sum over tokens is divided by; their number by default.
    """
    turns = [Turn(one.sample.prompt, _pictures(one.sample)) for one in lessons]
    said = [one.token_ids for one in lessons]
    inputs = encode_turns(model, turns, response_ids=said)
    logits = _response_logits(model, inputs)
    wanted = torch.full(logits.shape[:2], -1)
    for row, ids in enumerate(said):
        wanted[row, : len(ids)] = torch.tensor(ids)
    wanted = wanted.to(logits.device)
    taught = wanted >= 0
    total = nn.functional.cross_entropy(logits[taught].float(), wanted[taught], reduction="sum")
    return total / (tokens or sum(map(len, said)))


def _pictures(sample: Sample) -> tuple[Any, ...]:
    return tuple(open_image(ref) for ref in sample.images)


def _response_logits(model: Model, inputs: Inputs) -> Tensor:
    """Logits (b, longest response, vocabulary) that emit the response tokens."""
    emitting = max(inputs.response_lengths) + 1  # the last prompt position emits the first token
    options: dict[str, Any] = {"use_cache": False, **last_logits(model, emitting)}
    # Frozen weights may be of half precision; the trained ones are not.
    half = model.dtype in (torch.bfloat16, torch.float16)
    with torch.autocast(model.device.type, model.dtype if half else None, enabled=half):
        output = model.hf(**inputs.tensors, **options)
    return output.logits[:, -emitting:-1]


def _batches(lessons: Sequence[Lesson], size: int, seed: int) -> Iterator[list[Lesson]]:
    """Batches without end, in which lessons come equally often and similar lengths together."""
    rng = np.random.default_rng(seed)
    waiting: list[int] = []
    while True:
        chunk = size * _SORTED_TOGETHER
        while len(waiting) < chunk:
            waiting += rng.permutation(len(lessons)).tolist()
        taken, waiting = sorted(waiting[:chunk], key=lambda i: _length(lessons[i])), waiting[chunk:]
        for start in rng.permutation(_SORTED_TOGETHER) * size:
            yield [lessons[index] for index in taken[start : start + size]]


def _length(lesson: Lesson) -> tuple[int, int]:
    return len(lesson.sample.images), len(lesson.sample.prompt) + 4 * len(lesson.token_ids)


class _State:
    """Optimiser, running average, and how much of a batch fits into memory at once."""

    def __init__(
        self, model: Model, parameters: Sequence[nn.Parameter], schedule: Schedule
    ) -> None:
        self.model, self.schedule, self.parameters = model, schedule, list(parameters)
        self.average = [one.detach().clone() for one in parameters] if schedule.averaging else []
        self.optimizer = torch.optim.AdamW(
            self.parameters, schedule.rate, weight_decay=schedule.weight_decay
        )
        # Gradients of float16 activations vanish unless they are scaled up.
        self.scaler = torch.amp.GradScaler(model.device.type, enabled=model.dtype == torch.float16)
        self.piece = schedule.batch_size

    def step(self, batch: Sequence[Lesson], step: int) -> float:
        """One step; returns the loss before it."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.rate_at(step)
        loss = self._backward(batch)
        self.scaler.unscale_(self.optimizer)
        nn.utils.clip_grad_norm_(self.parameters, self.schedule.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.average:
            # The average follows quickly at first, so that it does not begin with old weights.
            keep = min(self.schedule.averaging, (step + 1) / (step + 10))
            with torch.no_grad():
                for average, parameter in zip(self.average, self.parameters, strict=True):
                    average.lerp_(parameter.detach(), 1 - keep)
        return loss

    def _backward(self, batch: Sequence[Lesson]) -> float:
        """Gradients of a batch, in pieces that fit; a piece that does not is halved for good."""
        tokens = sum(len(lesson.token_ids) for lesson in batch)
        while True:
            self.optimizer.zero_grad()
            try:
                return sum(self._piece(part, tokens) for part in _pieces(batch, self.piece))
            except torch.OutOfMemoryError:
                if self.piece == 1:
                    raise
                self.piece = (min(self.piece, len(batch)) + 1) // 2

    def _piece(self, lessons: Sequence[Lesson], tokens: int) -> float:
        loss = response_loss(self.model, lessons, tokens=tokens)
        self.scaler.scale(loss).backward()
        return float(loss.detach())

    def adopt_average(self) -> None:
        """Make the running average the weights."""
        with torch.no_grad():
            # Without averaging there is none to adopt.
            for parameter, average in zip(self.parameters, self.average, strict=bool(self.average)):
                parameter.copy_(average)


def _pieces(batch: Sequence[Lesson], size: int) -> Iterator[Sequence[Lesson]]:
    for start in range(0, len(batch), size):
        yield batch[start : start + size]
