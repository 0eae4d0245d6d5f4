"""Concepts of a base, followed through states of the same probe under a changing model."""

import math
from dataclasses import dataclass
from typing import Any

import torch

from shiftlens.activations.site import Site
from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.grounding.words import contrast, state_scores, top_words
from shiftlens.concepts.learners.learner import ConceptLearner
from shiftlens.core.errors import GroundingError
from shiftlens.core.shapes import Acts, Assignment
from shiftlens.models.model import Model
from shiftlens.shift.effects import Cells, Everywhere, effects, group_numbers, spread
from shiftlens.shift.probing import Probe


@dataclass(frozen=True)
class Followed:
    """What the concepts of a base were before anything changed.

    Attributes:
        probe: what every model is given.
        states: of the base, (n, d).
        labels: (n,) concept of each; -1 for none.
        names: of the concepts: a number, and a word where words mean something.
        sizes: rows of each concept in the probe.
    """

    probe: Probe
    states: Acts
    labels: Assignment
    names: tuple[str, ...]
    sizes: tuple[int, ...]

    def drift(self, states: Acts) -> dict[str, Any]:
        """How far the states of a later model are from the base's, in spreads.

        Args:
            states: (n, d), the rows of the probe.

        Returns:
            ``global`` and, by name, ``concepts``; ``None`` where fewer than two pictures tell.
        """
        k, delta = len(self.names), states - self.states
        groups, _ = group_numbers(self.probe.groups)
        # Rows that no direction is active on move with everything, and belong to no concept.
        inside = self.labels >= 0
        own = (self.states[inside], delta[inside], self.labels[inside], groups[inside])
        cells = Cells.of(*own, k)
        scale = spread(cells, k, torch.ones(len(cells.group)).double())
        everywhere = Everywhere.of(delta, groups)
        moved = effects(cells, k, everywhere, scale=scale)[:, 0].tolist()
        root = math.copysign(abs(everywhere.square) ** 0.5, everywhere.square)
        return {
            "global": _finite(root / scale),
            "concepts": dict(zip(self.names, map(_finite, moved), strict=True)),
        }


def follow(base: Model, probe: Probe, wanted: Concepts | ConceptLearner) -> Followed:
    """Take the base's states on a probe and sort them into concepts.

    Args:
        base: the model before anything changed.
        probe: made with it.
        wanted: concepts of the base at the probe's site, or a learner that finds them here.

    Raises:
        LearnError: concepts of another width, or more of them than states.
    """
    states = probe.states(base)
    concepts = wanted if isinstance(wanted, Concepts) else _learned(wanted, states, probe.site)
    labels = concepts.assign(states)
    sizes = torch.bincount(labels[labels >= 0], minlength=concepts.k).tolist()
    return Followed(probe, states, labels, _names(concepts, base), tuple(sizes))


def _learned(learner: ConceptLearner, states: Acts, site: Site) -> Concepts:
    found = learner.fit(states)
    return Concepts(
        found.vectors,
        found.kind,
        site,
        found.sizes,
        learner=learner.options(),
        encoder=found.encoder,
    )


def _names(concepts: Concepts, base: Model) -> tuple[str, ...]:
    """A number for each concept, with the word that it says more than the others do."""
    words = concepts.contrastive or concepts.words or _last_words(concepts, base)
    said = [one[0] if one else "" for one in words] or [""] * concepts.k
    return tuple(f"{at}-{word}" if word else str(at) for at, word in enumerate(said))


def _last_words(concepts: Concepts, base: Model) -> tuple[tuple[str, ...], ...]:
    """Words of centroids behind the last block; before it they would mean nothing."""
    site = concepts.site
    last = site.resolve(base).layers[0] == base.address.n_layers - 1
    if not last or site.normed or concepts.kind != "centroid":
        return ()
    try:
        scores = state_scores(base.readout, concepts.vectors)
        return top_words(base.readout, contrast(scores), n=1)
    except GroundingError:  # no token of this vocabulary stands as a word: numbers serve
        return ()


def _finite(value: float) -> float | None:
    """The value; ``None`` for what JSON cannot hold."""
    return value if math.isfinite(value) else None
