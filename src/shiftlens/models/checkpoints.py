"""From the files of a full model to a ``Model`` that is proven readable."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import nn

from shiftlens.core.errors import DataError, MismatchError
from shiftlens.models.adapters import is_adapter
from shiftlens.models.address import find_address, has_two_stacks
from shiftlens.models.checking import check_address
from shiftlens.models.files import locate, read_config, require_weights
from shiftlens.models.model import Model, Origin
from shiftlens.models.processing.picture_functions import require_sound_torchvision
from shiftlens.models.processing.processors import load_processor
from shiftlens.models.stored import stored_types

# Below this width the fused attention of a CPU costs more than it saves.
_TINY_WIDTH = 512


@dataclass(frozen=True)
class Placement:
    """Where and how a module is put.

    Attributes:
        device: the first CUDA device if there is one, otherwise the CPU, unless given; "auto" lets
            accelerate split the model over all there are, or a mapping says what goes where.
        dtype: float32 on a CPU, otherwise the type of the files, unless given.
        attention: implementation of transformers; ``None`` for its default, or "eager" for a tiny
            model on a CPU.
        template: the chat template: a file, its text, or "plain" for models that continue a text;
            ``None`` for the model's own.
    """

    device: str | torch.device | Mapping[str, Any] | None = None
    dtype: str | torch.dtype | None = None
    attention: str | None = None
    template: str | Path | None = None


def load_checkpoint(
    name: str,
    place: Placement,
    *,
    label: str,
    revision: str | None = None,
    partner: Model | None = None,
) -> Model:
    """Load a full model.

    Args:
        name: a directory, an id on the hub, or ``package:name``.
        place: where and how.
        label: short name in results.
        revision: branch, tag or commit on the hub.
        partner: the model whose processor serves where the files hold none, as trainers that save
            the weights alone leave it.

    Raises:
        DataError: there is no such model, its files cannot be read, or it is of another kind.
        MismatchError: files and configuration differ.
    """
    require_sound_torchvision()
    where, commit = locate(name, revision)
    hf = _load_module(where, name, place)
    model = _model(hf, where, commit, name, label, partner, place)
    if model.device.type == "meta":
        raise DataError(
            f"{name} was split so that its first weights lie outside of memory",
            allowed="a split that leaves the vision tower and the embeddings on a device",
            remedy="name a device instead of 'auto', or free memory on it",
        )
    check_address(model)
    return model


def load_skeleton(
    name: str,
    place: Placement,
    *,
    label: str,
    revision: str | None = None,
    partner: Model | None = None,
) -> Model:
    """A full model without its weights: everything that can be compared before they are read.

    Its tensors have shapes and types and no memory, so it cannot be run.

    Args:
        name, label, revision, partner: as in ``load_checkpoint``.
        place: what it would be loaded as; the skeleton itself is on the meta device.

    Raises:
        DataError: as ``load_checkpoint``, but for what only the weights themselves can show.
    """
    require_sound_torchvision()
    from transformers import AutoModelForImageTextToText, GenerationConfig

    where, commit = locate(name, revision)
    config = _config(where, name)
    require_weights(where, name, "save the model with transformers' save_pretrained")
    dtype = _dtype(place.dtype, _device(place.device))
    if dtype == "auto":
        dtype = getattr(config, "dtype", None) or max(stored_types(where), key=str)
    with torch.device("meta"):
        hf: Any = AutoModelForImageTextToText.from_config(config, dtype=dtype)
    if (where / "generation_config.json").is_file():
        hf.generation_config = GenerationConfig.from_pretrained(where, local_files_only=True)
    return _model(hf.eval(), where, commit, name, label, partner, place)


def _model(
    hf: Any,
    where: Path,
    commit: str | None,
    name: str,
    label: str,
    partner: Model | None,
    place: Placement,
) -> Model:
    whole = any((where / file).is_file() for file in ("tokenizer.json", "tokenizer_config.json"))
    return Model(
        hf=hf,
        processor=load_processor(where, name, template=place.template)
        if whole or partner is None
        else partner.processor,
        name=name,
        adapter=None,
        label=label,
        address=find_address(hf),
        origin=Origin(where, commit),
    )


def _load_module(where: Path, name: str, place: Placement) -> nn.Module:
    from safetensors import SafetensorError
    from transformers import AutoModelForImageTextToText

    split, device = _split(place.device), _device(place.device)
    wanted, attention = _dtype(place.dtype, device), place.attention
    config = _config(where, name)
    require_weights(where, name, "save the model with transformers' save_pretrained")
    width = config.get_text_config(decoder=True).hidden_size
    if attention is None and device.type == "cpu" and width <= _TINY_WIDTH:
        attention = "eager"
    try:
        loaded: Any = AutoModelForImageTextToText.from_pretrained(
            where,
            config=config,
            dtype=wanted,
            attn_implementation=attention,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            # Packed weights cannot be moved afterwards: transformers puts them where they belong.
            device_map=split or (None if quantisation(config) is None else {"": device}),
        )
    except (SafetensorError, OSError) as error:
        raise DataError(f"the weights of {name} cannot be read ({_line(error)})") from error
    except (RuntimeError, ValueError, KeyError, ImportError) as error:
        method = quantisation(config)
        if method:
            raise _without_backend(name, method, _line(error)) from error
        raise MismatchError(f"the files of {name} do not fit together ({_line(error)})") from error
    hf, report = loaded
    _require_complete(report, name)
    return hf.eval() if split or quantisation(config) else hf.to(device).eval()


def _split(device: str | torch.device | Mapping[str, Any] | None) -> str | Mapping[str, Any] | None:
    """What accelerate is told where modules go; ``None`` for a model on one device.

    Raises:
        DataError: it is needed and is not installed.
    """
    wanted = device if isinstance(device, Mapping) else "auto" if device == "auto" else None
    if wanted is None:
        return None
    if find_spec("accelerate") is None:
        raise DataError(
            "splitting a model over devices needs the package accelerate",
            remedy="pip install accelerate, or name one device",
        )
    return wanted


def quantisation(config: Any) -> str | None:
    """How a configuration says that the weights are quantised; ``None`` if they are not."""
    settings = getattr(config, "quantization_config", None)
    if settings is None:
        return None
    fields: dict[str, Any] = settings if isinstance(settings, dict) else settings.to_dict()
    method = fields.get("quant_method", "unknown")
    return str(getattr(method, "value", method))


def _without_backend(name: str, method: str, reason: str) -> DataError:
    return DataError(
        f"{name} is quantised ({method}) and cannot be loaded on this machine ({reason})",
        allowed="weights that are not quantised, or a machine with the package and device for it",
        remedy=f"install what transformers asks for to read {method}, or give the model in the "
        "type that it was trained in",
    )


def _config(where: Path, name: str) -> Any:
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoConfig
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES as KNOWN,
    )

    if is_adapter(where):
        base = read_config(where, "adapter_config.json", name).get("base_model_name_or_path")
        raise DataError(
            f"{name} is an adapter, not a model",
            allowed=f"its base, with the adapter beside it: {base} --adapter {name}",
            remedy=f"in Python: load_model({base!r}, adapter={name!r})",
        )
    if not (where / "config.json").is_file():
        raise DataError(
            f"{name} is not a model directory: it holds no config.json",
            allowed="what transformers' save_pretrained writes",
        )
    kind = str(read_config(where, "config.json", name).get("model_type"))
    if kind not in KNOWN:
        raise DataError(
            f"{name} is not a model of pictures and text (its model_type is {kind!r})",
            allowed="the image-text-to-text models of transformers, without code of their own",
            remedy="choose a multimodal model, for example llava-hf/llava-1.5-7b-hf",
        )
    try:
        config = AutoConfig.from_pretrained(where, local_files_only=True)
    except StrictDataclassError as error:  # a field of another type: the cause says which
        reason = _line(error.__cause__ or error)
        raise DataError(f"config.json of {name} cannot be used ({reason})") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"config.json of {name} cannot be used ({_line(error)})") from error
    if has_two_stacks(config):
        raise DataError(
            f"{name} is an encoder-decoder model ({kind})",
            allowed="models whose pictures and text share one decoder",
        )
    return config


def _require_complete(report: Any, name: str) -> None:
    """A tensor that a file lacks would be filled with random numbers: refuse, naming it."""
    for field, what in (("missing_keys", "lack"), ("mismatched_keys", "have another shape of")):
        keys = sorted(str(key[0] if isinstance(key, tuple) else key) for key in report[field])
        if keys:
            raise MismatchError(
                f"the weights of {name} {what} {len(keys)} tensor(s): {', '.join(keys[:3])}",
                allowed="every tensor that config.json calls for",
                remedy="download or save the model again",
            )


def _device(device: str | torch.device | Mapping[str, Any] | None) -> torch.device:
    """The device of the inputs; of a split model, the one that would be chosen for it whole."""
    if device is None or device == "auto" or isinstance(device, Mapping):
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        place = torch.device(device)
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError) as error:
        raise DataError(
            f"device {device} cannot be used ({_line(error)})",
            allowed="cpu, cuda, cuda:0, mps, or auto",
        ) from error
    return place


def _dtype(dtype: str | torch.dtype | None, place: torch.device) -> str | torch.dtype:
    if dtype is None:
        return torch.float32 if place.type == "cpu" else "auto"
    if dtype == "auto" or isinstance(dtype, torch.dtype):
        return dtype
    found = getattr(torch, dtype, None)
    if not isinstance(found, torch.dtype):
        raise DataError(f"unknown dtype {dtype!r}", allowed="float32, bfloat16, float16, auto")
    return found


def _line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
