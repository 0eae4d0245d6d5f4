"""``inspect``: a model's settings, built without weights, looked into and proven; takes seconds."""

import inspect as python
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from shiftlens.core.errors import DataError, SiteError
from shiftlens.data.sources import provided_model
from shiftlens.models.adapters import is_adapter
from shiftlens.models.address import Address, find_address
from shiftlens.models.checkpoints import quantisation
from shiftlens.models.files import locate
from shiftlens.models.inspecting.adapter_settings import (
    count_modules,
    is_pattern,
    read_adapter,
    why_no_adapter,
)
from shiftlens.models.inspecting.additions import additions_of
from shiftlens.models.inspecting.empty import build_empty, silence
from shiftlens.models.inspecting.firing import prove_address, refusal, said
from shiftlens.models.inspecting.inspection import Inspection, Logits
from shiftlens.models.inspecting.settings import (
    read_family,
    why_foreign,
    why_unreadable,
)
from shiftlens.models.inspecting.speaking import listen
from shiftlens.models.model import Model, Origin
from shiftlens.models.processing.processors import load_processor
from shiftlens.models.towers import vision_blocks

# What configurations call the numbers by which logits are multiplied, divided or capped.
_NUMBERS = re.compile(r"(?<!attn_)logit\w*(scal|mult|cap)|output_multiplier")
# A class that overwrites columns of its logits, as Chameleon does with those of picture tokens.
_MASKING = re.compile(r"\blogits\[[^\]\n]*\]\s*=[^=]")


def inspect(name: str | Path, *, revision: str | None = None) -> Inspection:
    """Look into a model, or an adapter and its base, without reading a weight.

    Args:
        name: a directory, an id on the hub (settings alone are downloaded), or ``package:name``.
        revision: branch, tag or commit on the hub.

    Returns:
        what was found. A model that cannot be used is a result too: see ``reasons``.

    Raises:
        DataError: there is no such model, or its settings are not JSON.
    """
    where, _ = locate(str(name), revision, settings_only=True)
    local = Path(provided_model(str(name))).expanduser().is_dir()
    if local and revision is not None:
        raise DataError(
            f"revision {revision!r} of {name}, which is a directory",
            allowed="revisions of ids on the hub",
        )
    if is_adapter(where):
        return _inspect_adapter(where, str(name))
    found = _inspect_model(where, str(name))[0]
    # Of the hub only settings were downloaded: there the weights are not expected to be here.
    return _with_weights(found, where) if local and found.usable else found


def _with_weights(found: Inspection, where: Path) -> Inspection:
    if any(where.glob("*.safetensors")):
        return found
    why = "it holds no weights in the safetensors format: download or save the model with them"
    return replace(found, limits=(*found.limits, why))


def _inspect_adapter(where: Path, name: str) -> Inspection:
    settings = read_adapter(where, name)
    refused = why_no_adapter(where, settings, name)
    reasons = (refused,) if refused else ()
    if settings.base is None:
        return Inspection(name, adapter=settings, reasons=(*reasons, "it does not name its base"))
    try:
        base, hf = _inspect_model(_beside(where, settings.base), settings.base)
    except DataError as error:
        why = f"its base is not at hand, so nothing could be proven: {_told(error)}"
        return Inspection(name, adapter=settings, reasons=(*reasons, why))
    if hf is not None and settings.targets:
        n = count_modules(hf, settings, is_pattern(where, name))
        settings = replace(settings, modules=n)
        if n == 0:
            reasons = (*reasons, f"none of its target_modules is a module of {settings.base}")
    return replace(base, name=name, adapter=settings, reasons=(*base.reasons, *reasons))


def _beside(where: Path, base: str) -> Path:
    """Where an adapter's base is: as it is named, or relative to the adapter's directory."""
    near = where / base
    return near if near.is_dir() else locate(base, None, settings_only=True)[0]


def _inspect_model(where: Path, name: str) -> tuple[Inspection, nn.Module | None]:
    content, family = read_family(where, name)
    found = Inspection(name, family=family)
    refused = [why for why in (why_foreign(content, family), why_unreadable(where)) if why]
    if refused:
        return replace(found, reasons=tuple(refused)), None
    try:
        config, hf = _build(where)
    except Exception as error:  # a configuration may be wrong in any way
        return replace(found, reasons=(f"it cannot be built ({said(error)})",)), None
    found = replace(
        found,
        kind=type(hf).__name__,
        parameters=sum(tensor.numel() for tensor in hf.parameters()),
        dtype=str(getattr(config, "dtype", None) or "").removeprefix("torch."),
        quantised=quantisation(config),
    )
    try:
        address = find_address(hf)
        refused = [why for why in (refusal(prove_address(hf, address)),) if why]
    except DataError as error:
        return replace(found, reasons=(_told(error),)), hf
    found = replace(found, address=address, reasons=tuple(refused))
    return _look_around(found, hf, address, where), hf


def _build(where: Path) -> tuple[Any, nn.Module]:
    from transformers import AutoConfig, AutoModelForImageTextToText

    with silence():
        config = AutoConfig.from_pretrained(where, local_files_only=True)
    return config, build_empty(AutoModelForImageTextToText.from_config, config)


def _look_around(found: Inspection, hf: Any, address: Address, where: Path) -> Inspection:
    """Everything about an addressed model that its modules and its processor tell."""
    limits = list(found.limits)
    if found.quantised:
        limits.append(f"its weights are packed ({found.quantised}): not every machine can read it")
    blocks: int | None = None
    if address.vision_path is not None:
        try:
            blocks = len(vision_blocks(hf, address.vision_path, found.name))
        except SiteError as error:
            limits.append(error.given)
    found = replace(
        found, vision_blocks=blocks, logits=_logits(hf), additions=additions_of(hf, address)
    )
    try:
        with silence():
            processor = load_processor(where, found.name)
    except DataError as error:
        return replace(found, reasons=(*found.reasons, _told(error)), limits=tuple(limits))
    model = Model(hf, processor, found.name, None, "inspected", address, Origin(where))
    with silence():
        spoken = listen(model)
    limits.extend(spoken.limits)
    return replace(found, tokens=spoken.tokens, patches=spoken.patches, limits=tuple(limits))


def _told(error: DataError) -> str:
    """An error in one line: what is wrong, and what to do."""
    return f"{error.given}; {error.remedy}" if error.remedy else error.given


def _logits(hf: Any) -> Logits:
    text = hf.config.get_text_config(decoder=True)
    numbers = {
        field: float(value)
        for field, value in text.to_dict().items()
        if _NUMBERS.search(field) and isinstance(value, int | float) and not isinstance(value, bool)
    }
    head, embedding = hf.get_output_embeddings(), hf.get_input_embeddings()
    tied = getattr(head, "weight", None) is getattr(embedding, "weight", hf)
    return Logits(tied, numbers, _MASKING.search(python.getsource(type(hf))) is not None)
