"""One manifest of several stores: the same model, site and options, on other data."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shiftlens.activations.manifest import Manifest, require_same
from shiftlens.core.errors import MismatchError
from shiftlens.core.manifest import digest


def joined(manifests: Sequence[Manifest]) -> Manifest:
    """The parts of several stores under one root, in the order given.

    Args:
        manifests: of finished stores.

    Returns:
        a manifest that is nowhere on the disk: its root is the folder that all stores are in.

    Raises:
        MismatchError: none were given, or two differ in more than the data; names the field.
    """
    if not manifests:
        raise MismatchError("no stores to concatenate")
    first, *others = manifests
    for other in others:
        _require_alike(first, other)
    here = [one.root for one in manifests if one.far is None]
    root = Path(os.path.commonpath([os.path.abspath(one) for one in here or [first.root]]))  # noqa: PTH100
    found = [_moved(part, one, root) for one in manifests for part in one.ordered()]
    data = [one.identity["data"] for one in manifests]
    identity = {**first.identity, "data": data[0] if len(data) == 1 else digest(data)}
    return Manifest(root, identity, first.about, len(found), dict(enumerate(found)), first.kind)


def _require_alike(first: Manifest, other: Manifest) -> None:
    mine, theirs = ({**one.identity, "data": None} for one in (first, other))
    try:
        require_same(theirs, mine, other.place)
    except MismatchError as error:
        raise MismatchError(
            f"{error.given} as {first.place} has", allowed="stores that differ in their data alone"
        ) from None


def _moved(part: dict[str, Any], of: Manifest, root: Path) -> dict[str, Any]:
    """A part whose files are named from another folder, or with the address of their own."""
    if "url" in part:
        return part
    if of.far is not None:
        return part | {"url": of.far.url}
    away = os.path.relpath(of.root, root)
    return part | {kind: os.path.join(away, part[kind]) for kind in ("shard", "rows")}  # noqa: PTH118
