"""What an adapter's configuration says, without PEFT, whose import takes longer than the rest."""

import re
from pathlib import Path
from typing import Any

from torch import nn

from shiftlens.models.files import read_config
from shiftlens.models.inspecting.inspection import AdapterSettings

_CONFIG = "adapter_config.json"
# Types that put positions before the prompt, or prompts into blocks, instead of changing modules.
_ADDING = ("PROMPT_TUNING", "MULTITASK_PROMPT_TUNING", "P_TUNING", "PREFIX_TUNING", "CPT")
_ADAPTION = "ADAPTION_PROMPT"


def read_adapter(where: Path, name: str) -> AdapterSettings:
    """The settings of an adapter directory.

    Raises:
        DataError: its configuration is not JSON.
    """
    content = read_config(where, _CONFIG, name)
    kind = str(content.get("peft_type") or "unknown").rpartition(".")[2].upper()
    rank, alpha = content.get("r"), content.get("lora_alpha")
    return AdapterSettings(
        base=content.get("base_model_name_or_path"),
        kind=kind,
        rank=rank if isinstance(rank, int) else None,
        alpha=float(alpha) if isinstance(alpha, int | float) else None,
        targets=_names(content.get("target_modules")),
        saved=_names(content.get("modules_to_save")),
        scalable=_is_scalable(kind, content),
    )


def why_no_adapter(where: Path, settings: AdapterSettings, name: str) -> str:
    """Why an adapter cannot be put into a model; empty if it can, as far as settings tell."""
    if settings.kind in (*_ADDING, _ADAPTION):
        return f"adapters of type {settings.kind} add positions or prompts: LoRA and its kin do not"
    bias = read_config(where, _CONFIG, name).get("bias", "none")
    if bias not in ("none", None):
        return f"it trains biases of the base (bias {bias!r}): merge it and load a full model"
    return ""


def count_modules(hf: nn.Module, settings: AdapterSettings, pattern: bool) -> int:
    """In how many modules of its base an adapter is, by PEFT's rule of matching names.

    Args:
        hf: the base.
        settings: of the adapter.
        pattern: the targets are one regular expression, not names.
    """
    names = [name for name, _ in hf.named_modules() if name]
    if pattern:
        return sum(re.fullmatch(settings.targets[0], name) is not None for name in names)
    return sum(
        any(name == one or name.endswith(f".{one}") for one in settings.targets) for name in names
    )


def is_pattern(where: Path, name: str) -> bool:
    """Whether an adapter's targets are a regular expression."""
    return isinstance(read_config(where, _CONFIG, name).get("target_modules"), str)


def _names(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(sorted(map(str, value)))


def _is_scalable(kind: str, content: dict[str, Any]) -> bool:
    plain = not content.get("use_dora") and not content.get("modules_to_save")
    return kind == "LORA" and plain
