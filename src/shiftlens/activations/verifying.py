"""``verify``: is every file of a store what its manifest says, and is every number finite?"""

import shlex
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from shiftlens.activations.heads import read_head
from shiftlens.activations.manifest import Manifest, has_manifest, read_manifest
from shiftlens.core.errors import StoreError
from shiftlens.core.manifest import sha256_file
from shiftlens.core.progress import Progress, Silent

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


@dataclass(frozen=True)
class Verification:
    """What was found in a store.

    Attributes:
        path: its directory.
        faults: everything that is wrong, in the order of the parts; empty for a sound store.
        layers: the share of NaN and infinity in each, over the shards that could be read.
        files: how many files were checked, and found or missed.
        bytes: of the files that are there.
        unnamed: files that no manifest names, which is not a fault: what a killed run left behind,
            or somebody's notes.
    """

    path: Path
    faults: tuple[Fault, ...]
    layers: tuple[Finite, ...] = ()
    files: int = 0
    bytes: int = 0
    unnamed: tuple[str, ...] = ()

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults

    @property
    def command(self) -> str:
        """The command that shows the same."""
        return shlex.join(["shiftlens", "store", "verify", str(self.path)])

    def to_dict(self) -> dict[str, Any]:
        """The findings as JSON."""
        return {**asdict(self), "path": str(self.path), "sound": self.sound}


def verify(path: str | Path, *, progress: Progress | None = None) -> Verification:
    """Check a store: checksums, lengths, numbers of rows, and NaN and infinity in each layer.

    Goes on behind a fault, so that all of them are told; an unfinished store is checked as far as
    it is there.

    Args:
        path: the store's directory.
        progress: who is told how many parts were looked at.

    Raises:
        StoreError: there is no store.
    """
    root = Path(path)
    if not has_manifest(root):
        read_manifest(root)  # says so
    try:
        manifest = read_manifest(root)
        found = examine(manifest, progress)
    except (StoreError, KeyError, TypeError, AttributeError, ValueError) as error:
        why = str(error) if isinstance(error, StoreError) else f"{root}: damaged manifest ({error})"
        return Verification(root, (Fault("manifest", "manifest.json", why),))
    named = {part[kind] for part in manifest.parts.values() for kind in ("shard", "rows")}
    others = sorted(one.name for one in root.iterdir() if one.is_file() and one.name not in named)
    unnamed = [name for name in others if not _belongs(name)]
    return Verification(root, found.faults, found.layers, found.files, found.bytes, (*unnamed,))


def examine(manifest: Manifest, progress: Progress | None = None) -> Verification:
    """Check the files that a manifest names.

    Raises:
        KeyError: the manifest lacks what every manifest has; others for values of a wrong type.
    """
    faults, counts = _unfinished(manifest), _Counts()
    layer = manifest.identity["site"]["layer"]
    layers = layer if isinstance(layer, list) else [layer]
    listener = progress or Silent()
    listener.start(f"verifying {manifest.root.name}", len(manifest.parts))
    try:
        for part in manifest.ordered():
            faults += _examine_part(manifest.root, part, layers, counts)
            listener.advance()
    finally:
        listener.stop()
    finite = tuple(counts.of(one) for one in layers)
    for one in finite:
        if one.rows:
            text = f"layer {one.layer}: {one.rows} states hold NaN or infinity"
            faults.append(Fault("not finite", f"layer.{one.layer}", f"{manifest.root}: {text}"))
    return Verification(manifest.root, tuple(faults), finite, counts.files, counts.bytes)


@dataclass
class _Counts:
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


def _belongs(name: str) -> bool:
    """Whether a file is the store's own without being named in the manifest."""
    locks = name.startswith(".lock-")
    known = name in ("manifest.json", ".request.json")
    return known or locks or (name.startswith("journal") and name.endswith(".jsonl"))


