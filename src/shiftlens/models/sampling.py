"""What a model would say by chance: responses drawn for many samples, the same in any batches."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from shiftlens.core.errors import DataError
from shiftlens.core.manifest import digest
from shiftlens.core.progress import Progress, Silent
from shiftlens.data.sample import Sample
from shiftlens.models.generation import Sampled, sample
from shiftlens.models.model import Model
from shiftlens.models.prompts import Turn, encode_turns


@dataclass(frozen=True)
class Drawn:
    """Responses that a model gave by chance.

    Attributes:
        samples: what was asked, one entry a response.
        responses: what was said.
        unreadable: for samples that could not be asked: their id, and why.
    """

    samples: tuple[Sample, ...]
    responses: tuple[Sampled, ...]
    unreadable: dict[str, str]


def draw_responses(
    model: Model,
    samples: Sequence[Sample],
    *,
    n: int = 1,
    seed: int = 0,
    temperature: float = 1.0,
    max_new_tokens: int = 64,
    batch_size: int = 32,
    progress: Progress | None = None,
) -> Drawn:
    """Draw ``n`` responses to each sample from the model's own distribution.

    A response depends on the model, the sample and its id, ``seed`` and its number, not on the
    other samples. Placeholders of pictures are never said.

    Args:
        model: who answers.
        samples: what is asked.
        n: responses to each.
        seed: other seeds draw other responses.
        temperature: 1 is the model itself.
        max_new_tokens: where a response is cut off.
        batch_size: responses at once; halved by itself when memory runs out.
        progress: who is told; it advances once a response.

    Raises:
        DataError: no samples, a number that is not positive, or a prompt that the chat template
            cannot hold.
    """
    if not samples or n < 1 or batch_size < 1:
        raise DataError(
            f"cannot draw {n} responses to each of {len(samples)} samples, {batch_size} at once",
            allowed="1 or more of each",
        )
    listener, unreadable = progress or Silent(), dict[str, str]()
    asked, said = list[Sample](), list[Sampled]()
    rows = [(one, number) for one in samples for number in range(n)]
    listener.start(f"{model.label}: drawing responses", len(rows))
    try:
        for start in range(0, len(rows), batch_size):
            batch = rows[start : start + batch_size]
            turns = _turns(batch, unreadable)
            readable = [(one, number) for one, number in batch if one.id in turns]
            asked += [one for one, _ in readable]
            said += _draw(
                model,
                [turns[one.id] for one, _ in readable],
                [_stream(seed, one.id, number) for one, number in readable],
                max_new_tokens,
                temperature,
            )
            listener.advance(len(batch))
    finally:
        listener.stop()
    return Drawn(tuple(asked), tuple(said), unreadable)


def _turns(batch: Sequence[tuple[Sample, int]], unreadable: dict[str, str]) -> dict[str, Turn]:
    """Open each sample's pictures once; those that cannot be opened are noted with the reason."""
    turns: dict[str, Turn] = {}
    for one, _ in batch:
        if one.id not in turns and one.id not in unreadable:
            try:
                turns[one.id] = Turn.of(one)
            except DataError as error:
                unreadable[one.id] = error.given
    return turns


def _stream(seed: int, name: str, number: int) -> int:
    """The seed of one response: a number of its own for each."""
    return int(digest([seed, name, number])[:16], 16)


def _draw(
    model: Model,
    turns: Sequence[Turn],
    seeds: Sequence[int],
    max_new_tokens: int,
    temperature: float,
) -> list[Sampled]:
    """One batch; when memory runs out, its halves, down to single rows."""
    if not turns:
        return []
    try:
        return sample(
            model,
            encode_turns(model, turns),
            seeds=seeds,
            max_new_tokens=max_new_tokens,
            temperature=temperature,
        )
    except torch.OutOfMemoryError:
        if len(turns) == 1:
            raise
    middle = len(turns) // 2
    return [
        *_draw(model, turns[:middle], seeds[:middle], max_new_tokens, temperature),
        *_draw(model, turns[middle:], seeds[middle:], max_new_tokens, temperature),
    ]
