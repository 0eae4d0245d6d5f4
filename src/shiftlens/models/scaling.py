"""Which adapters can be on in part: by a scale, or in some of their modules."""

from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from math import isfinite
from typing import Any

from shiftlens.core.errors import DataError, MismatchError

_SHOWN = 8  # names of modules in a message


def require_scale(
    scale: float, modules: Mapping[str, Sequence[Any]], adapter: str, model: str
) -> None:
    """Refuse a scale that is none, or that the adapter cannot be given.

    Args:
        scale: what was asked for.
        modules: the PEFT layers of the adapted modules, by dotted name.
        adapter: PEFT's name of the adapter.
        model: what the user calls the model.

    Raises:
        DataError: it is no number in [0, 1].
        MismatchError: it lies between the two and there is no adapter, or one whose contribution
            is not a product with a scale.
    """
    if isinstance(scale, bool) or not isinstance(scale, int | float) or not isfinite(scale):
        raise DataError(f"adapter scale {scale!r} is not a number", allowed="0 to 1")
    if not 0 <= scale <= 1:
        raise DataError(
            f"adapter scale {scale:g} lies outside [0, 1]",
            allowed="0 (the base) to 1 (the tuned model)",
        )
    if scale in (0, 1):
        return
    reason = "it has no adapter that is on" if not modules else _why_not(modules, adapter)
    if reason:
        raise MismatchError(
            f"{model} cannot be run at adapter scale {scale:g}: {reason}",
            allowed="scales 0 and 1; others for LoRA, LoHa and LoKr, which add a product to a "
            "module's output",
            remedy="compare checkpoints of the training instead (load_variants)",
        )


def _why_not(modules: Mapping[str, Sequence[Any]], adapter: str) -> str:
    """Why the contribution of an adapter cannot be multiplied by a number; empty if it can."""
    from peft.tuners.lora import LoraLayer
    from peft.tuners.lycoris_utils import LycorisLayer

    for name, layers in modules.items():
        for layer in layers:
            if not isinstance(layer, LoraLayer | LycorisLayer):
                return f"{name} is changed by a {type(layer).__name__}, not by LoRA"
            if adapter in getattr(layer, "lora_variant", ()):
                return f"{name} holds a variant of LoRA (such as DoRA) that does more than add"
    return ""


def require_modules(names: Collection[str], known: Sequence[str], model: str) -> None:
    """Refuse names of modules that the adapter is not in.

    Args:
        names: what was asked for.
        known: the modules that the adapter is in.
        model: what the user calls the model.

    Raises:
        DataError: no name was given.
        MismatchError: one of them is not known, or there is no adapter.
    """
    if not names:
        raise DataError("no module to switch off was named", remedy="see model.adapter_modules()")
    if not known:
        raise MismatchError(
            f"{model} has no adapter that is on",
            allowed="the tuned model of a pair whose second is an adapter",
        )
    unknown = [name for name in names if name not in known]
    if unknown:
        near = get_close_matches(unknown[0], known, n=3, cutoff=0.4)
        first = list(dict.fromkeys([*near, *known]))[:_SHOWN]
        more = f", and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
        raise MismatchError(
            f"the adapter of {model} is not in {', '.join(unknown[:3])}",
            allowed=f"the {len(known)} modules that it is in: {', '.join(first)}{more}",
            remedy="take names from model.adapter_modules()",
        )
