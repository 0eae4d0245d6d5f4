"""Dictionaries that nobody learned, in the place of learned ones and used in the same way.

They keep the learned concepts' encoder: what differs is the vectors alone.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from shiftlens.concepts.encoders import Projection
from shiftlens.concepts.learners.learner import Learned
from shiftlens.concepts.quality.coding import Dictionary
from shiftlens.concepts.rows import Rows
from shiftlens.core.errors import LearnError
from shiftlens.core.shapes import Vectors

N_DRAWS = 5
"""Random dictionaries that a baseline is the mean of: a single one is a matter of luck."""


def random_samples(concepts: Dictionary, rows: Rows, *, seed: int = 0) -> Learned:
    """K random rows in the place of the vectors; for directions, of the vectors' lengths.

    Args:
        concepts: whose k, kind and encoder are kept.
        rows: to choose from; where the concepts were learned, or held-out ones.
        seed: of the choice.

    Raises:
        LearnError: fewer rows than concepts.
    """
    k = len(concepts.vectors)
    if len(rows) < k:
        raise LearnError(f"{k} random samples out of {len(rows)} rows", allowed="k rows or more")
    chosen = np.random.default_rng(seed).choice(len(rows), k, replace=False)
    states = rows.take(np.sort(chosen)).float().cpu()
    if concepts.kind == "centroid":
        return _bare(concepts, states)
    encoder = concepts.encoder
    if isinstance(encoder, Projection) and encoder.mean is not None:
        states = states - encoder.mean.cpu()
    if encoder.space.name != "raw":
        # As they stand, all of them would point where the mean state lies, and match by that alone.
        states = encoder.space.directions_out_of(encoder.space.into(states))
    return _bare(concepts, _fitted(concepts, states))


def random_directions(concepts: Dictionary, *, seed: int = 0) -> Learned:
    """K random directions in the place of the vectors, of the vectors' lengths.

    Raises:
        LearnError: the concepts are centroids.
    """
    if concepts.kind == "centroid":
        raise LearnError(
            "random directions in the place of centroids", allowed="random samples of the states"
        )
    noise = torch.randn(concepts.vectors.shape, generator=torch.Generator().manual_seed(seed))
    return _bare(concepts, _fitted(concepts, noise))


def baselines_of(
    concepts: Dictionary, rows: Rows, *, seed: int = 0, n_draws: int = N_DRAWS
) -> dict[str, list[Learned]]:
    """The baselines that these concepts have, each drawn several times.

    Centroids are compared with random samples, directions with random samples and random
    directions. An encoder that does not read the vectors (a sparse autoencoder has its own weights)
    has none: nothing can be put in their place. Fewer rows than concepts give no random samples.
    """
    seeds = range(seed, seed + n_draws)
    if not _reads_vectors(concepts, rows):
        return {}
    found: dict[str, list[Learned]] = {}
    if len(rows) >= len(concepts.vectors):
        found["random samples"] = [random_samples(concepts, rows, seed=one) for one in seeds]
    if concepts.kind == "direction":
        found["random directions"] = [random_directions(concepts, seed=one) for one in seeds]
    return found


def _bare(concepts: Dictionary, vectors: Vectors) -> Learned:
    return Learned(vectors, concepts.kind, (0,) * len(vectors), {}, concepts.encoder)


def _fitted(concepts: Dictionary, directions: Tensor) -> Tensor:
    """Of the learned lengths; at right angles where codes are plain projections.

    Projections on directions that are not at right angles do not reconstruct: random ones would
    look far worse than the space that they span.
    """
    k, d = concepts.vectors.shape
    if isinstance(concepts.encoder, Projection) and k <= d:
        directions = torch.linalg.qr(directions.T).Q.T
    lengths = concepts.vectors.float().norm(dim=1, keepdim=True).cpu()
    return normalize(directions, dim=1) * lengths


def _reads_vectors(concepts: Dictionary, rows: Rows) -> bool:
    few = rows.take(np.arange(min(8, len(rows)))).float().cpu()
    vectors = concepts.vectors
    # Each concept turned round and put in another's place: no code could stay what it was.
    other = -vectors.flip(1).roll(1, dims=0)
    codes = [concepts.encoder.encode(few, one) for one in (vectors, other)]
    return not torch.equal(codes[0], codes[1])
