"""The types in which weights lie on disk: what a copy was rounded to before it was loaded."""

from pathlib import Path

import torch

from shiftlens.models.model import Model

_TYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}


def coarsest_eps(*models: Model) -> float:
    """Relative distance between neighbouring numbers in the coarsest type of the models' weights.

    Both the types in memory and those of the files count: a copy saved in half precision stays
    rounded when it is loaded in float32. Integers of quantised weights have no such distance.
    """
    types = {model.dtype for model in models}
    for model in models:
        types |= stored_types(model.origin.directory)
    return max(torch.finfo(one).eps for one in types)


def stored_types(directory: Path) -> set[torch.dtype]:
    """Types of the floating-point tensors in a directory's safetensors files."""
    from safetensors import safe_open

    found: set[torch.dtype] = set()
    for file in sorted(directory.glob("*.safetensors")):
        with safe_open(file, framework="pt") as opened:
            names = {str(opened.get_slice(key).get_dtype()) for key in opened.keys()}  # noqa: SIM118
        found |= {_TYPES[name] for name in names if name in _TYPES}
    return found
