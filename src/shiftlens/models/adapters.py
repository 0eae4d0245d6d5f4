"""PEFT adapters: put into one module, every tensor accounted for; one module may hold several."""

import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from shiftlens.core.errors import DataError, MismatchError
from shiftlens.models.files import read_config, require_weights
from shiftlens.models.spread import is_split

_CONFIG, _PREFIX = "adapter_config.json", "base_model.model."
# Segments that PEFT inserts into the names of the base model's own tensors.
_WRAPPERS = (".token_adapter.base_layer", ".base_layer", ".original_module")
# The two factors of a LoRA pair.
_FACTOR = re.compile(r"\.lora_(embedding_)?(?P<side>[AB])(\.|$)")


@dataclass(frozen=True)
class Attachment:
    """An adapter in a module, and what was counted while it was put there.

    Attributes:
        slot: PEFT's name of it in the module.
        n_tensors: how many tensors its file filled.
        modules: dotted names of the modules that it is in, in the module's order.
        modules_to_save: those of them that it replaces as a whole.
        base: the base model that its configuration names.
        base_revision: the revision of it that its configuration names.
        tokens: token ids whose embeddings it trains one by one.
    """

    slot: str
    n_tensors: int
    modules: tuple[str, ...]
    modules_to_save: tuple[str, ...]
    base: str | None
    base_revision: str | None
    tokens: tuple[int, ...]


def is_adapter(directory: Path) -> bool:
    """Whether a directory holds a PEFT adapter rather than a model."""
    return (directory / _CONFIG).is_file() and not (directory / "config.json").is_file()


def may_share(directory: Path, name: str) -> str:
    """A key that two adapters have in common if PEFT can hold both in one module.

    It holds one type at a time, and what one adapter replaces as a whole the other may not target:
    so types and replaced modules must agree, and adapters of bare parameters stay alone.

    Raises:
        DataError: the adapter's configuration cannot be read.
    """
    config = read_config(directory, _CONFIG, name)
    alone = config.get("target_parameters") or config.get("bias", "none") != "none"
    saved, tokens = config.get("modules_to_save"), config.get("trainable_token_indices")
    key = [config.get("peft_type"), sorted(saved or ()), tokens, name if alone else None]
    return repr(key)


def attach_adapters(
    hf: Any, adapters: Sequence[tuple[Path, str]], *, base: str, device: torch.device
) -> list[Attachment]:
    """Put adapters into a model's modules, in place; the first is left switched on.

    Args:
        hf: a freshly loaded transformers model; if this fails it must be thrown away.
        adapters: of each the directory of its files and what the user calls it; several must agree
            in ``may_share``.
        base: what the user calls the model.
        device: where the model is.

    Raises:
        DataError: an adapter's files cannot be read, or peft is not installed.
        MismatchError: its tensors are not exactly those that the model and its configuration ask
            for, it matches no module, it changes tensors of the base, or it changes nothing.
    """
    peft, wrapped, attached = _peft(), None, list[Attachment]()
    for number, (directory, name) in enumerate(adapters):
        slot = "default" if number == 0 else f"variant{number:04d}"
        config = _checked_config(peft, directory, name)
        own = {_plain(key) for key in hf.state_dict()}
        try:
            if wrapped is None:
                wrapped = peft.PeftModel(hf, config, slot)
            else:
                wrapped.add_adapter(slot, config)
        except (ValueError, TypeError, KeyError, AttributeError, RuntimeError) as error:
            raise _foreign(name, base, str(error).strip().splitlines()[0]) from error
        _refuse_another_model(wrapped, hf, config, name)
        filled = _load_tensors(peft, wrapped, slot, own, directory, name, base, device)
        attached.append(_attachment(hf, slot, config, filled, name, base))
    if not is_split(hf):  # else every new layer was made beside the weights that it is for
        hf.to(device)
    hf.eval()
    return attached


def adapter_layers(hf: Any) -> dict[str, Any]:
    """The layers of PEFT in a model, by dotted name, outer ones before those within them."""
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import AuxiliaryTrainingWrapper

    kinds = (BaseTunerLayer, AuxiliaryTrainingWrapper)
    return {name: module for name, module in hf.named_modules() if isinstance(module, kinds)}


def base_tensors(hf: Any) -> dict[str, Tensor]:
    """The tensors of a model under the names that they had before any adapter was put in."""
    tensors: dict[str, Tensor] = hf.state_dict()
    if not hasattr(hf, "peft_config"):
        return tensors
    within = tuple(f"{name}." for name in adapter_layers(hf))
    return {
        _plain(key): tensor
        for key, tensor in tensors.items()
        if not key.startswith(within) or any(f"{wrapper}." in key for wrapper in _WRAPPERS)
    }


def _peft() -> Any:
    try:
        import peft
    except ImportError as error:
        raise DataError(
            "adapters need the package peft", remedy="pip install 'shiftlens[peft]'"
        ) from error
    return peft


