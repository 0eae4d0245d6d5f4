"""``ConceptShift``: two sets of concepts, what lies between them, and how sure that is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from shiftlens.activations.site_in_words import in_words
from shiftlens.concepts.concepts import Concepts, WordLists
from shiftlens.concepts.files import load_pair, save_pair
from shiftlens.concepts.vectors import SteeringVector
from shiftlens.core.shapes import Vectors
from shiftlens.shift.overlap import t_overlap

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SCHEMA = 3


@dataclass(frozen=True, eq=False)
class ConceptChange:
    """One concept of the base model and what became of it.

    Attributes:
        index: of the base concept.
        partner: index of its one-to-one partner among the tuned concepts.
        nearest: index of the most similar tuned concept.
        share: of the samples that belong to it.
        words_base, words_tuned: plain words of the concept and of its partner.
        contrastive_base, contrastive_tuned: words that set them apart from their siblings.
        came, went: contrastive words that only the partner, or only the concept, has.
        words_shifted: what the concept says after its shift is added, read by the tuned head.
        overlap: T-Overlap of the plain words.
        cosine: of the concept with its partner.
        magnitude: length of the shift.
        consistency: how alike its samples move, each left out of the mean.
        lost: share of its samples in which the tuned model, on its own text, does not say the word.
        images_base, images_tuned: ids of the most activating samples.
    """

    index: int
    partner: int
    nearest: int
    share: float
    words_base: tuple[str, ...]
    words_tuned: tuple[str, ...]
    contrastive_base: tuple[str, ...]
    contrastive_tuned: tuple[str, ...]
    came: tuple[str, ...]
    went: tuple[str, ...]
    words_shifted: tuple[str, ...]
    overlap: float
    cosine: float
    magnitude: float
    consistency: float
    lost: float
    images_base: tuple[str, ...]
    images_tuned: tuple[str, ...]
    _whole: "ConceptShift" = field(repr=False)

    @property
    def vector(self) -> SteeringVector:
        """The shift, ready to steer with.

        Raises:
            SteeringError: the states lie behind the final norm, where nothing can be steered.
        """
        return self._whole.vector_of(self.index)


@dataclass(frozen=True, eq=False)
class ConceptShift:
    """The comparison of two models at one site.

    Attributes:
        base: concepts of the base model.
        tuned: concepts of the tuned model, on the base's text where that was harvested.
        vectors: (k, d) shift of each base concept, from the same text.
        nearest: for each base concept the most similar tuned one.
        bijective: for each base concept its one-to-one partner.
        cosine: similarity with that partner.
        consistency: leave-one-out; ``consistency_published`` keeps the sample in its mean.
        shifted_words: of base concepts with their shift added.
        lost: for each concept the share of its samples without the word in the tuned model's text.
        rows: how many samples each side had, and how many were paired.
        recovery: judged on samples, from the base's text where harvested; JSON.
        published: recovery the published way; JSON.
        recovery_own_text: the same two on each model's own text; JSON or ``None``.
        shares: of the shift due to weights and text; JSON or ``None``.
        labels: concept of every paired sample, by sample id.
        spectrum: how many directions the shifts span: ``whole``, and ``own``, less the mean change
            of all samples; JSON or ``None`` in shifts of earlier versions.
        flow: where the samples of each base concept lie among the tuned ones; JSON of ``Flow``, or
            ``None`` in shifts of earlier versions.
        concept_shares: ``shares`` of each concept alone; JSON or ``None``.
    """

    base: Concepts
    tuned: Concepts
    vectors: Vectors
    nearest: tuple[int, ...]
    bijective: tuple[int, ...]
    cosine: tuple[float, ...]
    consistency: tuple[float, ...]
    consistency_published: tuple[float, ...]
    shifted_words: WordLists
    lost: tuple[float, ...]
    state_norm: float
    rows: Mapping[str, int]
    recovery: Mapping[str, Any]
    published: Mapping[str, Any]
    recovery_own_text: Mapping[str, Any] | None = None
    shares: Mapping[str, float] | None = None
    labels: Mapping[str, int] = field(default_factory=dict[str, int])
    spectrum: Mapping[str, Any] | None = None
    flow: Mapping[str, Any] | None = None
    concept_shares: Sequence[Mapping[str, float] | None] | None = None

    def __len__(self) -> int:
        return self.base.k

    def __repr__(self) -> str:
        return f"ConceptShift({len(self)} concepts, {in_words(self.base.site)}, {_paired(self)})"

    def _repr_html_(self) -> str:
        from shiftlens.shift.told import shift_card

        return shift_card(self)

    def __getitem__(self, concept: int | str) -> ConceptChange:
        """One concept, by its index or by a word that it says on either side.

        Raises:
            GroundingError: no such concept, or several; the message lists what there is.
        """
        return self._change(self.base.find(concept))

    def changes(self) -> list[ConceptChange]:
        """Every concept, in order.

        Raises:
            GroundingError: the concepts have no words, so their overlap is none.
        """
        return [self._change(index) for index in range(len(self))]

    def _change(self, i: int) -> ConceptChange:
        j, base, tuned = self.bijective[i], self.base, self.tuned
        before, after = _listed(base.contrastive, i), _listed(tuned.contrastive, j)
        return ConceptChange(
            index=i,
            partner=j,
            nearest=self.nearest[i],
            share=base.sizes[i] / sum(base.sizes),
            words_base=_listed(base.words, i),
            words_tuned=_listed(tuned.words, j),
            contrastive_base=before,
            contrastive_tuned=after,
            came=tuple(word for word in after if word not in before),
            went=tuple(word for word in before if word not in after),
            words_shifted=_listed(self.shifted_words, i),
            overlap=t_overlap(_listed(base.words, i), _listed(tuned.words, j)),
            cosine=self.cosine[i],
            magnitude=float(self.vectors[i].norm()),
            consistency=self.consistency[i],
            lost=self.lost[i],
            images_base=_listed(base.images, i),
            images_tuned=_listed(tuned.images, j),
            _whole=self,
        )

    def vector_of(self, i: int) -> SteeringVector:
        """The shift of a base concept, by its index; see ``ConceptChange.vector``."""
        head = _listed(self.base.contrastive, i)[:1] or _listed(self.base.words, i)[:1]
        return SteeringVector(
            direction=self.vectors[i],
            site=self.base.site,
            name=f"shift of concept {i} ({', '.join(head)})",
            kind="concept shift",
            state_norm=self.state_norm,
            provenance=dict(self.base.provenance),
        )

    def plot(self, kind: str = "recovery") -> "Figure":
        """A figure for notebooks; needs the extra ``plots``.

        Args:
            kind: ``recovery``: centred cosine over strength, with the controls and the intervals of
                the differences; ``magnitude``: length of each shift, in mean lengths of states,
                against its consistency; ``matching``: which concept became which; ``drift``: a row
                a concept with its length, its consistency and the overlap of its words.

        Returns:
            a figure of matplotlib that no window and no ``pyplot`` knows of; ``savefig`` writes it.

        Raises:
            DataError: no such kind, or a shift without a recovery.
            ShiftLensError: matplotlib is not installed.
        """
        from shiftlens.shift.plots.kinds import draw

        return draw(self, kind)

    def save(self, path: str | Path) -> None:
        """Write ``path.safetensors`` and ``path.json``."""
        sides = {"base": self.base, "tuned": self.tuned}
        tensors: dict[str, Tensor] = {"shift": self.vectors}
        for name, side in sides.items():
            parts = side.tensors()
            tensors[name] = parts.pop("vectors")
            tensors |= {f"{name}.{part}": tensor for part, tensor in parts.items()}
        data = {"base": self.base.to_data(), "tuned": self.tuned.to_data(), **self._plain()}
        save_pair(Path(path), "concept shift", _SCHEMA, tensors, data, finite=False)

    @classmethod
    def load(cls, path: str | Path) -> "ConceptShift":
        """Read a shift written by ``save``.

        Raises:
            StoreError: missing, damaged, or something else.
        """
        tensors, data = load_pair(Path(path), "concept shift", _SCHEMA, oldest=1, finite=False)
        base, tuned = (_side(tensors, data.pop(name), name) for name in ("base", "tuned"))
        lists = {name: tuple(data.pop(name)) for name in _LISTS}
        words = tuple(tuple(words) for words in data.pop("shifted_words"))
        return cls(base, tuned, tensors["shift"], shifted_words=words, **lists, **data)

    def _plain(self) -> dict[str, Any]:
        """Every field that is neither concepts nor tensors."""
        return {
            **{name: list(getattr(self, name)) for name in _LISTS},
            "shifted_words": self.shifted_words,
            "state_norm": self.state_norm,
            "rows": dict(self.rows),
            "recovery": dict(self.recovery),
            "published": dict(self.published),
            "recovery_own_text": self.recovery_own_text,
            "shares": self.shares,
            "labels": dict(self.labels),
            "spectrum": self.spectrum,
            "flow": self.flow,
            "concept_shares": self.concept_shares,
        }


_LISTS = ("nearest", "bijective", "cosine", "consistency", "consistency_published", "lost")


def _listed(lists: WordLists, index: int) -> tuple[str, ...]:
    """What a concept has in a list that may be empty: ``Concepts`` allows either."""
    return lists[index] if lists else ()


def _paired(shift: ConceptShift) -> str:
    return f"{shift.rows.get('paired', sum(shift.base.sizes))} samples"


def _side(tensors: Mapping[str, Tensor], data: Mapping[str, Any], name: str) -> Concepts:
    """The concepts of one side of a saved shift."""
    inside = {
        key[len(name) + 1 :]: one for key, one in tensors.items() if key.startswith(f"{name}.")
    }
    return Concepts.from_data({"vectors": tensors[name], **inside}, data)
