"""The head of a safetensors file: what it holds, read without torch.

A file is eight bytes (how long the head is), the head as JSON (for each tensor its type, shape and
place), and the numbers.
"""

import json
from dataclasses import dataclass
from typing import Any

from shiftlens.core.errors import ShiftLensError, StoreError
from shiftlens.core.places import ANEW, Kept

BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1}
"""Bytes of a number, by the type's name in a file."""

NAMES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
"""What torch calls a type."""

_LONGEST = 100_000_000  # bytes of a head; safetensors refuses longer ones too


@dataclass(frozen=True)
class Held:
    """One tensor of a file.

    Attributes:
        dtype: such as ``F16``.
        shape: of the tensor.
    """

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Head:
    """What a file holds.

    Attributes:
        tensors: by name.
        size: bytes that the whole file should have.
    """

    tensors: dict[str, Held]
    size: int


def read_head(file: Kept) -> Head:
    """Read the head of a safetensors file; its numbers are not looked at, or fetched.

    Raises:
        StoreError: the file is missing, or its head is cut off or damaged.
        MachineError: it is far away, and cannot be reached.
    """
    try:
        start = file.read(0, 8)
        length = int.from_bytes(start, "little")
        if len(start) < 8 or length > _LONGEST:
            raise ValueError("its first eight bytes are no length of a head")
        value: dict[str, Any] = json.loads(file.read(8, 8 + length))
        value.pop("__metadata__", None)
        held = {name: Held(one["dtype"], tuple(one["shape"])) for name, one in value.items()}
        ends = [int(one["data_offsets"][1]) for one in value.values()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        if isinstance(error, ShiftLensError):
            raise
        raise StoreError(f"{file} is missing or damaged ({error})", remedy=ANEW) from error
    return Head(held, 8 + length + max(ends, default=0))
