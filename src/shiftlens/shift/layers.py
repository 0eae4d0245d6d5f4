"""The shift of every concept at every layer, for one assignment of samples to concepts."""

from shiftlens.activations.store import ActivationStore, paired
from shiftlens.concepts.concepts import Concepts
from shiftlens.core.errors import MismatchError
from shiftlens.core.shapes import Vectors
from shiftlens.shift.vectors import shift_vectors


def shifts_by_layer(
    base: ActivationStore, tuned: ActivationStore, concepts: Concepts
) -> dict[int, Vectors]:
    """Shift vectors of the same concepts at each layer that the stores hold.

    Samples are assigned once, by their base state at the concepts' own layer; a concept is then the
    same samples everywhere, and its shifts can be compared between layers.

    Args:
        base: the base model's states at several layers.
        tuned: the tuned model's, at the same site.
        concepts: of the base model, at one of these layers.

    Returns:
        for each layer (k, d) vectors, summed in float32 or better.

    Raises:
        MismatchError: the sites differ, the stores share no sample, or the concepts come from
            another layer or other tokens than the stores hold.
    """
    if base.site.describe() != tuned.site.describe():
        raise MismatchError(
            f"the stores differ in their site: {base.site.describe()} and {tuned.site.describe()}",
            remedy="harvest both models on the same samples at the same site",
        )
    layer = concepts.site.layers[0]
    if layer not in base.layers or base.site.at(layer) != concepts.site:
        raise MismatchError(
            f"the concepts come from {concepts.site.describe()}",
            allowed=f"concepts learned from these stores: {base.site.describe()}",
        )
    a, b = paired(base, tuned)
    labels = concepts.assign(a.states(layer))
    return {
        one: shift_vectors(a.states(one), b.states(one), labels, concepts.k) for one in base.layers
    }
