"""The two files of one part of a store: its states, and a table of what they are of."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from torch import Tensor

from shiftlens.activations.finite import rows_not_finite
from shiftlens.core.manifest import replacing_all
from shiftlens.core.places import Remote


def begin_files(
    root: Path | Remote,
    number: int,
    rows: Sequence[Mapping[str, Any]],
    tensors: Mapping[str, Tensor],
    counts: Mapping[str, int],
    quarantine: Sequence[Mapping[str, str]],
) -> Callable[[], dict[str, Any]]:
    """Write shard and rows; what is given back waits until they are on the disk.

    Nothing is in its place before that is called, and files count once the manifest names them.

    Args:
        root: the store's directory or address; there, they are put once they are whole here.
        number: of the part.
        rows: the table: a line for each state, and one for each sample without any.
        tensors: the states by name, ``layer.L``: (n, d); none where the part has no states.
        counts: samples that matched, missed and failed.
        quarantine: samples that could not be used, with ``id`` and ``reason``.

    Returns:
        what waits, in any thread, moves the files to where they belong, and gives the part's entry
        for the manifest. It raises ``MachineError`` where the disk is full, or the place cannot be
        reached.

    Raises:
        MachineError: the disk is full.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq
    from safetensors.torch import save_file

    folder = root.workshop if isinstance(root, Remote) else root
    shard, table = folder / f"shard-{number:05d}.safetensors", folder / f"rows-{number:05d}.parquet"
    with ExitStack() as stack:
        files = stack.enter_context(replacing_all(shard, table))
        states, lines = files.temporaries
        save_file(dict(tensors), states)
        files.written(states)
        pq.write_table(pa.Table.from_pylist(list(rows), schema=_schema()), lines)
        files.written(lines)
        bad = rows_not_finite(tensors)
        held = stack.pop_all()
    entry: dict[str, Any] = {
        "shard": shard.name,
        "rows": table.name,
        "n": sum(row["state"] is not None for row in rows),
        "counts": dict(counts),
        **({"not_finite": bad} if bad else {}),
        "quarantine": list(quarantine),
    }

    def settle() -> dict[str, Any]:
        with held:
            entry["sha256"] = dict(zip(("shard", "rows"), files.digests, strict=True))
        if isinstance(root, Remote):
            for file in (shard, table):
                root.put(file, file.name)
                file.unlink()
        return entry

    return settle


def _schema() -> Any:
    import pyarrow as pa

    text = ("sample_id", "image", "prompt", "response", "status", "word", "labels")
    return pa.schema(
        [
            *((name, pa.string()) for name in text),
            ("token_ids", pa.list_(pa.int64())),
            ("truncated", pa.bool_()),
            ("position", pa.int64()),
            ("state", pa.int64()),
        ]
    )
