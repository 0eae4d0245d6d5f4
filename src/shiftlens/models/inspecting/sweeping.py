"""Every image-text-to-text architecture of the installed transformers: is it addressed, or why not.

Each is built on the meta device from its default configuration, its address is found by the same
rule as a user's model's, and a forward call proves it. None of them can stop the sweep.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch import nn

from shiftlens.core.errors import DataError
from shiftlens.core.progress import Progress, Silent
from shiftlens.models.address import find_address
from shiftlens.models.inspecting.defaults import mend, mend_sections
from shiftlens.models.inspecting.empty import build_empty, silence
from shiftlens.models.inspecting.firing import prove_address, refusal, said

# How reasons begin that lie in the configuration rather than in the architecture.
_CANNOT = "cannot be "


@dataclass(frozen=True)
class Architecture:
    """One family of transformers.

    Attributes:
        name: its ``model_type``.
        addressed: its blocks were found and proven.
        path: of its list of decoder blocks; empty where it is not addressed.
        reason: why it is not addressed; empty where it is.
    """

    name: str
    addressed: bool
    path: str
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """As JSON: the four attributes."""
        return asdict(self)


def registered() -> tuple[str, ...]:
    """The model types that transformers registers as image-text-to-text, sorted."""
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES as KNOWN,
    )

    return tuple(sorted(KNOWN))


def sweep(
    names: Sequence[str] | None = None, *, progress: Progress | None = None
) -> list[Architecture]:
    """Look for the residual stream of every registered architecture.

    Args:
        names: model types to look at; all that are registered unless given.
        progress: who is told how far it is.

    Raises:
        DataError: a name that is not registered.
    """
    known = registered()
    wanted = known if names is None else tuple(names)
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise DataError(
            f"{', '.join(unknown)}: not an image-text-to-text architecture of transformers",
            allowed=f"{', '.join(known[:5])} and {len(known) - 5} others",
        )
    bar = progress or Silent()
    bar.start("architectures", len(wanted))
    try:
        return [_advance(bar, name) for name in wanted]
    finally:
        bar.stop()


def _advance(bar: Progress, name: str) -> Architecture:
    found = look_at(name)
    bar.advance()
    return found


def look_at(name: str) -> Architecture:
    """Look for the residual stream of one registered architecture.

    The default configuration is tried first; where it does not give a model that runs, what it
    leaves open is filled in.
    """
    plain = _attempt(name, mended=False)
    if not plain.reason.startswith(_CANNOT):
        return plain
    mended = _attempt(name, mended=True)
    return plain if mended.reason.startswith(_CANNOT) else mended


def _attempt(name: str, *, mended: bool) -> Architecture:
    try:
        hf = _build(name, mended=mended)
    except Exception as error:  # a family may fail in any way
        return Architecture(name, False, "", f"cannot be built ({said(error)})")
    try:
        address = find_address(hf)
        reason = refusal(prove_address(hf, address))
    except DataError as error:
        return Architecture(name, False, "", error.given)
    except Exception as error:  # the same for a family's own getters
        return Architecture(name, False, "", f"cannot be asked for its parts ({said(error)})")
    return Architecture(name, not reason, "" if reason else address.blocks_path, reason)


def _build(name: str, *, mended: bool) -> nn.Module:
    import transformers
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES as KNOWN,
    )

    with silence():
        config: Any = CONFIG_MAPPING[name]()
    kind = KNOWN[name] if isinstance(KNOWN[name], str) else KNOWN[name][0]
    hf = build_empty(getattr(transformers, kind), mend(config) if mended else config)
    if mended:
        mend_sections(hf)
    return hf
