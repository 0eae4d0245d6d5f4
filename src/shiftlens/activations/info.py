"""``info``: what a store holds, from its manifest and the head of one shard, without torch."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from shiftlens.activations.heads import BYTES, NAMES, read_head
from shiftlens.activations.manifest import Manifest, has_manifest, read_manifest
from shiftlens.core.errors import StoreError
from shiftlens.core.places import Remote, place_of, under

_NUMBER = {NAMES[name]: size for name, size in BYTES.items() if name in NAMES}


@dataclass(frozen=True)
class StoreInfo:
    """What a store holds.

    Attributes:
        path: its directory or address.
        complete: whether the run is finished.
        parts: finished.
        n_parts: of the whole run.
        rows: states.
        layers: counted from 0.
        d: width of a state; ``None`` while there are none.
        dtype: of the numbers, as torch calls it; ``None`` while there are none.
        state_bytes: of the numbers alone, see ``states_bytes``.
        bytes: of all files there.
        samples: how many ``matched``, ``missed`` and ``failed``.
        not_finite: states that hold NaN or infinity.
        quarantined: samples that could not be read, or lack what the site names.
        identity: what decides the numbers: model, data, site, text, options.
        about: names and versions, for people.
        fingerprint: of a finished store.
    """

    path: Path | Remote
    complete: bool
    parts: int
    n_parts: int
    rows: int
    layers: tuple[int, ...]
    d: int | None
    dtype: str | None
    state_bytes: int
    bytes: int
    samples: dict[str, int]
    not_finite: int
    quarantined: int
    identity: dict[str, Any]
    about: dict[str, Any]
    fingerprint: str | None

    @property
    def bytes_in_the_end(self) -> int | None:
        """About what all files will take, if the other parts are like these; ``None`` of none."""
        return round(self.bytes / self.parts * self.n_parts) if self.parts else None

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON."""
        values = asdict(self) | {"path": str(self.path), "layers": list(self.layers)}
        return values | {"bytes_in_the_end": self.bytes_in_the_end}


def states_bytes(rows: int, layers: int, d: int, dtype: str | None) -> int:
    """Bytes of states: what ``harvest --dry-run`` foretells, and what ``store info`` then counts.

    Args:
        rows: states at one layer.
        layers: how many.
        d: width.
        dtype: of the numbers, as torch calls it; 4 bytes a number for any other.
    """
    return rows * layers * d * _NUMBER.get(dtype or "", 4)


def info(path: str | Path | Remote) -> StoreInfo:
    """What a store holds, finished or not.

    Args:
        path: its directory or address.

    Raises:
        StoreError: there is none, its manifest is damaged or of another schema, or the head of its
            first shard is damaged.
    """
    manifest = read_manifest(path)
    layer = manifest.identity["site"]["layer"]
    layers = tuple(layer) if isinstance(layer, list) else (layer,)
    rows = sum(int(part["n"]) for part in manifest.parts.values())
    d, dtype = _kind(manifest, layers[0])
    return StoreInfo(
        path=manifest.place,
        complete=manifest.complete,
        parts=len(manifest.parts),
        n_parts=manifest.n_parts,
        rows=rows,
        layers=layers,
        d=d,
        dtype=dtype,
        state_bytes=states_bytes(rows, len(layers), d or 0, dtype),
        bytes=manifest.size(),
        samples=manifest.counts,
        not_finite=manifest.not_finite,
        quarantined=len(manifest.quarantine),
        identity=manifest.identity,
        about=manifest.about,
        fingerprint=manifest.fingerprint if manifest.complete else None,
    )


def stores_in(path: str | Path) -> Sequence[Path | Remote]:
    """The store that a place is, or the stores of several models that are in it, by name.

    Raises:
        StoreError: there is none.
        MachineError: it is far away, and cannot be reached.
    """
    root = place_of(path)
    if has_manifest(root):
        return [root]
    found = [under(root, name) for name in _folders(root) if has_manifest(under(root, name))]
    if not found:
        raise StoreError(
            f"{root} holds no store, and none is in one of its folders",
            remedy="make one: shiftlens harvest MODEL DATA --words person -o DIR",
        )
    return found


def _folders(root: Path | Remote) -> list[str]:
    """Names of the folders in a place."""
    if isinstance(root, Remote):
        return sorted({name.split("/")[0] for name in root.sizes() if "/" in name})
    return sorted(one.name for one in root.iterdir() if one.is_dir()) if root.is_dir() else []


def _kind(manifest: Manifest, layer: int) -> tuple[int | None, str | None]:
    """Width and type of the first states there are."""
    for part in manifest.ordered():
        if part["n"]:
            file = manifest.file(part, "shard")
            held = read_head(file).tensors.get(f"layer.{layer}")
            if held is None or len(held.shape) != 2:
                raise StoreError(f"{file} is missing or damaged (no states of layer {layer})")
            return held.shape[1], NAMES.get(held.dtype, held.dtype)
    return None, None