def _unfinished(manifest: Manifest) -> list[Fault]:
    if manifest.complete:
        return []
    done = f"{len(manifest.parts)} of {manifest.n_parts} parts"
    text = f"{manifest.root} is unfinished: {done}; run the same harvest again"
    return [Fault("unfinished", "manifest.json", text)]


def _examine_part(
    root: Path, part: dict[str, Any], layers: list[int], counts: _Counts
) -> Iterator[Fault]:
    shard, rows = root / part["shard"], root / part["rows"]
    for kind, path in (("shard", shard), ("rows", rows)):
        counts.files += 1
        if path.is_file():
            counts.bytes += path.stat().st_size
            yield from _examine_bytes(path, part["sha256"][kind])
        else:
            yield Fault("missing", path.name, f"{path} is missing or damaged (no such file)")
    if shard.is_file():
        yield from _examine_shard(shard, int(part["n"]), layers, counts)
    if rows.is_file():
        yield from _examine_rows(rows, part)


def _examine_bytes(path: Path, wanted: str) -> Iterator[Fault]:
    """Whether a file is what was written, or at least as long."""
    if sha256_file(path) == wanted:
        return
    short = _cut_off(path)
    kind, why = ("truncated", short) if short else ("changed", "another SHA-256")
    yield Fault(kind, path.name, f"{path} is missing or damaged ({why})")


def _cut_off(path: Path) -> str:
    """How much of a file that was changed is there, if its format tells that some is not."""
    size = path.stat().st_size
    if path.suffix == ".parquet":
        with path.open("rb") as stream:
            stream.seek(max(0, size - len(_PARQUET)))
            whole = stream.read() == _PARQUET
        return "" if whole else f"cut off at {size} bytes"
    try:
        wanted = read_head(path).size
    except StoreError:
        return ""
    return f"cut off at {size} of {wanted} bytes" if size < wanted else ""


def _examine_shard(path: Path, n: int, layers: list[int], counts: _Counts) -> Iterator[Fault]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as shard:
            wanted = [f"layer.{layer}" for layer in layers] if n else []
            if sorted(shard.keys()) != sorted(wanted):
                text = f"{path} holds {', '.join(sorted(shard.keys())) or 'nothing'}"
                yield Fault("rows", path.name, f"{text}, not {', '.join(wanted) or 'nothing'}")
            held = {one: shard.get_tensor(f"layer.{one}") for one in layers
                    if f"layer.{one}" in shard.keys()}  # noqa: SIM118  # fmt: skip
    except (OSError, SafetensorError) as error:
        yield Fault("unreadable", path.name, f"{path} cannot be read ({error})")
        return
    for layer, states in held.items():
        if states.ndim != 2 or len(states) != n:
            shape = tuple(states.shape)
            text = f"{path} holds states of shape {shape} for layer {layer}, not {n} rows"
            yield Fault("rows", path.name, text)
        if states.ndim == 2:
            yield from _examine_kind(path, layer, states, counts)
            counts.add(layer, states)


def _examine_kind(path: Path, layer: int, states: Tensor, counts: _Counts) -> Iterator[Fault]:
    """Whether all shards hold one type and width."""
    kind = str(states.dtype).removeprefix("torch."), states.shape[1]
    first = counts.kinds.setdefault(layer, kind)
    if kind != first:
        own, others = (f"{dtype} of width {width}" for dtype, width in (kind, first))
        text = f"{path} holds {own} for layer {layer}, the shards before it {others}"
        yield Fault("type", path.name, text)


def _examine_rows(path: Path, part: dict[str, Any]) -> Iterator[Fault]:
    """Whether a table has one line for each state, in their order."""
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as table:
            lines = table.read(columns=["state"]).to_pylist()
    except (OSError, ValueError) as error:
        yield Fault("unreadable", path.name, f"{path} cannot be read ({error})")
        return
    states = [line.get("state") for line in lines if line.get("state") is not None]
    if states != list(range(int(part["n"]))):
        text = f"{path} has lines for {len(states)} states, not for {part['n']} in their order"
        yield Fault("rows", path.name, text)
