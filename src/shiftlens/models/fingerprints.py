"""Digests of weights: cheap, stable, and independent of where the files lie."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from shiftlens.core.manifest import digest, sha256_file

_WHOLE = 64 * 2**20  # weights up to 64 MB are hashed whole
_BLOCK, _BLOCKS = 2**20, 32  # larger files: header, size and 32 blocks of 1 MB spread over the file
_SAMPLED = 2**18  # values of a tensor that are hashed


def fingerprint_files(directory: Path) -> str:
    """Digest of the safetensors files of a model or an adapter.

    Small files are hashed whole (``sha256:``). Of larger ones (``sampled:``) the header, the size
    and evenly spread blocks are: a fine-tune changes them all, a single flipped bit may escape.
    """
    files = sorted(directory.glob("*.safetensors"))
    whole = sum(file.stat().st_size for file in files) <= _WHOLE
    parts = [(file.name, sha256_file(file) if whole else _sampled(file)) for file in files]
    return f"{'sha256' if whole else 'sampled'}:{digest(parts)}"


def _sampled(file: Path) -> str:
    size = file.stat().st_size
    seen = hashlib.sha256(str(size).encode())
    with file.open("rb") as stream:
        header = int.from_bytes(stream.read(8), "little")
        seen.update(stream.read(min(header, size)))
        for index in range(_BLOCKS):
            stream.seek(max(0, (size - _BLOCK) * index // (_BLOCKS - 1)))
            seen.update(stream.read(_BLOCK))
    return seen.hexdigest()


def fingerprint_tensors(tensors: Mapping[str, Tensor]) -> str:
    """Digest of named tensors: names, shapes, types and evenly spread values."""
    seen = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach()
        seen.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        flat = tensor.reshape(-1)
        flat = flat[:: max(1, flat.numel() // _SAMPLED)].contiguous().cpu()
        seen.update(flat.view(torch.uint8).numpy().tobytes())
    return f"tensors:{seen.hexdigest()}"


_ABOUT_FILES = {"_name_or_path", "name_or_path", "transformers_version", "dtype", "torch_dtype"}


def fingerprint_settings(settings: Any) -> str:
    """Digest of a configuration of transformers: what decides numbers, not where files lie."""
    return digest(_plain(settings.to_dict()) if settings is not None else None)


# What PEFT writes about files and training: a loaded adapter computes the same whatever they say.
_ABOUT_TRAINING = {
    "auto_mapping",
    "base_model_name_or_path",
    "inference_mode",
    "init_lora_weights",
    "lora_dropout",
    "peft_version",
    "revision",
    "task_type",
}


def fingerprint_adapter_config(directory: Path) -> str:
    """Digest of an adapter's configuration: its scale and places decide numbers, as tensors do."""
    text = (directory / "adapter_config.json").read_text(encoding="utf-8")
    fields: dict[str, Any] = json.loads(text)
    # PEFT saves sets as lists in any order, and each version adds fields that are off.
    kept = {
        key: sorted(value, key=str) if isinstance(value, list) else value
        for key, value in fields.items()
        if value and key not in _ABOUT_TRAINING
    }
    return digest(kept)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            str(key): _plain(one)
            for key, one in sorted(value.items(), key=lambda pair: str(pair[0]))
            if key not in _ABOUT_FILES and not str(key).startswith("_attn")
        }
    if isinstance(value, list | tuple | set):
        return [_plain(one) for one in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
