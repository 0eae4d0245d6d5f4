"""Rows to write, as ``harvest`` would have them, and the store that it would make of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from shiftlens.activations.manifest import Manifest
from shiftlens.activations.part_files import begin_files
from shiftlens.activations.site import Site
from shiftlens.activations.tokens import word
from shiftlens.activations.writing import Counting

D = 4096
PART = 256
"""Rows a shard where each sample gives one state, in a harvest of parts of 256 samples."""

LARGE_PART = 8192
"""Rows a shard of 64 MB."""


def drawn(n: int, d: int) -> Tensor:
    """Random numbers in float16, (n, d)."""
    return torch.randn(n, d, generator=torch.Generator().manual_seed(0)).half()


def manifest_of(root: Path, n_parts: int) -> Manifest:
    """The manifest of a store that has no parts yet."""
    identity = {
        "model": {"weights": "none"},
        "data": "drawn",
        "site": Site(0, word("dog")).describe(),
        "text": "own",
        "options": {},
    }
    return Manifest(root, identity, {"model": "drawn rows"}, n_parts)


def table(start: int, n: int) -> list[dict[str, Any]]:
    """The lines of a part: answers of a dozen tokens."""
    text = "a dog and a cat are standing on the street in the snow"
    return [
        {
            "sample_id": f"sample-{start + at}",
            "image": f"pictures/{start + at:012d}.jpg",
            "prompt": "Describe the picture.",
            "response": f"{text} {start + at}",
            "token_ids": list(range(start + at, start + at + 12)),
            "truncated": False,
            "status": "matched",
            "word": "dog",
            "position": 1,
            "state": at,
            "labels": "{}",
        }
        for at in range(n)
    ]


def chunks(n: int, size: int) -> Iterator[tuple[int, int, int]]:
    """Number, first row and length of every part."""
    for number, start in enumerate(range(0, n, size)):
        yield number, start, min(size, n - start)


def tables(n: int, size: int) -> list[list[dict[str, Any]]]:
    """The tables of all parts."""
    return [table(start, length) for _, start, length in chunks(n, size)]


def write_store(
    root: Path, states: Tensor, n: int, size: int, rows: list[list[dict[str, Any]]] | None = None
) -> None:
    """Write a store part by part, as ``harvest`` does: every file synced, renamed and hashed.

    Args:
        root: its directory.
        states: (m, d), of which the store has as many copies as it needs; size divides m.
        n: rows of the store.
        size: rows a part.
        rows: the tables of all parts, where they are known already.
    """
    root.mkdir(parents=True)
    lines = tables(n, size) if rows is None else rows
    manifest = manifest_of(root, -(-n // size))
    manifest.write()
    with Counting([manifest]) as counting:
        for number, start, length in chunks(n, size):
            counts = {"matched": length, "missed": 0, "failed": 0}
            tensors = {"layer.0": states[start % len(states) :][:length]}
            begun = begin_files(root, number, lines[number], tensors, counts, [])
            counting.add(number, lambda begun=begun: [begun()])
    manifest.finish()
