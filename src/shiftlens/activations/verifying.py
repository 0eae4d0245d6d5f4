"""``verify``: is every file of a store what its manifest says, and is every number finite?"""

import shlex
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from shiftlens.activations.examining import Counts, Fault, Finite, examine_part
from shiftlens.activations.manifest import Manifest, has_manifest, read_manifest
from shiftlens.core.errors import StoreError
from shiftlens.core.places import Remote, place_of
from shiftlens.core.progress import Progress, Silent


@dataclass(frozen=True)
class Verification:
    """What was found in a store.

    Attributes:
        path: its directory or address.
        faults: everything that is wrong, in the order of the parts; empty for a sound store.
        layers: the share of NaN and infinity in each, over the shards that could be read.
        files: how many files were checked, and found or missed.
        bytes: of the files that are there.
        unnamed: files that no manifest names, which is not a fault: what a killed run left behind,
            or somebody's notes.
    """

    path: Path | Remote
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


def verify(path: str | Path | Remote, *, progress: Progress | None = None) -> Verification:
    """Check a store: checksums, lengths, numbers of rows, and NaN and infinity in each layer.

    Goes on behind a fault, so that all of them are told; an unfinished store is checked as far as
    it is there.

    Args:
        path: the store's directory or address; far files are fetched one by one, and not kept.
        progress: who is told how many parts were looked at.

    Raises:
        StoreError: there is no store.
        MachineError: it is far away, and cannot be reached.
    """
    root = path if isinstance(path, Remote) else place_of(path)
    if not has_manifest(root):
        read_manifest(root)  # says so
    try:
        manifest = read_manifest(root)
        found = examine(manifest, progress)
    except (StoreError, KeyError, TypeError, AttributeError, ValueError) as error:
        why = str(error) if isinstance(error, StoreError) else f"{root}: damaged manifest ({error})"
        return Verification(root, (Fault("manifest", "manifest.json", why),))
    named = {part[kind] for part in manifest.parts.values() for kind in ("shard", "rows")}
    unnamed = [name for name in sorted(_files(root)) if name not in named and not _belongs(name)]
    return Verification(root, found.faults, found.layers, found.files, found.bytes, (*unnamed,))


def _files(root: Path | Remote) -> list[str]:
    if isinstance(root, Remote):
        return list(root.sizes())
    return [one.name for one in root.iterdir() if one.is_file()]


def examine(manifest: Manifest, progress: Progress | None = None) -> Verification:
    """Check the files that a manifest names.

    Raises:
        KeyError: the manifest lacks what every manifest has; others for values of a wrong type.
    """
    faults, counts = _unfinished(manifest), Counts()
    layer = manifest.identity["site"]["layer"]
    layers = layer if isinstance(layer, list) else [layer]
    listener = progress or Silent()
    listener.start("verifying parts", len(manifest.parts))
    try:
        for part in manifest.ordered():
            faults += examine_part(manifest, part, layers, counts)
            listener.advance()
    finally:
        listener.stop()
    finite = tuple(counts.of(one) for one in layers)
    for one in finite:
        if one.rows:
            text = f"layer {one.layer}: {one.rows} states hold NaN or infinity"
            faults.append(Fault("not finite", f"layer.{one.layer}", f"{manifest.place}: {text}"))
    return Verification(manifest.place, tuple(faults), finite, counts.files, counts.bytes)


def _belongs(name: str) -> bool:
    """Whether a file is the store's own without being named in the manifest."""
    locks = name.startswith(".lock-")
    known = name in ("manifest.json", ".request.json")
    return known or locks or name.startswith(("journal.", "journal-", "journal/"))


def _unfinished(manifest: Manifest) -> list[Fault]:
    if manifest.complete:
        return []
    done = f"{len(manifest.parts)} of {manifest.n_parts} parts"
    text = f"{manifest.place} is unfinished: {done}; run the same harvest again"
    return [Fault("unfinished", "manifest.json", text)]
