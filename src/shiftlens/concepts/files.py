"""One ``.safetensors`` and one ``.json`` beside it: how every frozen result is kept.

The JSON holds the SHA-256 of the tensors, so that two halves of different results never pass for
one.
"""

from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from shiftlens.core.errors import StoreError
from shiftlens.core.manifest import read_json, replacing, sha256_file, write_json


def save_pair(path: Path, kind: str, schema: int, tensors: dict[str, Tensor], data: Any) -> None:
    """Write ``path.safetensors`` and ``path.json``; the JSON last, which makes the result exist.

    Args:
        path: without an ending.
        kind: what it is ("concepts").
        schema: version of the layout.
        tensors: by name.
        data: JSON value of everything else.
    """
    arrays = path.with_name(path.name + ".safetensors")
    with replacing(arrays) as temporary:
        save_file({name: t.detach().cpu().contiguous() for name, t in tensors.items()}, temporary)
    head = {"kind": kind, "schema": schema, "sha256": sha256_file(arrays)}
    write_json(path.with_name(path.name + ".json"), {**head, "data": data})


def load_pair(
    path: Path, kind: str, schema: int, *, oldest: int | None = None
) -> tuple[dict[str, Tensor], Any]:
    """Read what ``save_pair`` wrote.

    Args:
        path: without an ending.
        kind: what it must be.
        schema: the version of today.
        oldest: the oldest version that can still be read; only today's unless given.

    Raises:
        StoreError: missing, damaged, of another kind or schema, or two halves that do not match.
    """
    arrays = path.with_name(path.name + ".safetensors")
    head = read_json(path.with_name(path.name + ".json"))
    found = (head.get("kind"), head.get("schema")) if isinstance(head, dict) else (None, None)
    readable = range(schema if oldest is None else oldest, schema + 1)
    if found[0] != kind or found[1] not in readable:
        raise StoreError(
            f"{path}.json holds {found[0]!r} of schema {found[1]!r}",
            allowed=f"{kind!r} of schema {' or '.join(map(str, readable))}",
        )
    if not arrays.exists() or sha256_file(arrays) != head["sha256"]:
        raise StoreError(f"{arrays} is missing, or is not the one that {path.name}.json belongs to")
    try:
        return load_file(arrays), head["data"]
    except SafetensorError as error:
        raise StoreError(f"{arrays} is damaged ({error})") from error
