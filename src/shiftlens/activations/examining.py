"""What ``verify`` looks at in the files of one part, and what it counts over all of them."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from torch import Tensor

from shiftlens.activations.heads import read_head
from shiftlens.activations.manifest import Manifest
from shiftlens.core.errors import StoreError
from shiftlens.core.manifest import sha256_file
from shiftlens.core.places import Kept, Remote

_PARQUET = b"PAR1"  # the last bytes of every whole table
_AT_ONCE = 2**22  # numbers looked at together: the memory that it takes does not grow with a shard


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong.

    Attributes:
        kind: ``manifest``, ``unfinished``, ``missing``, ``truncated``, ``changed``, ``unreadable``,
            ``rows`` (numbers of rows that do not agree), ``type`` or ``not finite``.
        file: which file, or the directory.
        text: one sentence.
    """

    kind: str
    file: str
    text: str


@dataclass(frozen=True)
class Finite:
    """What is not finite in one layer.

    Attributes:
        layer: of the store.
        values: how many numbers were looked at.
        nan: share of them that are no number.
        inf: share of them that are infinite.
        rows: states that have any of either.
    """

    layer: int
    values: int
    nan: float
    inf: float
    rows: int


@dataclass
class Counts:
    """What is counted over all parts."""

    files: int = 0
    bytes: int = 0
    values: dict[int, int] = field(default_factory=dict[int, int])
    nan: dict[int, int] = field(default_factory=dict[int, int])
    inf: dict[int, int] = field(default_factory=dict[int, int])
    rows: dict[int, int] = field(default_factory=dict[int, int])
    kinds: dict[int, tuple[str, int]] = field(default_factory=dict[int, tuple[str, int]])

    def add(self, layer: int, states: Tensor) -> None:
        """Count what is not finite, some rows at a time."""
        step = max(1, _AT_ONCE // max(1, states.shape[1]))
        for start in range(0, len(states), step):
            some = states[start : start + step]
            nan, inf = some.isnan(), some.isinf()
            for counted, n in (
                (self.values, some.numel()),
                (self.nan, int(nan.sum())),
                (self.inf, int(inf.sum())),
                (self.rows, int((nan | inf).any(dim=1).sum())),
            ):
                counted[layer] = counted.get(layer, 0) + n

    def of(self, layer: int) -> Finite:
        """The shares of a layer; no share of nothing."""
        n = self.values.get(layer, 0)
        nan, inf = (one.get(layer, 0) / max(1, n) for one in (self.nan, self.inf))
        return Finite(layer, n, nan, inf, self.rows.get(layer, 0))


def examine_part(
    manifest: Manifest, part: dict[str, Any], layers: list[int], counts: Counts
) -> Iterator[Fault]:
    """Check both files of a part, whatever is found in either.

    Args:
        manifest: of the store.
        part: its entry.
        layers: that the shard must hold.
        counts: what is counted over all parts; brought up to date.

    Raises:
        KeyError: the entry lacks what every entry has; others for values of a wrong type.
        MachineError: the store is far away, and cannot be reached.
    """
    for kind in ("shard", "rows"):
        file = manifest.file(part, kind)
        counts.files += 1
        with _borrowed(file) as path:
            if path is None:
                yield Fault("missing", file.name, f"{file} is missing or damaged (no such file)")
                continue
            counts.bytes += path.stat().st_size
            yield from _examine_bytes(file, path)
            if kind == "shard":
                yield from _examine_shard(file, path, int(part["n"]), layers, counts)
            else:
                yield from _examine_rows(file, path, int(part["n"]))


@contextmanager
def _borrowed(file: Kept) -> Generator[Path | None]:
    """The file, or a copy that is removed again; nothing where there is none."""
    if not isinstance(file.folder, Remote):
        path = file.folder / file.name
        yield path if path.is_file() else None
        return
    with TemporaryDirectory(prefix="shiftlens-") as folder:
        path = Path(folder) / file.name
        try:
            file.folder.get(file.name, path)
        except StoreError:
            path = None
        yield path


def _examine_bytes(file: Kept, path: Path) -> Iterator[Fault]:
    """Whether a file is what was written, or at least as long."""
    if sha256_file(path) == file.sha256:
        return
    short = _cut_off(path)
    kind, why = ("truncated", short) if short else ("changed", "another SHA-256")
    yield Fault(kind, file.name, f"{file} is missing or damaged ({why})")


def _cut_off(path: Path) -> str:
    """How much of a file that was changed is there, if its format tells that some is not."""
    size = path.stat().st_size
    if path.suffix == ".parquet":
        with path.open("rb") as stream:
            stream.seek(max(0, size - len(_PARQUET)))
            whole = stream.read() == _PARQUET
        return "" if whole else f"cut off at {size} bytes"
    try:
        wanted = read_head(Kept(path.parent, path.name, "")).size
    except StoreError:
        return ""
    return f"cut off at {size} of {wanted} bytes" if size < wanted else ""


def _examine_shard(
    file: Kept, path: Path, n: int, layers: list[int], counts: Counts
) -> Iterator[Fault]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as shard:
            wanted = [f"layer.{layer}" for layer in layers] if n else []
            if sorted(shard.keys()) != sorted(wanted):
                text = f"{file} holds {', '.join(sorted(shard.keys())) or 'nothing'}"
                yield Fault("rows", file.name, f"{text}, not {', '.join(wanted) or 'nothing'}")
            held = {one: shard.get_tensor(f"layer.{one}") for one in layers
                    if f"layer.{one}" in shard.keys()}  # noqa: SIM118  # fmt: skip
    except (OSError, SafetensorError) as error:
        yield Fault("unreadable", file.name, f"{file} cannot be read ({error})")
        return
    for layer, states in held.items():
        if states.ndim != 2 or len(states) != n:
            shape = tuple(states.shape)
            text = f"{file} holds states of shape {shape} for layer {layer}, not {n} rows"
            yield Fault("rows", file.name, text)
        if states.ndim == 2:
            yield from _examine_kind(file, layer, states, counts)
            counts.add(layer, states)


def _examine_kind(file: Kept, layer: int, states: Tensor, counts: Counts) -> Iterator[Fault]:
    """Whether all shards hold one type and width."""
    kind = str(states.dtype).removeprefix("torch."), states.shape[1]
    first = counts.kinds.setdefault(layer, kind)
    if kind != first:
        own, others = (f"{dtype} of width {width}" for dtype, width in (kind, first))
        text = f"{file} holds {own} for layer {layer}, the shards before it {others}"
        yield Fault("type", file.name, text)


def _examine_rows(file: Kept, path: Path, n: int) -> Iterator[Fault]:
    """Whether a table has one line for each state, in their order."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as table:
            lines = table.read(columns=["state"]).to_pylist()
    except (OSError, ValueError, pa.ArrowException) as error:
        yield Fault("unreadable", file.name, f"{file} cannot be read ({error})")
        return
    states = [line.get("state") for line in lines if line.get("state") is not None]
    if states != list(range(n)):
        text = f"{file} has lines for {len(states)} states, not for {n} in their order"
        yield Fault("rows", file.name, text)