def _checked_config(peft: Any, directory: Path, name: str) -> Any:
    if not (directory / _CONFIG).is_file():
        raise DataError(f"{name} is not an adapter: it holds no {_CONFIG}")
    read_config(directory, _CONFIG, name)
    require_weights(directory, name, "save the adapter with PEFT's save_pretrained")
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
    peft: Any,
    wrapped: Any,
    slot: str,
    own: set[str],
    directory: Path,
    name: str,
    base: str,
    device: Any,
) -> int:
    """Load, then account for every tensor of the file and of the adapter; how many there are."""
    weights: dict[str, Tensor] = peft.load_peft_weights(str(directory), device=str(device))
    present = set(wrapped.state_dict())
    its = {key for key in present if _plain(key) not in own}
    wanted = its - _made_anew(peft, wrapped, slot, its)
    try:
        result = peft.set_peft_model_state_dict(wrapped, weights, adapter_name=slot)
    except (RuntimeError, ValueError, KeyError) as error:
        raise _foreign(name, base, _shapes(error)) from error
    absent = set(result.missing_keys)
    if result.unexpected_keys:
        raise _foreign(name, base, f"no place for {_some(result.unexpected_keys)}")
    if wanted & absent:
        raise _foreign(name, base, f"its file lacks {_some(wanted & absent)}")
    # Quantised layers save what describes their packing, which is no tensor of theirs to be filled.
    tensors = chain(
        wrapped.named_parameters(remove_duplicate=False),
        wrapped.named_buffers(remove_duplicate=False),
    )
    overwritten = (present & {key for key, _ in tensors}) - its - absent
    if overwritten:
        raise MismatchError(
            f"adapter {name} overwrites tensors of {base}: {_some(overwritten)}",
            allowed="an adapter that leaves the base as it is, so that both can be run",
            remedy="merge it (PEFT's merge_and_unload), save, and load it as a full model",
        )
    _refuse_untrained(weights, name, base)
    return len(wanted)


def _made_anew(peft: Any, wrapped: Any, slot: str, tensors: set[str]) -> set[str]:
    """Tensors of an adapter that PEFT never saves, because it makes them again when it loads.

    Such are the rank counts of AdaLoRA, and the random projections that all layers of VeRA share.
    """
    options: dict[str, Any] = {"adapter_name": slot, "save_embedding_layers": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about what would be saved: only the names are wanted
        names = set(peft.get_peft_model_state_dict(wrapped, **options))
    mark = f".{slot}"
    whole = (".modules_to_save.", ".token_adapter.")  # saved under names of their own
    alone = {key for key in tensors if not any(part in key for part in whole)}
    short = {key: key.replace(mark, "") for key in alone}
    # The magnitudes of DoRA are saved without the last part of their name.
    return {k for k, one in short.items() if not {one, one.removesuffix(".weight")} & names}


def _refuse_another_model(wrapped: Any, hf: Any, config: Any, name: str) -> None:
    """Mixtures of adapters run the base twice, and hold it under names that are not its own."""
    if dict(wrapped.base_model.named_children()).get("model") is not hf:
        raise DataError(
            f"{name} is an adapter of type {config.peft_type.value}, which puts a model of its own "
            "around the base",
            allowed="adapters that live in the modules: LoRA and its kin",
        )


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


def _attachment(
    hf: Any, slot: str, config: Any, n_tensors: int, name: str, base: str
) -> Attachment:
    """What an adapter is in, once every name in its configuration has found a module."""
    from peft.utils.other import ModulesToSaveWrapper

    from shiftlens.models.tenancy import Tenancy

    modules = Tenancy(adapter_layers(hf)).modules(slot)
    _require_matches(config, tuple(modules), name, base)
    tokens: Any = getattr(config, "trainable_token_indices", None) or ()
    parts: Any = tokens.values() if isinstance(tokens, dict) else [tokens]
    return Attachment(
        slot=slot,
        n_tensors=n_tensors,
        modules=tuple(modules),
        modules_to_save=tuple(
            one for one, layers in modules.items() if isinstance(layers[0], ModulesToSaveWrapper)
        ),
        base=getattr(config, "base_model_name_or_path", None),
        base_revision=getattr(config, "revision", None),
        tokens=tuple(sorted({int(token) for part in parts for token in part})),
    )


def _require_matches(config: Any, modules: tuple[str, ...], name: str, base: str) -> None:
    """PEFT is content if one name of a list matches; the others would be silently nothing.

    A pattern is one name: where it matches anything, its alternatives are not told apart.
    """
    targets = getattr(config, "target_modules", None) or ()
    for one in () if isinstance(targets, str) else sorted(targets):
        if not any(f".{module}".endswith(f".{one}") for module in modules):
            raise _foreign(name, base, f"{one!r} of its target_modules matches no module")
    for one in getattr(config, "modules_to_save", None) or ():
        if not any(module.endswith(one) for module in modules):
            raise _foreign(name, base, f"{one!r} of its modules_to_save matches no module")
    layers = getattr(config, "layers_to_transform", None)
    for layer in [layers] if isinstance(layers, int) else layers or ():
        if not any(str(layer) in module.split(".") for module in modules):
            raise _foreign(name, base, f"{layer} of its layers_to_transform matches no module")


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
