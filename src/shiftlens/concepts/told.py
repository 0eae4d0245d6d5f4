"""What a notebook shows of concepts, and of a vector."""

from typing import TYPE_CHECKING

from shiftlens.activations.site_in_words import in_words
from shiftlens.core.cards import Share, card

if TYPE_CHECKING:
    from shiftlens.concepts.concepts import Concepts
    from shiftlens.concepts.vectors import SteeringVector


def concepts_card(concepts: "Concepts") -> str:
    """The largest concepts with their shares and words."""
    lists = concepts.contrastive or concepts.words
    total = max(1, sum(concepts.sizes))
    order = sorted(range(concepts.k), key=lambda index: -concepts.sizes[index])
    rows = [
        (
            str(index),
            Share(concepts.sizes[index] / total, max(concepts.sizes) / total),
            ", ".join(lists[index][:6]) if lists else "",
        )
        for index in order
    ]
    return card(
        "Concepts",
        f"{concepts.k} {concepts.kind}s, {in_words(concepts.site)}",
        {
            "learner": concepts.learner.get("name"),
            "rows": f"{sum(concepts.sizes):,} of width {concepts.d}",
            "words": "" if lists else "none yet: sl.ground gives them",
        },
        columns=("concept", "share", "words"),
        rows=rows,
    )


def vector_card(vector: "SteeringVector") -> str:
    """Where the vector lives, how long it is, and what it was made of."""
    length = f"{vector.norm:.4g}"
    if vector.state_norm:
        length += f", {vector.norm / vector.state_norm:.2f} of the mean length of states"
    parts = vector.provenance.get("parts") or ()
    return card(
        "SteeringVector",
        vector.name,
        {
            "kind": vector.kind,
            "site": in_words(vector.site),
            "length": length,
            "width": len(vector.direction),
            "parts": ", ".join(str(one.get("name")) for one in parts[:6]),
        },
    )
