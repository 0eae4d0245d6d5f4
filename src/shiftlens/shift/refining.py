"""*Refined*: a concept that was kept and now leans towards a topic that the user names.

For every sample, the probability mass that its state gives to the topic's words, under the tuned
model against under the base, on the same text. A concept is refined if it was kept and the mass has
at least doubled: the lower end of the interval of the mean log ratio lies above log 2.
"""

import math
from collections.abc import Collection, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from shiftlens.concepts.grounding.words import state_scores, words_of
from shiftlens.core.errors import GroundingError
from shiftlens.core.intervals import Interval, bootstrap_mean
from shiftlens.core.shapes import Acts
from shiftlens.models.readout import Readout

DOUBLED = math.log(2)

_AT_ONCE = 512


def topic_tokens(readout: Readout, topic: Collection[str]) -> list[int]:
    """Tokens that begin with a topic's words, by number.

    Raises:
        GroundingError: no word of the topic is a token of this vocabulary.
    """
    wanted = {word.lower() for word in topic}
    known = words_of(readout)
    found = [number for number, word in zip(known.ids, known.alone, strict=True) if word in wanted]
    if not found:
        raise GroundingError(
            f"none of the topic's words {', '.join(sorted(wanted))} is a token of this model",
            remedy="name words as the model writes them, one token each",
        )
    return found


def topic_rise(
    base: Acts, tuned: Acts, readouts: tuple[Readout, Readout], topic: Collection[str]
) -> Float[Tensor, " n"]:
    """Log ratio of the topic's probability mass, tuned over base, for each row.

    Args:
        base: (n, d) states of the base model, read by its own head.
        tuned: (n, d) states of the same rows under the tuned model.
        readouts: heads of the base and of the tuned model.
        topic: the words.
    """
    masses: list[Tensor] = []
    for states, readout in zip((base, tuned), readouts, strict=True):
        numbers = torch.tensor(topic_tokens(readout, topic))
        parts = [
            torch.logsumexp(state_scores(readout, part)[:, numbers.to(part.device)], dim=1)
            for part in states.split(_AT_ONCE)
        ]
        masses.append(torch.cat(parts))
    return masses[1] - masses[0]


def rise_of(rises: Tensor, groups: Sequence[str], *, seed: int = 0) -> Interval:
    """Mean rise over pictures, with its interval; rows of one picture are averaged first."""
    by_picture: dict[str, list[float]] = {}
    for rise, group in zip(rises.tolist(), groups, strict=True):
        by_picture.setdefault(group, []).append(rise)
    return bootstrap_mean([float(np.mean(values)) for values in by_picture.values()], seed=seed)
