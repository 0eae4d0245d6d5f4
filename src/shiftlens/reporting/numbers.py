"""Numbers as people read them; what is not known is a dash, never ``nan``."""

import math
from collections.abc import Mapping
from typing import Any, TypeGuard

DASH = "—"
_MINUS = "−"
_THIN = "\N{NARROW NO-BREAK SPACE}"


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value is a finite number; truth values are not."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def decimal(value: Any, digits: int = 2) -> str:
    """``0.83``, with a real minus sign."""
    if not is_number(value):
        return DASH
    text = f"{value:.{digits}f}"
    # A tiny negative number must not be shown as minus nothing.
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("-", _MINUS)


def signed(value: Any, digits: int = 2) -> str:
    """``+0.20`` or ``−0.20``."""
    text = decimal(value, digits)
    return text if text == DASH or text.startswith(_MINUS) else f"+{text}"


def percent(value: Any) -> str:
    """A share as ``12 %``; below one percent with a decimal."""
    if not is_number(value):
        return DASH
    digits = 1 if 0 < abs(value) < 0.01 else 0
    return f"{decimal(100 * value, digits)}{_THIN}%"


def count(value: Any) -> str:
    """``12 345``."""
    return f"{value:,.0f}".replace(",", _THIN) if is_number(value) else DASH


def duration(value: Any) -> str:
    """Seconds as ``0.4 s``, ``83 s`` or ``12 min 5 s``."""
    if not is_number(value):
        return DASH
    if value < 10:
        return f"{value:.1f}{_THIN}s"
    if value < 120:
        return f"{value:.0f}{_THIN}s"
    minutes, seconds = divmod(round(value), 60)
    return f"{minutes}{_THIN}min {seconds}{_THIN}s"


def bounds(interval: Mapping[str, Any], digits: int = 2) -> str:
    """``[0.15, 0.26]``, or nothing where there is no interval."""
    low, high = interval.get("low"), interval.get("high")
    if not (is_number(low) and is_number(high)):
        return ""
    return f"[{decimal(low, digits)}, {decimal(high, digits)}]"


def percent_bounds(interval: Mapping[str, Any]) -> str:
    """``[99, 100]`` in percent, or nothing where there is no interval."""
    low, high = interval.get("low"), interval.get("high")
    if not (is_number(low) and is_number(high)):
        return ""
    return f"[{decimal(100 * low, 0)}, {decimal(100 * high, 0)}]"


def short(text: Any, most: int = 60) -> str:
    """The beginning of a text that is longer than a place has room for."""
    whole = str(text)
    return whole if len(whole) <= most else f"{whole[: most - 1]}…"


def clean(value: Any) -> Any:
    """The same JSON with lists for tuples and ``None`` for numbers that JSON does not have."""
    if isinstance(value, Mapping):
        return {str(key): clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
