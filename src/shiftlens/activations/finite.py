"""States that are no numbers: a model that overflows or divides by zero must not do so unheard.

They are kept as they are, so that a store holds what the model computed; ``learn`` refuses them.
"""

import warnings
from collections.abc import Mapping, Sequence
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING

from shiftlens.activations.manifest import Manifest

if TYPE_CHECKING:
    from torch import Tensor


class NotFinite(UserWarning):
    """States of a harvest hold NaN or infinity."""


def rows_not_finite(tensors: "Mapping[str, Tensor]") -> int:
    """How many rows hold NaN or infinity in any of several tensors (n, d)."""
    bad = [~one.isfinite().all(dim=1) for one in tensors.values() if not _is_finite(one)]
    return int(reduce(or_, bad).sum()) if bad else 0


def _is_finite(tensor: "Tensor") -> bool:
    """The same for a whole tensor, at a fortieth of the cost: NaN passes through both ends."""
    return tensor.numel() == 0 or all(bool(one.isfinite()) for one in tensor.aminmax())


def warn_not_finite(stores: Sequence[Manifest], what: str = "states") -> None:
    """Warn of stores that hold such states, or answers given from them; once for all of them."""
    counted = {one.root: one.not_finite for one in stores if one.not_finite}
    if counted:
        told = ", ".join(f"{n} {what} in {root}" for root, n in counted.items())
        warnings.warn(
            f"NaN or infinity in {told}: the model overflows, or its weights are damaged; another "
            "dtype may help",
            NotFinite,
            stacklevel=3,
        )
