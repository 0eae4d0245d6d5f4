"""One ``.safetensors`` and one ``.json`` beside it: how every frozen result is kept.

The JSON holds the SHA-256 of the tensors, so that two halves of different results never pass for
one, and that of its own data. They find damage and careless edits; whoever changes a file on
purpose can write a new SHA-256 as well.
"""

import math
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from shiftlens.core.errors import ShiftLensError, StoreError
from shiftlens.core.fields import Fields
from shiftlens.core.manifest import digest, replacing, sha256_file, write_json
from shiftlens.core.strict_json import read_strict, shown

_LONGEST = 1000
"""Letters of an error about a file."""


def save_pair(
    path: Path,
    kind: str,
    schema: int,
    tensors: Mapping[str, Tensor],
    data: Any,
    *,
    finite: bool = True,
) -> None:
    """Write ``path.safetensors`` and ``path.json``; the JSON last, which makes the result exist.

    Args:
        path: without an ending.
        kind: what it is ("concepts").
        schema: version of the layout.
        tensors: by name.
        data: JSON value of everything else.
        finite: write null for NaN and infinity, which are no JSON; see ``load_pair``.
    """
    data = _finite(data) if finite else data
    arrays = path.with_name(path.name + ".safetensors")
    with replacing(arrays) as temporary:
        save_file({name: t.detach().cpu().contiguous() for name, t in tensors.items()}, temporary)
    head = {
        "kind": kind,
        "schema": schema,
        "sha256": sha256_file(arrays),
        "data_sha256": digest(data),
    }
    write_json(path.with_name(path.name + ".json"), {**head, "data": data})


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def load_pair(
    path: Path, kind: str, schema: int, *, oldest: int | None = None, finite: bool = True
) -> tuple[dict[str, Tensor], Any]:
    """Read what ``save_pair`` wrote.

    Args:
        path: without an ending.
        kind: what it must be.
        schema: the version of today.
        oldest: the oldest version that can still be read; only today's unless given.
        finite: refuse NaN and infinity in the JSON.

    Raises:
        StoreError: missing, damaged, of another kind or schema, or two halves that do not match.
    """
    arrays = path.with_name(path.name + ".safetensors")
    head = Fields(read_strict(path.with_name(path.name + ".json"), finite=finite), f"{path}.json")
    found = (head.take("kind", None), head.take("schema", None))
    readable = range(schema if oldest is None else oldest, schema + 1)
    # ``True == 1``: a flag is no version.
    if found[0] != kind or type(found[1]) is not int or found[1] not in readable:
        raise StoreError(
            f"{path}.json holds {shown(found[0])} of schema {shown(found[1])}",
            allowed=f"{kind!r} of schema {' or '.join(map(str, readable))}",
        )
    if not arrays.is_file() or sha256_file(arrays) != head.text("sha256"):
        raise StoreError(
            f"{arrays} is missing, or is not the one that {path.name}.json belongs to",
            remedy="fetch both files again from where they came from",
        )
    data = head.take("data")
    # Files of earlier versions have no digest of their data.
    if head.take("data_sha256", None) not in (None, digest(data)):
        raise StoreError(
            f"{path}.json is not as it was written: its data have another SHA-256",
            allowed="changes in Python: load, dataclasses.replace, save",
            remedy="fetch both files again from where they came from",
        )
    head.done()
    return _tensors(arrays), data


def _tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a file; only safetensors are ever opened, and nothing in them can run."""
    try:
        return load_file(path)
    except (SafetensorError, ValueError, TypeError, KeyError, OSError, RuntimeError) as error:
        raise StoreError(f"{path} is damaged ({str(error)[:200]})") from error


def direction_of(tensors: Mapping[str, Tensor], name: str, where: str, *, dims: int = 1) -> Tensor:
    """A float tensor of a file, in float32.

    Args:
        tensors: of the file, by name.
        name: of the tensor.
        where: for messages.
        dims: how many dimensions it must have.

    Raises:
        StoreError: it is missing, of another shape, of whole or complex numbers, or not finite.
    """
    found = tensors.get(name)
    if found is None:
        raise StoreError(f"{where} has no tensor {name!r}")
    floats = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
    if found.dtype not in floats or found.ndim != dims or not found.numel():
        raise StoreError(
            f"the tensor {name!r} of {where} is {found.dtype} of shape {tuple(found.shape)}",
            allowed=f"numbers of float32 in {dims} dimension{'s' * (dims > 1)}",
        )
    found = found.float()
    if not bool(torch.isfinite(found).all()):
        raise StoreError(f"the tensor {name!r} of {where} has entries that are not finite")
    return found


def provenance_of(data: Fields) -> dict[str, Any]:
    """What a file says of where it comes from; the model in it is what others are held against.

    Raises:
        StoreError: it is no object, or its model or its parts are of the wrong kind.
    """
    found = data.object("provenance", {})
    model, parts = found.get("model"), found.get("parts")
    if model is not None:
        weights = Fields(model, f"the model of {data.where}").take("weights", None)
        if weights is not None and not isinstance(weights, str):
            raise data.wrong("weights", weights, "the fingerprint of a model")
    if parts is not None and not isinstance(parts, list):
        raise data.wrong("parts", parts, "a list")
    return found


@contextmanager
def refusing(where: str) -> Generator[None]:
    """Turn whatever a file made of wrong parts sets off into one sentence of bearable length.

    Raises:
        StoreError: something was raised that is not an error of ours, or one that repeats a text
            of the file at length.
    """
    try:
        yield
    except ShiftLensError as error:
        if len(str(error)) <= _LONGEST:
            raise
        raise StoreError(f"{where} cannot be read ({str(error)[:200]}...)") from None
    except (OSError, MemoryError):
        raise
    except Exception as error:
        raise StoreError(
            f"{where} holds what does not fit together ({type(error).__name__}: {str(error)[:200]})"
        ) from error
