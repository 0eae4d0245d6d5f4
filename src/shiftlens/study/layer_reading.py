"""What the states of a layer say: whether they read out a word, and whether they form groups."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from shiftlens.concepts.learners.kmeans import KMeans
from shiftlens.core.intervals import Interval, bootstrap
from shiftlens.core.shapes import Acts
from shiftlens.models.readout import Readout

_AT_ONCE = 64  # states that are read out together: a vocabulary of 150,000 makes 40 MB of them
_ROWS_EACH = 3  # states of a half for each concept, at least


@dataclass(frozen=True)
class Ranks:
    """Ranks of tokens in what states read out; 1 is the likeliest.

    Attributes:
        own: (n,) of the token that was said.
        other: (n,) of another token that was said to another sample: what a state reaches that
            knows the place in the sentence and nothing of its own sample; not a number where all
            samples were told the same.
    """

    own: Int[np.ndarray, " n"]
    other: Float[np.ndarray, " n"]


def ranks(readout: Readout, acts: Acts, said: Sequence[int], *, seed: int = 0) -> Ranks:
    """Ranks of the tokens that followed some states.

    Args:
        readout: final norm and unembedding of the model.
        acts: (n, d) states, each before a token.
        said: the n tokens.
        seed: of which other sample's token is taken.
    """
    own, other = np.asarray(said), _others(said, seed)
    wanted = torch.from_numpy(np.stack([own, other], axis=1))
    found: list[Tensor] = []
    for start in range(0, len(acts), _AT_ONCE):
        rows = slice(start, start + _AT_ONCE)
        logits = readout.logits(acts[rows])
        scores = logits.gather(1, wanted[rows].to(logits.device))
        above = logits[:, :, None] > scores[:, None, :]
        found.append(above.sum(dim=1).cpu() + 1)
    table = torch.cat(found).numpy()
    return Ranks(table[:, 0], np.where(other == own, np.nan, table[:, 1]))


def _others(said: Sequence[int], seed: int) -> np.ndarray:
    """For each token another one of them, drawn; the token itself where all are the same."""
    rng, tokens = np.random.default_rng(seed), np.asarray(said)
    drawn = [rng.choice(apart) if len(apart := tokens[tokens != one]) else one for one in tokens]
    return np.asarray(drawn, dtype=tokens.dtype)


def beyond_the_token_read(acts: Acts, read: Sequence[int]) -> Float[Tensor, "m d"]:
    """States without what the token that was just read says of them: its mean state is taken off.

    Early blocks hold little else, and would be called full of concepts for telling "is" from "are".

    Args:
        acts: (n, d).
        read: the n tokens that were read at these states.

    Returns:
        (m, d): states that are alone with their token are left out.
    """
    data, tokens = acts.float(), np.asarray(read)
    kept: list[Tensor] = []
    for token in dict.fromkeys(read):
        rows = data[torch.from_numpy(np.flatnonzero(tokens == token))]
        if len(rows) > 1:
            kept.append(rows - rows.mean(dim=0))
    return torch.cat(kept) if kept else data[:0]


def most_concepts(n: int, k: int) -> int:
    """How many concepts n states are enough for, at most k: a half has three states for each."""
    return min(k, n // (2 * _ROWS_EACH))


def explained_elsewhere(acts: Acts, k: int, *, seed: int = 0) -> Interval | None:
    """Share of the states' variance that concepts of the *other half* explain, with its interval.

    Concepts are learned on each half and judged on the other, beside the one mean that the half has
    for all: 0 is what no concepts explain, and concepts of noise explain less than that. The
    interval resamples states; the halves and their concepts are held fixed.

    Args:
        acts: (n, d).
        k: number of concepts, see ``most_concepts``.
        seed: of the halves and of the learner.

    Returns:
        nothing where k is below 2, or all states are one.
    """
    if k < 2:
        return None
    data = acts.float()
    order = np.random.default_rng(seed).permutation(len(data))
    halves = [torch.from_numpy(half) for half in np.array_split(order, 2)]
    rest, whole = (torch.zeros(len(data)) for _ in range(2))
    for mine, theirs in (halves, halves[::-1]):
        fit = data[mine]
        if bool((fit == fit[0]).all()):
            return None
        learned = KMeans(k=k, seed=seed).fit(fit)
        nearest = learned.vectors[learned.assign(data[theirs])]
        rest[theirs] = (data[theirs] - nearest).square().sum(dim=1)
        whole[theirs] = (data[theirs] - fit.mean(dim=0)).square().sum(dim=1)
    if not bool(whole.sum() > 0):
        return None
    return bootstrap(_share, rest.double().numpy(), whole.double().numpy(), seed=seed, draws=1000)


def _share(rest: np.ndarray, whole: np.ndarray) -> float:
    total = float(whole.sum())
    return 1 - float(rest.sum()) / total if total > 0 else float("nan")
