"""What a harvest must not do, done to it on purpose: the killing tests must find it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from shiftlens.activations import parts
from shiftlens.activations.manifest import Manifest
from shiftlens.core import manifest


def count_before_writing() -> None:
    """Make files exist under their names before anything is in them, and count them then."""
    real = parts.begin_files

    def begin_files(root: Path, number: int, *rest: Any) -> Callable[[], dict[str, Any]]:
        names = f"shard-{number:05d}.safetensors", f"rows-{number:05d}.parquet"
        for name in names:
            (root / name).touch()
        found = manifest.read_json(root / "manifest.json")
        entry = {"shard": names[0], "rows": names[1], "n": 1, "quarantine": [], "sha256": {}}
        entry["counts"] = {"matched": 1, "missed": 0, "failed": 0}
        known = found["identity"], found["about"], found["n_parts"]
        Manifest(root, *known).add(number, entry)
        return real(root, number, *rest)

    parts.begin_files = begin_files
