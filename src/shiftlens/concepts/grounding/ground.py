"""``ground``: give concepts their words and their pictures."""

from collections.abc import Collection

from shiftlens.activations.store import ActivationStore
from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.grounding.images import top_images
from shiftlens.concepts.grounding.words import (
    contrast,
    direction_scores,
    reading,
    state_scores,
    top_words,
)
from shiftlens.core.errors import MismatchError
from shiftlens.models.readout import Readout


def ground(
    concepts: Concepts,
    store: ActivationStore,
    readout: Readout,
    *,
    n_words: int = 15,
    n_images: int = 5,
    stop_words: Collection[str] = (),
) -> Concepts:
    """Words through the model's own head, plain and contrastive, and most activating images.

    Args:
        concepts: learned from the store.
        store: the states and their samples.
        readout: final norm and unembedding of the model that the store came from; states that have
            been through the norm are not normed again.
        n_words: words a concept.
        n_images: images a concept.
        stop_words: lower-cased words that are never listed.

    Returns:
        the same concepts with words and images.

    Raises:
        MismatchError: the concepts do not belong to the store's site.
        GroundingError: the vocabulary has no words.
    """
    layer = concepts.site.layer
    if not isinstance(layer, int) or layer not in store.layers:
        raise MismatchError(
            f"the concepts live at layer {layer}, the store holds {list(store.layers)}"
        )
    readout = reading(readout, concepts.site)
    if concepts.kind == "centroid":
        scores = state_scores(readout, concepts.vectors)
    else:
        mean = store.states(layer).float().mean(dim=0)
        scores = direction_scores(readout, concepts.vectors, mean)
    return concepts.grounded(
        words=top_words(readout, scores, n=n_words, stop_words=stop_words),
        contrastive=top_words(readout, contrast(scores), n=n_words, stop_words=stop_words),
        images=top_images(concepts, store, n=n_images, layer=layer),
    )
