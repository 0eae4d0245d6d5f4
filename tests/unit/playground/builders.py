"""A small run on disk, of the random LLaVA: concepts, a shift, vectors, and a store with pictures.

Nothing here means anything; everything is of the right kind and in the right place.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from tests.builders import WORDS, build_pictures, build_store, build_vector

from shiftlens.activations.site import Site
from shiftlens.activations.tokens import word
from shiftlens.concepts.concepts import Concepts
from shiftlens.models.model import Model
from shiftlens.shift.concept_shift import ConceptShift
from shiftlens.steering.affine import AffineEdit
from shiftlens.steering.answer_gains import Score
from shiftlens.steering.discovering import Direction, Discovery
from shiftlens.steering.gates import LinearGate
from shiftlens.steering.gates.fitting import HeldOut

HOSTILE = '</span><script>window.hacked = 1</script><img src=x onerror="window.hacked=1">'
_DATA = "data"


def build_concepts(d: int = 32, *, words: tuple[str, ...] = ("dog", "cat", "bus"), **more: Any):
    """Three concepts with one word each, of samples s0 to s5."""
    fields: dict[str, Any] = {
        "vectors": torch.randn(3, d, generator=torch.Generator().manual_seed(3)) * 4,
        "kind": "centroid",
        "site": Site(1, word(*(one for one in WORDS if one.isalpha()))),
        "sizes": (3, 2, 1),
        "learner": {"name": "kmeans"},
        "provenance": {"data": _DATA},
        "words": tuple(("a", one) for one in words),
        "contrastive": tuple((one,) for one in words),
        "images": (("s0", "s1"), ("s2", "s3"), ("s4", "nobody")),
        **more,
    }
    return Concepts(**fields)


def build_shift(d: int = 32, **more: Any) -> ConceptShift:
    """Concepts and what became of them; the shift of the last has one sample."""
    base = build_concepts(d, **more)
    return ConceptShift(
        base=base,
        tuned=build_concepts(d, words=("snow", "cat", "beach"), **more),
        vectors=torch.randn(3, d, generator=torch.Generator().manual_seed(4)) * 3,
        nearest=(0, 1, 2),
        bijective=(0, 1, 2),
        cosine=(0.9, 0.8, 0.7),
        consistency=(0.5, 0.25, float("nan")),
        consistency_published=(0.6, 0.4, 1.0),
        shifted_words=(("snow",), ("cat",), ("beach",)),
        lost=(0.0, 0.5, 0.0),
        state_norm=9.0,
        rows={"base": 6, "tuned": 6, "paired": 6},
        recovery={},
        published={},
    )


def build_edit(d: int = 32, *, layer: int = 2, **more: Any) -> AffineEdit:
    """A map that takes two random directions out, and writes one of them strongly."""
    read = torch.randn(2, d, generator=torch.Generator().manual_seed(6))
    read = torch.nn.functional.normalize(read, dim=1)
    site = Site(layer)
    fields: dict[str, Any] = {"name": "two out", "kind": "LEACE", "state_norm": 9.0, **more}
    return AffineEdit(6 * read.T.contiguous(), read, torch.zeros(d), False, site, **fields)


def build_gate(d: int = 32, *, layer: int = 0, threshold: float = -1e6, **more: Any) -> LinearGate:
    """A probe that is open for everything, or with a high threshold for nothing."""
    rates = HeldOut(1.0, 0.0, 16)
    return LinearGate(torch.ones(d), threshold, layer, rates, "linear discriminant", **more)


def build_discovery() -> Discovery:
    """Two directions between the three concepts that lie beside it."""
    score = Score(score=3, primary=(), secondary=(), lost=None)
    each = [
        Direction(source, target, f"concept {source} -> {target}: more", score, 2.0, 0.4, 0)
        for source, target in ((0, 1), (2, 0))
    ]
    return Discovery(tuple(each), (1,), {"a": 3}, 3, {"model": {"name": "world:base"}})


def build_run(root: Path, model: Model | None = None) -> Path:
    """Everything at once; with a model, vectors and concepts are its own."""
    pictures = build_pictures(root / "pictures")
    provenance: dict[str, Any] = {"data": _DATA}
    if model is not None:
        provenance["model"] = dict(model.identity)
    build_store(
        root / "states",
        torch.randn(6, 32, generator=torch.Generator().manual_seed(5)),
        images=[str(one) for one in pictures],
        data=_DATA,
    )
    build_concepts(provenance=provenance).save(root / "words" / "concepts")
    build_shift(provenance=provenance).save(root / "words" / "shift")
    for layer in (0, 1, 3):
        vector = build_vector(layer=layer, seed=layer, name="louder", provenance=provenance)
        vector.save(root / "steering" / f"vector-{layer}")
    other = {"model": {"weights": "sha256:other"}}
    build_vector(seed=9, name="a stranger's", provenance=other).save(root / "steering" / "stranger")
    build_edit(provenance=provenance).save(root / "steering" / "edit")
    for name, threshold in (("open", -1e6), ("closed", 1e6)):
        gate = build_gate(threshold=threshold, provenance=provenance)
        gate.save(root / "gates" / name)
    build_discovery().save(root / "words" / "discovery.json")
    build_vector(seed=8, name=HOSTILE, provenance=provenance, length=30.0).save(root / "odd")
    return root


def ungrounded(concepts: Concepts) -> Concepts:
    """The same without words and pictures."""
    return replace(concepts, words=(), contrastive=(), images=())
