"""Whether a family that counts its own positions gives each row of a batch its own."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from shiftlens.core.errors import DataError
from shiftlens.models.model import Model

_COUNTER = "get_rope_index"
# What counting may stumble over where it wants what the processor did not give.
_UNCOUNTED = (ValueError, TypeError, RuntimeError, LookupError, AttributeError)


class _Known:
    """What was found for a module: nothing yet, or whether its rows are alike."""

    def __init__(self) -> None:
        self.alike: bool | None = None


def require_rows_alike(
    model: Model, n_seeing: int, twice: Callable[[], Mapping[str, Tensor]]
) -> None:
    """Refuse several rows with pictures where the family numbers pictures across the rows.

    HunYuan-VL of transformers 5.23 does: the second row's picture gets the positions of a second
    picture, and its states are not those that it has alone.

    Args:
        model: who will read the batch.
        n_seeing: rows with pictures.
        twice: gives the inputs of one prompt with a picture, twice in a batch; it is asked once.

    Raises:
        DataError: the rows would not be read as each is alone.
    """
    if n_seeing < 2:
        return
    known = model.tenancy.remembered(_Known)
    if known.alike is None:
        known.alike = _alike(model, twice)
    if not known.alike:
        raise DataError(
            f"{model.name} numbers pictures across the rows of a batch, so that a second row with "
            "a picture is not read as it is alone",
            allowed="one row with a picture at a time",
            remedy="batch_size=1",
        )


def _alike(model: Model, twice: Callable[[], Mapping[str, Tensor]]) -> bool:
    """Two equal rows must be counted alike; where that cannot be asked, nothing is refused."""
    owners: Sequence[Any] = (model.hf, getattr(model.hf, "base_model", model.hf))
    count = next((getattr(one, _COUNTER) for one in owners if hasattr(one, _COUNTER)), None)
    if count is None:
        return True
    try:
        tensors = {name: value.to(model.device) for name, value in twice().items()}
        wanted = inspect.signature(count).parameters
        found = count(**{name: value for name, value in tensors.items() if name in wanted})
    except _UNCOUNTED:
        return True
    positions = found[0] if isinstance(found, tuple) else found
    if not isinstance(positions, Tensor) or positions.ndim < 2:
        return True
    return torch.equal(positions[..., 0, :], positions[..., 1, :])
