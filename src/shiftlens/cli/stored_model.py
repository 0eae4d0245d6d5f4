"""The model that a store's states came from, loaded again to read words out of them."""

from typing import TYPE_CHECKING, Any

from shiftlens.core.errors import MismatchError

if TYPE_CHECKING:
    from shiftlens.activations.store import ActivationStore
    from shiftlens.concepts.concepts import Concepts
    from shiftlens.models.model import Model

_WEIGHTS = ("weights", "adapter_weights")


def model_of(
    store: "ActivationStore", name: str, adapter: str | None = None, **place: Any
) -> "Model":
    """Load a model, and refuse it if the store's states came from another one.

    Args:
        store: whose words will be read.
        name: the model as the user calls it.
        adapter: its adapter, where the states were taken with one.
        place: ``device`` and ``dtype``.

    Raises:
        MismatchError: the weights are not those of the store, or not known.
        DataError: there is no such model.
    """
    from shiftlens.models.claims import require_known
    from shiftlens.models.loading import load_model

    require_known(store.provenance["model"], store.path)
    model = load_model(name, adapter=adapter, **place)
    theirs = store.provenance["model"]
    if any(theirs.get(key) != model.identity.get(key) for key in _WEIGHTS):
        about = store.about
        named = " with the adapter ".join(
            str(about[key]) for key in ("model", "adapter") if about.get(key)
        )
        mine = name if adapter is None else f"{name} with the adapter {adapter}"
        raise MismatchError(
            f"the states of {store.path} did not come from {mine}: the weights differ",
            allowed=f"the model that was harvested: {named}" if named else "",
            remedy="a head reads the states of its own model only",
        )
    return model


def require_own_store(concepts: "Concepts", store: "ActivationStore") -> None:
    """Refuse to look for pictures of concepts in states of another model, or of another kind.

    Raises:
        MismatchError: the concepts were learned from states of other weights, or of other tokens:
            those before a word lie elsewhere than those at the end of a prompt.
    """
    mine, theirs = concepts.provenance.get("model"), store.provenance["model"]
    if mine and any(mine.get(key) != theirs.get(key) for key in _WEIGHTS):
        raise MismatchError(
            f"these concepts were learned from another model's states than {store.path} holds",
            allowed="a store of the model that they were learned from",
        )
    own, others = concepts.site.tokens.kind, store.site.tokens.kind
    if own != others:
        raise MismatchError(
            f"these concepts were learned from states of the tokens {own!r}, and {store.path} "
            f"holds states of {others!r}",
            allowed=f"a store of the tokens {own!r}",
        )
