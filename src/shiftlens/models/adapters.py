"""PEFT adapters: attached to one module, every tensor accounted for, switched on and off."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from shiftlens.core.errors import DataError, MismatchError
from shiftlens.models.files import read_config, require_weights

_CONFIG, _PREFIX = "adapter_config.json", "base_model.model."
# Segments that PEFT inserts into the names of the base model's own tensors.
_WRAPPERS = (".base_layer", ".original_module")
# The two factors of a LoRA pair.
_FACTOR = re.compile(r"\.lora_(embedding_)?(?P<side>[AB])(\.|$)")


def is_adapter(directory: Path) -> bool:
    """Whether a directory holds a PEFT adapter rather than a model."""
    return (directory / _CONFIG).is_file() and not (directory / "config.json").is_file()


def attach_adapter(
    hf: Any, directory: Path, name: str, *, base: str, device: torch.device
) -> tuple[Any, ...]:
    """Put an adapter into a model's modules, in place, switched on.

    Args:
        hf: a freshly loaded transformers model; if this fails it must be thrown away.
        directory: the adapter's files.
        name: what the user calls the adapter.
        base: what the user calls the model.
        device: where the model is.

    Returns:
        the layers that hold the adapter, each of which can be switched.

    Raises:
        DataError: the adapter's files cannot be read, or peft is not installed.
        MismatchError: its tensors are not exactly those that the model and its configuration ask
            for, it matches no module, it changes tensors of the base, or it changes nothing.
    """
    peft = _peft()
    if not (directory / _CONFIG).is_file():
        raise DataError(f"{name} is not an adapter: it holds no {_CONFIG}")
    read_config(directory, _CONFIG, name)
    require_weights(directory, name, "save the adapter with PEFT's save_pretrained")
    config = _adapter_config(peft, directory, name)
    own = set(hf.state_dict())
    try:
        wrapped = peft.PeftModel(hf, config, "default")
    except (ValueError, TypeError, KeyError, AttributeError, RuntimeError) as error:
        raise _foreign(name, base, str(error).strip().splitlines()[0]) from error
    _load_tensors(peft, wrapped, own, directory, name, base, device)
    hf.to(device).eval()
    return _switchable(hf)


def _peft() -> Any:
    try:
        import peft
    except ImportError as error:
        raise DataError(
            "adapters need the package peft", remedy="pip install 'shiftlens[peft]'"
        ) from error
    return peft


def _adapter_config(peft: Any, directory: Path, name: str) -> Any:
    try:
        config = peft.PeftConfig.from_pretrained(str(directory))
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"{_CONFIG} of {name} cannot be used ({error})") from error
    if config.is_prompt_learning or config.is_adaption_prompt:
        raise DataError(
            f"{name} is an adapter of type {config.peft_type.value}, which adds positions",
            allowed="adapters that live in the modules: LoRA and its kin",
        )
    config.inference_mode = True
    return config


def _load_tensors(
    peft: Any, wrapped: Any, own: set[str], directory: Path, name: str, base: str, device: Any
) -> None:
    """Load, then account for every tensor of the file and of the adapter."""
    weights: dict[str, Tensor] = peft.load_peft_weights(str(directory), device=str(device))
    present = set(wrapped.state_dict())
    wanted = {key for key in present if _plain(key) not in own}
    try:
        result = peft.set_peft_model_state_dict(wrapped, weights, adapter_name="default")
    except (RuntimeError, ValueError, KeyError) as error:
        raise _foreign(name, base, _shapes(error)) from error
    absent = set(result.missing_keys)
    if result.unexpected_keys:
        raise _foreign(name, base, f"no place for {_some(result.unexpected_keys)}")
    if wanted & absent:
        raise _foreign(name, base, f"its file lacks {_some(wanted & absent)}")
    if present - wanted - absent:
        raise MismatchError(
            f"adapter {name} overwrites tensors of {base}: {_some(present - wanted - absent)}",
            allowed="an adapter that leaves the base as it is, so that both can be run",
            remedy="merge it (PEFT's merge_and_unload), save, and load it as a full model",
        )
    _refuse_untrained(weights, name, base)


def _refuse_untrained(weights: dict[str, Tensor], name: str, base: str) -> None:
    """LoRA begins with second factors of zero: such an adapter is the base under another name."""
    factors = [(_FACTOR.search(key), tensor) for key, tensor in weights.items()]
    # Anything that is no factor, such as a module saved whole, may change the model as well.
    if not any(side is None or (side["side"] == "B" and tensor.any()) for side, tensor in factors):
        raise MismatchError(
            f"adapter {name} changes nothing in {base}: every second factor of its LoRA is zero",
            allowed="an adapter that was trained",
            remedy="give a checkpoint that was saved after training, not before its first step",
        )


def _switchable(hf: Any) -> tuple[Any, ...]:
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import AuxiliaryTrainingWrapper

    kinds = (BaseTunerLayer, AuxiliaryTrainingWrapper)
    return tuple(module for module in hf.modules() if isinstance(module, kinds))


def _foreign(name: str, base: str, reason: str) -> MismatchError:
    return MismatchError(
        f"adapter {name} does not fit {base}: {reason}",
        allowed="an adapter whose tensors all find their place, with none left over",
        remedy=f"give the model that it was trained on (see base_model_name_or_path in {_CONFIG})",
    )


def _shapes(error: Exception) -> str:
    """PyTorch lists every tensor of another shape on a line of its own: keep the first ones."""
    if isinstance(error, KeyError):
        return f"its file lacks {error}"
    lines = [line.strip() for line in str(error).splitlines()]
    found = [line for line in lines if line.startswith("size mismatch")]
    return "; ".join(found[:2]) or lines[0]


def _some(keys: Iterable[str]) -> str:
    names = sorted(key.removeprefix(_PREFIX) for key in keys)
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _plain(key: str) -> str:
    """The name that a tensor of the wrapped model had before PEFT wrapped it."""
    key = key.removeprefix(_PREFIX)
    for wrapper in _WRAPPERS:
        key = key.replace(wrapper, "")
    return key
