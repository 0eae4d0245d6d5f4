"""Models of one module: a base with its adapters put in, each of them a ``Model``."""

from collections.abc import Sequence
from dataclasses import replace

from shiftlens.models.adapters import Attachment, adapter_layers, attach_adapters
from shiftlens.models.address import find_address
from shiftlens.models.checking import check_address
from shiftlens.models.files import locate
from shiftlens.models.model import Model
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
        DataError: an adapter cannot be found or read.
        MismatchError: it does not belong to the model.
    """
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
        check_address(model)
    return list(zip(models, attached, strict=True))
