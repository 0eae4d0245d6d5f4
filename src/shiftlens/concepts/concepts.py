"""``Concepts``: the frozen result of a learner, and what words and pictures were found for it.

Notation: acts (n, d) states, vectors (k, d) concepts, codes (n, k) activations.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from shiftlens.activations.site import Site, site_from
from shiftlens.concepts.files import load_pair, save_pair
from shiftlens.core.errors import GroundingError, LearnError
from shiftlens.core.shapes import Acts, Assignment, Codes, Vectors

_SCHEMA = 1
KINDS = ("centroid", "direction")

WordLists = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, eq=False)
class Concepts:
    """K concepts of one site of one model.

    Attributes:
        vectors: (k, d) float32.
        kind: ``centroid`` (a vector is a state) or ``direction``.
        site: where the states were taken; one layer.
        sizes: how many of the training rows belong to each concept.
        learner: name and options of the learner, and what it reports.
        provenance: JSON: model and data.
        words: for each concept its likeliest words, best first; empty before grounding.
        contrastive: for each concept the words that it says more than the other concepts do.
        images: for each concept the ids of its most activating samples, best first.
    """

    vectors: Vectors
    kind: str
    site: Site
    sizes: tuple[int, ...]
    learner: Mapping[str, Any] = field(default_factory=dict[str, Any])
    provenance: Mapping[str, Any] = field(default_factory=dict[str, Any])
    words: WordLists = ()
    contrastive: WordLists = ()
    images: WordLists = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise LearnError(f"unknown kind of concepts {self.kind!r}", allowed=", ".join(KINDS))
        if len(self.sizes) != len(self.vectors):
            raise LearnError(f"{len(self.vectors)} concepts with {len(self.sizes)} sizes")

    @property
    def k(self) -> int:
        """How many concepts."""
        return self.vectors.shape[0]

    @property
    def d(self) -> int:
        """Width of the residual stream."""
        return self.vectors.shape[1]

    def distances(self, acts: Acts) -> Codes:
        """Euclidean distance of each row to each concept: (n, k)."""
        self._require_width(acts)
        return torch.cdist(acts.float(), self.vectors)

    def assign(self, acts: Acts) -> Assignment:
        """Index of the concept that each row belongs to: nearest centroid, or largest code."""
        if self.kind == "centroid":
            return self.distances(acts).argmin(dim=1)
        return self.encode(acts).argmax(dim=1)

    def encode(self, acts: Acts) -> Codes:
        """Codes of new rows: one-hot for centroids, projections for directions."""
        self._require_width(acts)
        if self.kind == "centroid":
            return torch.nn.functional.one_hot(self.assign(acts), self.k).float()
        return acts.float() @ torch.nn.functional.normalize(self.vectors, dim=1).T

    def find(self, concept: int | str) -> int:
        """Index of a concept given by its index, or by a word that it says.

        A word that heads one concept's contrastive list is that concept; otherwise the word must
        be in the contrastive, or failing that the plain, list of exactly one concept.

        Raises:
            GroundingError: no such concept, or several; the message lists what there is.
        """
        if isinstance(concept, int):
            if not 0 <= concept < self.k:
                raise GroundingError(f"there is no concept {concept}", allowed=f"0..{self.k - 1}")
            return concept
        heads = [words[:1] for words in self.contrastive]
        for lists in (heads, self.contrastive, self.words):
            found = [index for index, words in enumerate(lists) if concept in words]
            if len(found) == 1:
                return found[0]
            if found:
                break
        said = "; ".join(f"{i}: {', '.join(w[:3])}" for i, w in enumerate(self.contrastive))
        problem = f"{len(found)} concepts say" if found else "no concept says"
        raise GroundingError(
            f"{problem} {concept!r}", allowed=said or "none", remedy="choose one by its number"
        )

    def grounded(
        self, *, words: WordLists, contrastive: WordLists, images: WordLists
    ) -> "Concepts":
        """The same concepts with words and images."""
        return replace(self, words=words, contrastive=contrastive, images=images)

    def to_data(self) -> dict[str, Any]:
        """Everything but the vectors, as JSON."""
        return {
            "kind": self.kind,
            "site": self.site.describe(),
            "sizes": list(self.sizes),
            "learner": dict(self.learner),
            "provenance": dict(self.provenance),
            "words": self.words,
            "contrastive": self.contrastive,
            "images": self.images,
        }

    @classmethod
    def from_data(cls, vectors: Tensor, data: Mapping[str, Any]) -> "Concepts":
        """The concepts that ``to_data`` described."""
        rest = dict(data)
        lists: dict[str, Any] = {
            name: _tuples(rest.pop(name)) for name in ("words", "contrastive", "images")
        }
        site, sizes = site_from(rest.pop("site")), tuple(rest.pop("sizes"))
        return cls(vectors, site=site, sizes=sizes, **rest, **lists)

    def save(self, path: str | Path) -> None:
        """Write ``path.safetensors`` and ``path.json``."""
        save_pair(Path(path), "concepts", _SCHEMA, {"vectors": self.vectors}, self.to_data())

    @classmethod
    def load(cls, path: str | Path) -> "Concepts":
        """Read concepts written by ``save``.

        Raises:
            StoreError: missing, damaged, or something else.
        """
        tensors, data = load_pair(Path(path), "concepts", _SCHEMA)
        return cls.from_data(tensors["vectors"], data)

    def _require_width(self, acts: Tensor) -> None:
        if acts.ndim != 2 or acts.shape[1] != self.d:
            raise LearnError(
                f"states of shape {tuple(acts.shape)} do not fit these concepts",
                allowed=f"(n, {self.d})",
            )


def _tuples(lists: Sequence[Sequence[str]]) -> WordLists:
    return tuple(tuple(words) for words in lists)
