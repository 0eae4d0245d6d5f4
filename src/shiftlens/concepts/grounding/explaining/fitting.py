"""Whether concepts, model and store belong together; what does not is named by its field."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shiftlens.activations.store import ActivationStore
from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.given import shown
from shiftlens.core.errors import GroundingError, MismatchError
from shiftlens.data.sample import Sample
from shiftlens.models.claims import require_known
from shiftlens.models.model import Model

_BESIDE = {"generation", "dtype"}
"""Fields of a model's identity that do not make it another model."""


_CALL = "explain(model, image, prompt, concepts)"


def require_kinds(model: object, image: object, prompt: object, samples: object) -> None:
    """Refuse what stands in another's place, or is a path where the thing itself is wanted.

    Raises:
        GroundingError: says which, and what belongs there.
    """
    if not isinstance(model, Model):
        name = repr(str(model)) if isinstance(model, str | Path) else "..."
        raise _not_there(model, "model", "a loaded model", f"load_model({name})")
    if image is not None and not isinstance(image, str | Path | Sample) and not _is_open(image):
        raise _not_there(image, "image", "a path, an open picture, a Sample, or None", _CALL)
    if prompt is not None and not isinstance(prompt, str):
        raise _not_there(prompt, "prompt", "text, or None for a sample's own", _CALL)
    if isinstance(samples, str | Path):
        raise _not_there(samples, "samples", "samples that were read", f"read({str(samples)!r})")


def _not_there(given: object, name: str, allowed: str, remedy: str) -> GroundingError:
    return GroundingError(f"{name} is {shown(given)}", allowed=allowed, remedy=remedy)


def _is_open(image: object) -> bool:
    """Whether it is a picture, by what is done with it: PIL need not be imported for that."""
    return hasattr(image, "convert") and hasattr(image, "save")


def require_grounded(concepts: Concepts) -> None:
    """Refuse concepts that nobody could tell apart.

    Raises:
        GroundingError: they have no words.
    """
    if not any((*concepts.words, *concepts.contrastive, *concepts.neighbours)):
        raise GroundingError(
            "these concepts have no words",
            allowed="concepts that were grounded",
            remedy="give them words and pictures first: shiftlens ground",
        )


def require_model(concepts: Concepts, model: Model) -> list[str]:
    """Refuse concepts of another model.

    Returns:
        notes: what could not be checked, and what differs without making it another model.

    Raises:
        MismatchError: another width, another model (the first field that differs is named), words
            that were read with another head, or concepts of another tower.
    """
    if concepts.site.tower != "language":
        raise MismatchError(
            f"these concepts live in the {concepts.site.tower} tower, where no word is said",
            allowed="concepts of the language model",
        )
    width = model.hf.config.get_text_config(decoder=True).hidden_size
    if concepts.d != width:
        raise MismatchError(
            f"concepts of width {concepts.d} do not fit {model.name}", allowed=f"width {width}"
        )
    learned = concepts.provenance.get("model")
    if not isinstance(learned, Mapping):
        return ["these concepts do not say which model they come from: that was not checked"]
    require_known(learned, "what these concepts were learned from")
    return _compared(learned, model)


def _compared(learned: Mapping[str, Any], model: Model) -> list[str]:
    here = model.identity
    fields = [*here, *(key for key in learned if key not in here)]
    differing = [key for key in fields if learned.get(key) != here.get(key)]
    for key in differing:
        if key not in _BESIDE:
            raise MismatchError(
                f"these concepts come from another model: {key} is {_short(learned.get(key))}",
                allowed=f"{_short(here.get(key))}, as in {model.name}",
                remedy="load the model that the concepts were learned on, with its adapter",
            )
    return [
        f"{key} is {_short(here.get(key))} here and was {_short(learned.get(key))}"
        for key in differing
        if key != "generation"  # a greedy answer depends on it little, states on a text not at all
    ]


def require_store(concepts: Concepts, store: ActivationStore) -> None:
    """Refuse to measure activity against states of another kind.

    Raises:
        MismatchError: the store holds states of another layer, selection or model.
    """
    mine, theirs = concepts.site.describe(), store.site.describe()
    differing = [key for key in ("tokens", "normed", "tower") if mine.get(key) != theirs.get(key)]
    if concepts.site.layers[0] not in store.layers:
        differing = ["layer", *differing]
    learned, kept = concepts.provenance.get("model"), store.provenance["model"]
    if isinstance(learned, Mapping) and learned != kept:
        differing += [f"model.{key}" for key in kept if learned.get(key) != kept[key]][:1]
    if differing:
        key = differing[0]
        raise MismatchError(
            f"{store.path} holds states of another {key} than the concepts",
            allowed=f"{key}: {_short(mine.get(key))}" if key in mine else "",
            remedy="give the store that the concepts were learned from, or leave it out",
        )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
