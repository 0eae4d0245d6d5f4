"""Models of one module: a base with its adapters put in, each of them a ``Model``."""

from collections.abc import Sequence
from dataclasses import replace

from shiftlens.core.errors import DataError, ShiftLensError
from shiftlens.models.adapters import Attachment, adapter_layers, attach_adapters
from shiftlens.models.address import find_address
from shiftlens.models.checking import check_address
from shiftlens.models.files import locate
from shiftlens.models.model import Model
from shiftlens.models.spread import is_offloaded
from shiftlens.models.tenancy import Tenancy


def attach(
    plain: Model, adapters: Sequence[str], labels: Sequence[str], revisions: Sequence[str | None]
) -> list[tuple[Model, Attachment]]:
    """Put adapters into the module of a base, which becomes one model of it among others.

    Args:
        plain: a freshly loaded full model; from now on it lives in the same module with every
            adapter off. If this fails it must be thrown away.
        adapters: what the user calls them.
        labels: short names in results, one an adapter.
        revisions: branch, tag or commit on the hub, one an adapter.

    Returns:
        for every adapter the model that has it on, and what was counted.

    Raises:
        DataError: an adapter cannot be found or read, or parts of the base are on the disk.
        MismatchError: it does not belong to the model.
    """
    if is_offloaded(plain.hf):
        raise DataError(
            f"{plain.name} is split over memory and disk, where adapters cannot be switched",
            allowed="adapters on a model that is in memory as a whole, on one device or several",
            remedy="name one device, or merge the adapter and load it as a full model",
        )
    located = [locate(name, commit) for name, commit in zip(adapters, revisions, strict=True)]
    sources = [(where, name) for (where, _), name in zip(located, adapters, strict=True)]
    attached = attach_adapters(plain.hf, sources, base=plain.name, device=plain.device)
    # Only now do layers hold every adapter, and paths lead through what PEFT put around modules.
    plain.tenancy, plain.address = Tenancy(adapter_layers(plain.hf)), find_address(plain.hf)
    plain.__dict__.pop("readout", None)
    models = [
        replace(
            plain,
            adapter=name,
            label=label,
            origin=replace(plain.origin, adapter=where, adapter_revision=commit),
            adapter_on=True,
            adapter_slot=one.slot,
        )
        for name, label, (where, commit), one in zip(
            adapters, labels, located, attached, strict=True
        )
    ]
    for model in models:
        _require_runnable(model)
    return list(zip(models, attached, strict=True))


def _require_runnable(model: Model) -> None:
    """Check the address with the adapter on, which shows what it wants beside the model's inputs.

    Raises:
        DataError: it cannot be run on them alone, or the residual stream is not where it was.
    """
    try:
        check_address(model)
    except ShiftLensError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, RuntimeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError(
            f"{model} cannot be run with its adapter on ({reason})",
            allowed="adapters that need nothing but the model's own inputs: LoRA and its kin",
        ) from error
