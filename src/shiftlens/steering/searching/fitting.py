"""One harvest of many layers, one direction for each of them."""

from shiftlens.activations.store import ActivationStore
from shiftlens.concepts.vectors import SteeringVector
from shiftlens.steering.directions import Choice, mean_difference


def layer_directions(
    store: ActivationStore, *, source: Choice, target: Choice, name: str = "mean difference"
) -> dict[int, SteeringVector]:
    """The mean difference at every layer that a store holds, for ``search(directions=...)``.

    Fit on samples that the search is not given: otherwise what it reports has seen the fit.

    Args:
        store: states where the choice is made: ``Site(layers, tokens.last_prompt())`` for answers.
        source: rows to move away from; a predicate or one boolean a row.
        target: rows to move towards.
        name: for people.

    Raises:
        SteeringError: fewer than 5 rows on a side, or a row on both.
    """
    return {
        layer: mean_difference(store, source=source, target=target, layer=layer, name=name)
        for layer in store.layers
    }
