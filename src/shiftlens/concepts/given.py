"""What callers hand over: a path in place of what lies there, or something that is none of it.

The public verbs take stores, concepts and learners, in this order. A path is opened; what is in the
wrong place, or is of another kind, is one clear error that shows the right call.
"""

import operator
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from shiftlens.activations.store import ActivationStore
from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.learners.learner import ConceptLearner
from shiftlens.core.errors import LearnError


def store_given(given: object) -> ActivationStore:
    """A store, or the one in that directory.

    Raises:
        LearnError: neither.
        StoreError: no finished store lies there.
    """
    if isinstance(given, ActivationStore):
        return given
    if isinstance(given, str | Path):
        return ActivationStore.open(given)
    raise LearnError(
        f"{shown(given)} is not a store of states",
        allowed="an ActivationStore, or the path of its directory",
        remedy=_elsewhere(given),
    )


def concepts_given(given: object) -> Concepts:
    """Concepts, or those in that file.

    Raises:
        LearnError: neither.
        StoreError: no concepts lie there.
    """
    if isinstance(given, Concepts):
        return given
    if isinstance(given, str | Path):
        return Concepts.load(given)
    raise LearnError(
        f"{shown(given)} is not concepts",
        allowed="Concepts, or the path that they were saved under, without an ending",
    )


def learner_given(given: object) -> ConceptLearner:
    """A learner.

    Raises:
        LearnError: something else; a class without its brackets is told so.
    """
    if isinstance(given, ConceptLearner):
        return given
    if isinstance(given, type) and issubclass(given, ConceptLearner):
        remedy = f"put its options behind it: {given.__name__}(k=20)"
    elif isinstance(given, ActivationStore | str | Path | Tensor):
        remedy = "the states come first, the learner after them: (store, KMeans(k=20))"
    else:
        remedy = ""
    raise LearnError(
        f"{shown(given)} is not a learner", allowed="for example KMeans(k=20)", remedy=remedy
    )


def counts_given(given: object) -> list[int]:
    """Numbers of concepts to try, ascending, each once.

    Raises:
        LearnError: one number alone, something that is no whole number, or nothing of the kind.
    """
    several = "several numbers of concepts, such as [5, 10, 20, 40]"
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        alone = f"[{given}] tries it alone, learn takes it as it is" if _is_whole(given) else ""
        raise LearnError(f"cannot choose among k = {given!r}", allowed=several, remedy=alone)
    values: list[Any] = list(given)  # pyright: ignore[reportUnknownArgumentType]
    odd = [value for value in values if not _is_whole(value)]
    if odd:
        raise LearnError(f"{odd[0]!r} is not a whole number of concepts", allowed=several)
    return sorted({operator.index(value) for value in values})


def shown(given: object) -> str:
    """Something in few words, for an error."""
    if isinstance(given, type):
        return f"the class {given.__name__}"
    if isinstance(given, Tensor):
        return f"a tensor of shape {tuple(given.shape)}"
    if isinstance(given, np.ndarray):
        return f"an array of shape {given.shape}"
    text = " ".join(repr(given).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def _elsewhere(given: object) -> str:
    """The call that takes what is not a store."""
    if isinstance(given, ConceptLearner):
        return f"the store comes first, the learner after it: (store, {type(given).__name__}(...))"
    if isinstance(given, Tensor):
        return "states in memory: KMeans(k=20).fit(states), or choose_k(states, ...)"
    if isinstance(given, np.ndarray):
        return "states in memory are tensors: torch.from_numpy(states)"
    return ""


def _is_whole(value: Any) -> bool:
    if isinstance(value, bool):
        return False
    try:
        operator.index(value)
    except TypeError:
        return False
    return True
