"""Which model states came from, where nobody saw it run: what its files say, on the user's word.

What is not harvested here has no proof of its model. A model that is named and whose weights are at
hand is held to them as if it had been; any other has weights that are ``unknown:`` and equal none.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shiftlens.core.errors import DataError, MismatchError
from shiftlens.models.address import Address
from shiftlens.models.fingerprints import fingerprint_adapter_config, fingerprint_files

_UNKNOWN = "unknown:"


@dataclass(frozen=True)
class Claim:
    """What a user says about where states came from.

    Attributes:
        identity: as ``Model.identity``; ``None`` where the weights are not at hand.
        address: where the model's residual stream is.
    """

    identity: dict[str, Any] | None
    address: Address


def claim(name: str, adapter: str | None = None) -> Claim:
    """What a model's files say; weights are neither loaded nor downloaded.

    Args:
        name: a directory, an id on the hub (settings alone are downloaded), or ``package:name``.
        adapter: a PEFT adapter, named in the same ways.

    Raises:
        DataError: there is no such model or adapter, or it is of another kind.
    """
    from shiftlens.models.adapters import is_adapter
    from shiftlens.models.checkpoints import Placement, load_skeleton
    from shiftlens.models.files import locate
    from shiftlens.models.inspecting.empty import silence
    from shiftlens.models.inspecting.looking import inspect

    where, _ = locate(name, None, settings_only=True)
    if not any(where.glob("*.safetensors")):
        found = inspect(name)
        if found.address is None:
            raise DataError(f"{name} cannot be looked into: {'; '.join(found.reasons)}")
        return Claim(None, found.address)
    with silence():
        model = load_skeleton(str(where), Placement(), label="base")
    if adapter is None:
        return Claim(model.identity, model.address)
    beside, _ = locate(adapter, None)
    if not is_adapter(beside):
        raise DataError(f"{adapter} is no adapter", allowed="the directory of a PEFT adapter")
    own = {
        "adapter_weights": fingerprint_files(beside),
        "adapter_config": fingerprint_adapter_config(beside),
    }
    return Claim({**model.identity, **own}, model.address)


def unknown_identity(mark: str) -> dict[str, Any]:
    """Of states whose weights nobody has named.

    Args:
        mark: digest of the file that they came from: two such files are not one model.
    """
    return {"weights": f"{_UNKNOWN}{mark}"}


def is_unknown(identity: Mapping[str, Any] | None) -> bool:
    """Whether the weights behind some states, concepts or a vector are not known."""
    return str((identity or {}).get("weights", "")).startswith(_UNKNOWN)


def require_known(identity: Mapping[str, Any] | None, what: str | Path) -> None:
    """Refuse to hold a model to states whose weights are not known.

    Args:
        identity: of the model that the states came from.
        what: is refused.

    Raises:
        MismatchError: the weights are not known.
    """
    if is_unknown(identity):
        raise MismatchError(
            f"{what} comes from imported states, and nobody said which weights they are of",
            allowed="learning, and comparing imported stores with each other",
            remedy="import the file again with --model, where the model's weights are at hand",
        )
