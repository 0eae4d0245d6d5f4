"""How long the words of concepts take with a large vocabulary.

``python -m benchmarks.concepts.words`` runs this part alone. Every round has a tokenizer and a
readout that nobody has used before, so that what is made once and remembered is paid for.
"""

from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.concepts.big_vocabulary import build_tokenizer
from benchmarks.concepts.contests import cores, on_threads, timing, usual
from benchmarks.figures import Figure, main
from shiftlens.concepts.concepts import WordLists
from shiftlens.concepts.grounding.words import (
    contrast,
    direction_scores,
    random_words,
    state_scores,
    top_words,
)
from shiftlens.models.readout import Readout

V, D, K, ROUNDS = 150_000, 3584, 20, 11
SECONDS = 1.0


def measure(v: int = V, d: int = D, k: int = K, rounds: int = ROUNDS) -> list[Figure]:
    """Seconds of the words of k concepts, from the first token to the last list."""
    random = torch.Generator().manual_seed(0)
    norm, head = _norm(d), _head(v, d, random)
    vectors = torch.randn(k, d, generator=random)
    mean = torch.randn(d, generator=random)
    first: list[float] = []
    again: list[float] = []
    directions: list[float] = []
    baseline: list[float] = []
    with on_threads(cores()):
        # What is imported or prepared once is nobody's cost.
        words_of_states(Readout(norm, head, build_tokenizer(v, rounds), nullcontext), vectors)
        for number in range(rounds):
            readout = Readout(norm, head, build_tokenizer(v, number), nullcontext)
            first.append(timing(lambda r=readout: words_of_states(r, vectors)).wall)
            again.append(timing(lambda r=readout: words_of_states(r, vectors)).wall)
            directions.append(timing(lambda r=readout: words_of_directions(r, vectors, mean)).wall)
            baseline.append(timing(lambda r=readout: random_words(r, k, 15, mean=mean)).wall)
    what = f"{k} concepts, {v:,} tokens, d = {d:,}, bfloat16 head, {cores()} cores, wall time"
    return [
        usual(f"words of {k} concepts", np.asarray(first), "s", f"<= {SECONDS:g}",
                 f"plain and contrastive, with a tokenizer never seen before; {what}"),
        usual(f"words of {k} concepts, again", np.asarray(again), "s", "",
              f"same tokenizer; {what}"),
        usual(f"words of {k} directions, again", np.asarray(directions), "s", "",
                 f"same tokenizer; {what}"),
        usual(f"words of {k} random directions, again", np.asarray(baseline), "s", "",
                 f"same tokenizer; {what}"),
    ]  # fmt: skip


def words_of_states(readout: Readout, states: Tensor) -> tuple[WordLists, WordLists]:
    """Plain and contrastive words."""
    return _listed(readout, state_scores(readout, states))


def words_of_directions(
    readout: Readout, directions: Tensor, mean: Tensor
) -> tuple[WordLists, WordLists]:
    """The same around a mean state."""
    return _listed(readout, direction_scores(readout, directions, mean))


def _listed(readout: Readout, scores: Tensor) -> tuple[WordLists, WordLists]:
    return top_words(readout, scores), top_words(readout, contrast(scores))


def _norm(d: int) -> nn.Module:
    return nn.RMSNorm(d, dtype=torch.bfloat16)


def _head(v: int, d: int, random: torch.Generator) -> nn.Module:
    head: Any = nn.Linear(d, v, bias=False, dtype=torch.bfloat16, device="meta").to_empty(
        device="cpu"
    )
    with torch.no_grad():
        for part in head.weight.split(4096):
            part.copy_(torch.randn(len(part), d, generator=random) / d**0.5)
    return head


if __name__ == "__main__":
    main(measure, __doc__ or "")
