"""Whether a harvest has been run before, told without loading a model, or torch.

A store's identity holds fingerprints of weights and of every picture's bytes, which take a model
and a reading of all pictures to find. A request is cheaper: names, sizes and times of the same
files, and what was asked. Where it is the one that a finished store was made for, nothing is run;
where it is not, the harvest itself decides, by the identity.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shiftlens.activations.manifest import Manifest, has_manifest, read_manifest
from shiftlens.activations.writing import is_whole
from shiftlens.core.errors import StoreError
from shiftlens.core.manifest import digest, read_json, write_json
from shiftlens.data.sample import Samples
from shiftlens.data.signatures import signature
from shiftlens.models.files import signature_of_files

_NAME = ".request.json"


def request_key(
    models: Sequence[str | None], samples: Samples, options: Mapping[str, Any]
) -> str | None:
    """Digest of what a harvest is asked, without opening a weight or a picture.

    Args:
        models: as they are named; ``None`` for one that is not there.
        samples: what they are asked.
        options: everything else that decides the states, as plain values.

    Returns:
        the digest, or ``None`` where a model's files are not on this machine yet.
    """
    found = [None if name is None else signature_of_files(name) for name in models]
    if any(one is None for one, name in zip(found, models, strict=True) if name is not None):
        return None
    return digest([found, signature(samples), dict(options)])


def finished(out: Path, key: str | None) -> list[Manifest] | None:
    """The manifests of the stores that an earlier harvest with this key finished.

    Args:
        out: what the harvest was told to write.
        key: see ``request_key``.

    Returns:
        the manifests, or ``None`` where there are none, they are of another request, or something
        has happened to them since.
    """
    if key is None or not (out / _NAME).is_file():
        return None
    try:
        found = read_json(out / _NAME)
        roots = [out / name for name in found["stores"]]
        manifests = [read_manifest(root) for root in roots if has_manifest(root)]
        same = found["key"] == key and found["fingerprints"] == [m.fingerprint for m in manifests]
    except (StoreError, KeyError, TypeError):
        return None
    return manifests if same and manifests and all(map(is_whole, manifests)) else None


def note_request(out: Path, key: str | None, manifests: Sequence[Manifest]) -> None:
    """Leave word of what finished stores were made for; of unfinished ones, none.

    Raises:
        MachineError: the disk is full.
    """
    if key is None or not all(one.complete and one.far is None for one in manifests):
        return
    value = {
        "key": key,
        "stores": [str(one.root.relative_to(out)) for one in manifests],
        "fingerprints": [one.fingerprint for one in manifests],
    }
    write_json(out / _NAME, value)
