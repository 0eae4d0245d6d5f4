"""A store of many wide rows, written shard by shard as ``harvest`` writes it, and its first parts.

Stores of fewer rows are hard links to the same shards: nothing is written twice.
"""

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from benchmarks.store.data import manifest_of
from shiftlens.core.manifest import sha256_file

SHARD = 8192
"""Rows a shard: 64 MB at a width of 4,096 in float16, as the project's stores have."""

ATOMS, ACTIVE, NOISE = 20, 3, 0.3


def write_store(root: Path, n: int, d: int, *, seed: int = 0, shard: int = SHARD) -> None:
    """Sparse mixtures of a few directions around a common mean, with noise, in float16.

    Args:
        root: the store's directory.
        n: rows.
        d: width.
        seed: of all rows.
        shard: rows a shard; the last one may have fewer.
    """
    from safetensors.torch import save_file

    root.mkdir(parents=True)
    starts = range(0, n, shard)
    manifest = manifest_of(root, len(starts))
    random = torch.Generator().manual_seed(seed)
    atoms = normalize(torch.randn(ATOMS, d, generator=random), dim=1) * 8
    mean = torch.randn(d, generator=random) * 0.5
    for number, start in enumerate(starts):
        rows = min(shard, n - start)
        file = root / f"shard-{number:05d}.safetensors"
        save_file({"layer.0": _mixtures(rows, atoms, mean, random)}, file)
        manifest.parts[number] = _part(root, number, file, start, rows)
    manifest.write()


def first_parts(root: Path, out: Path, n: int) -> int:
    """A store of the first parts of another that hold n rows or just above.

    Returns:
        how many rows it has.
    """
    from shiftlens.activations.manifest import read_manifest

    whole = read_manifest(root)
    out.mkdir(parents=True)
    kept: dict[int, dict[str, Any]] = {}
    rows = 0
    for number in sorted(whole.parts):
        if rows >= n:
            break
        part = whole.parts[number]
        for name in (part["shard"], part["rows"]):
            os.link(root / name, out / name)
        kept[number], rows = part, rows + int(part["n"])
    manifest = manifest_of(out, len(kept))
    manifest.parts.update(kept)
    manifest.write()
    return rows


def _mixtures(n: int, atoms: Tensor, mean: Tensor, random: torch.Generator) -> Tensor:
    k, d = atoms.shape
    chosen = torch.rand(n, k, generator=random).topk(ACTIVE, dim=1).indices
    codes = torch.zeros(n, k).scatter_(1, chosen, 0.5 + torch.rand(n, ACTIVE, generator=random))
    rows = torch.randn(n, d, generator=random).mul_(NOISE)
    return rows.addmm_(codes, atoms).add_(mean).half()


def _part(root: Path, number: int, file: Path, start: int, n: int) -> dict[str, Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [f"s{row}" for row in range(start, start + n)]
    same = {"prompt": "what is this ?", "response": "a dog", "status": "matched", "word": "dog",
            "labels": "{}", "truncated": False, "position": 1, "token_ids": [0]}  # fmt: skip
    columns: dict[str, Any] = {name: [value] * n for name, value in same.items()}
    columns |= {"sample_id": names, "image": names, "state": list(range(n))}
    rows = root / f"rows-{number:05d}.parquet"
    pq.write_table(pa.table(columns), rows)
    return {
        "shard": file.name,
        "rows": rows.name,
        "n": n,
        "counts": {"matched": n, "missed": 0, "failed": 0},
        "quarantine": [],
        "sha256": {"shard": sha256_file(file), "rows": sha256_file(rows)},
    }
