"""Digests of what decides an answer, so that kept answers are never taken for those of others."""

import hashlib
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from shiftlens.core.manifest import digest
from shiftlens.models.readout import Readout
from shiftlens.steering.intervening import Intervention

_NAMES = ("name", "provenance", "state_norm")  # tell where something is from, and change no answer


class Unknowable(Exception):
    """Something that cannot be compared with what an earlier run was given: a function."""


def intervention_key(one: Intervention | None) -> str | None:
    """Digest of all that an intervention does; ``None`` where a function decides a part of it.

    Args:
        one: what is done; ``None`` for the unsteered model.
    """
    if one is None:
        return "unsteered"
    try:
        return digest(_described(one))
    except Unknowable:
        return None


def _described(value: Any) -> Any:
    """A value as JSON, arrays by the digest of their bytes."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Tensor):
        return _array(value.detach().cpu().contiguous())
    if isinstance(value, np.ndarray):
        return _array(torch.from_numpy(np.ascontiguousarray(value)))
    if isinstance(value, Readout):  # of the model, whose identity is part of every key
        return ["readout", value.adapter_on, value.slot, value.scale, value.soft_cap]
    if is_dataclass(value) and not isinstance(value, type):
        inner = {
            one.name: _described(getattr(value, one.name))
            for one in fields(value)
            if one.name not in _NAMES
        }
        return [f"{type(value).__module__}.{type(value).__qualname__}", inner]
    return _collected(value)


def _collected(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _described(inner) for key, inner in value.items()}
    if isinstance(value, AbstractSet):
        return sorted((_described(one) for one in value), key=str)
    if isinstance(value, Sequence):
        return [_described(one) for one in value]
    if isinstance(value, Path):
        return str(value)
    raise Unknowable(type(value).__name__)


def _array(values: Tensor) -> list[Any]:
    raw = values.reshape(-1).view(torch.uint8).numpy().tobytes() if values.numel() else b""
    return [str(values.dtype), list(values.shape), hashlib.sha256(raw).hexdigest()]
