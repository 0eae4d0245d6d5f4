"""``Concepts``: the frozen result of a learner, and what words and pictures were found for it.

Notation: acts (n, d) states, vectors (k, d) concepts, codes (n, k) activations.
"""

import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex

from torch import Tensor

from shiftlens.activations.site import Site, site_from
from shiftlens.activations.site_in_words import in_words
from shiftlens.concepts.encoders import (
    Encoder,
    Nearest,
    require_finite,
    restored,
    usual_encoder,
)
from shiftlens.concepts.files import direction_of, load_pair, provenance_of, refusing, save_pair
from shiftlens.concepts.learners.learner import Learned
from shiftlens.core.errors import GroundingError, LearnError, MismatchError, StoreError
from shiftlens.core.fields import Fields
from shiftlens.core.shapes import Acts, Assignment, Codes, Vectors
from shiftlens.core.strict_json import shown
from shiftlens.data.sample import Sample

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SCHEMA = 2
_LISTS = ("words", "contrastive", "neighbours", "images")
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
        neighbours: for each concept the said words whose mean states lie nearest to it.
        images: for each concept the ids of its most activating samples, best first.
        encoder: how new rows are encoded; the usual one of the kind unless given.
        decoded_with: fingerprint of the final norm and unembedding that the words were read with.
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
    neighbours: WordLists = ()
    encoder: Encoder = None  # pyright: ignore[reportAssignmentType]
    decoded_with: str = ""

    def __post_init__(self) -> None:
        if self.encoder is None:  # pyright: ignore[reportUnnecessaryComparison]
            object.__setattr__(self, "encoder", usual_encoder(self.kind))
        if self.kind not in KINDS:
            raise LearnError(f"unknown kind of concepts {self.kind!r}", allowed=", ".join(KINDS))
        if len(self.sizes) != len(self.vectors):
            raise LearnError(f"{len(self.vectors)} concepts with {len(self.sizes)} sizes")

    def __repr__(self) -> str:
        name = self.learner.get("name", self.kind)
        words = "with words" if self.contrastive or self.words else "without words"
        return f"Concepts({self.k} of width {self.d} by {name}, {in_words(self.site)}, {words})"

    def _repr_html_(self) -> str:
        from shiftlens.concepts.told import concepts_card

        return concepts_card(self)

    @property
    def k(self) -> int:
        """How many concepts."""
        return self.vectors.shape[0]

    @property
    def d(self) -> int:
        """Width of the residual stream."""
        return self.vectors.shape[1]

    @property
    def learned(self) -> Learned:
        """The same concepts without site, words and pictures."""
        return Learned(self.vectors, self.kind, self.sizes, {}, self.encoder)

    def distances(self, acts: Acts) -> Codes:
        """Euclidean distance of each row to each concept, in the concepts' space: (n, k).

        Raises:
            LearnError: the concepts are directions, or the rows are of another width or not finite.
        """
        self._require_fit(acts)
        if not isinstance(self.encoder, Nearest):
            raise LearnError(
                "directions have no distance to a state", allowed="encode: how active each one is"
            )
        return self.encoder.distances(acts, self.vectors)

    def assign(self, acts: Acts) -> Assignment:
        """Concept that each row belongs to: the nearest centroid, or the largest positive code.

        A row on which no direction is active belongs to none: -1 (``NO_CONCEPT``).

        Raises:
            LearnError: the rows are of another width, or not finite.
        """
        self._require_fit(acts)
        return self.encoder.assign(acts, self.vectors)

    def encode(self, acts: Acts) -> Codes:
        """Codes of new rows (n, k): one-hot for centroids, otherwise the learner's own.

        Raises:
            LearnError: the rows are of another width, or not finite.
        """
        self._require_fit(acts)
        return self.encoder.encode(acts, self.vectors)

    def reconstruct(self, codes: Codes) -> Acts:
        """States (n, d) that codes stand for."""
        return self.encoder.reconstruct(codes, self.vectors)

    def find(self, concept: SupportsIndex | str) -> int:
        """Index of a concept given by its index (of any whole type), or by a word that it says.

        A word that heads one concept's contrastive list is that concept; otherwise the word must
        be in the contrastive, or failing that the plain, list of exactly one concept.

        Raises:
            GroundingError: no such concept, or several; the message lists what there is.
        """
        if not isinstance(concept, str):
            return self._numbered(concept)
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

    def _numbered(self, concept: object) -> int:
        try:
            index = operator.index(concept)  # pyright: ignore[reportArgumentType]
        except TypeError:
            index = -1
        if not 0 <= index < self.k or isinstance(concept, bool):
            raise GroundingError(
                f"there is no concept {concept!r}",
                allowed=f"0..{self.k - 1}, or a word that one says",
            )
        return index

    def grounded(
        self,
        *,
        words: WordLists,
        contrastive: WordLists,
        images: WordLists,
        neighbours: WordLists = (),
        decoded_with: str = "",
    ) -> "Concepts":
        """The same concepts with words and images."""
        return replace(
            self,
            words=words,
            contrastive=contrastive,
            images=images,
            neighbours=neighbours,
            decoded_with=decoded_with,
        )

    def require_same_readout(self, fingerprint: str) -> None:
        """Refuse to read words of one head beside those of another.

        Raises:
            MismatchError: the words were read with another final norm and unembedding.
        """
        if self.decoded_with and self.decoded_with != fingerprint:
            raise MismatchError(
                "the words of these concepts were read with another final norm and unembedding",
                allowed=f"fingerprint {self.decoded_with}, not {fingerprint}",
                remedy="ground them again with this model",
            )

    def plot(self, samples: Iterable[Sample] | None = None) -> "Figure":
        """A figure for notebooks: share and words of each concept; needs the extra ``plots``.

        Args:
            samples: where the pictures' files lie, by id; with them, the most activating pictures
                of each concept are shown, and a grey tile for one that is missing.

        Returns:
            a figure of matplotlib that no window and no ``pyplot`` knows of; ``savefig`` writes it.
            Of more than 40 concepts it shows the largest 40.

        Raises:
            DataError: there are no concepts.
            ShiftLensError: matplotlib is not installed.
        """
        from shiftlens.concepts.plots.shares import shares

        return shares(self, samples)

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor: the vectors, and what the encoder needs."""
        encoder = {f"encoder.{name}": tensor for name, tensor in self.encoder.tensors().items()}
        return {"vectors": self.vectors, **encoder}

    def to_data(self) -> dict[str, Any]:
        """Everything but the tensors, as JSON."""
        return {
            "kind": self.kind,
            "site": self.site.describe(),
            "sizes": list(self.sizes),
            "learner": dict(self.learner),
            "provenance": dict(self.provenance),
            "encoder": self.encoder.describe(),
            "decoded_with": self.decoded_with,
            **{name: getattr(self, name) for name in _LISTS},
        }

    @classmethod
    def from_data(cls, tensors: Mapping[str, Tensor], data: Mapping[str, Any]) -> "Concepts":
        """The concepts that ``to_data`` and ``tensors`` described.

        Files of schema 1 know no encoder: theirs is the usual one of the kind.
        """
        rest = dict(data)
        lists: dict[str, Any] = {name: _tuples(rest.pop(name, ())) for name in _LISTS}
        site, sizes = site_from(rest.pop("site")), tuple(rest.pop("sizes"))
        described = rest.pop("encoder", None)
        inside = {key[8:]: one for key, one in tensors.items() if key.startswith("encoder.")}
        encoder = restored(described, inside) if described else usual_encoder(rest["kind"])
        vectors = tensors["vectors"]
        return cls(vectors, site=site, sizes=sizes, encoder=encoder, **rest, **lists)

    def save(self, path: str | Path) -> None:
        """Write ``path.safetensors`` and ``path.json``."""
        save_pair(Path(path), "concepts", _SCHEMA, self.tensors(), self.to_data())

    @classmethod
    def load(cls, path: str | Path) -> "Concepts":
        """Read concepts written by ``save``.

        Raises:
            StoreError: missing, damaged, or something else.
        """
        tensors, data = load_pair(Path(path), "concepts", _SCHEMA, oldest=1)
        told = Fields(data, f"data of {path}.json")
        told.object("learner")
        provenance_of(told)
        for name in _LISTS:  # a text would pass for a list of letters
            told.items(name, [])
        with refusing(f"{path}.json"):
            made = cls.from_data(tensors, data)
            made.require_whole(str(path))
        return made

    def require_whole(self, where: str) -> None:
        """Refuse what no learner makes, and a file may hold: figures and lists of wrong shapes.

        Args:
            where: for messages.

        Raises:
            StoreError: vectors that are no (k, d) finite numbers; sizes, words or pictures that are
                not one a concept; a site that is not resolved.
        """
        direction_of({"vectors": self.vectors}, "vectors", where, dims=2)
        for size in self.sizes:
            Fields({"sizes": size}, where).whole("sizes", highest=2**53)
        Fields({"decoded_with": self.decoded_with}, where).text("decoded_with")
        for name in _LISTS:
            lists = getattr(self, name)
            if len(lists) not in (0, self.k):
                raise StoreError(f"{where} has {len(lists)} lists of {name} for {self.k} concepts")
            for one in lists:
                Fields({name: list(one)}, where).texts(name)
        if not all(type(layer) is int for layer in self.site.layers):
            raise StoreError(f"{where} comes from the layers {shown(self.site.layers)}")

    def _require_fit(self, acts: Tensor) -> None:
        if acts.ndim != 2 or acts.shape[1] != self.d:
            raise LearnError(
                f"states of shape {tuple(acts.shape)} do not fit these concepts",
                allowed=f"(n, {self.d})",
            )
        require_finite(acts)


def _tuples(lists: Sequence[Sequence[str]]) -> WordLists:
    return tuple(tuple(words) for words in lists)
