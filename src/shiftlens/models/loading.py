"""``load_model`` and ``load_pair``: from names to models that are proven readable."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from shiftlens.core.errors import DataError, MismatchError
from shiftlens.models.adapters import attach_adapter, is_adapter
from shiftlens.models.address import find_address
from shiftlens.models.checking import check_address
from shiftlens.models.files import locate, read_config, require_weights
from shiftlens.models.model import Model, Origin
from shiftlens.models.pairs import check_pair
from shiftlens.models.processors import load_processor
from shiftlens.models.quiet import quiet_loading
from shiftlens.models.tenancy import Tenancy

# Below this width the fused attention of a CPU costs more than it saves.
_TINY_WIDTH = 512


def load_model(
    name: str | Path,
    *,
    adapter: str | Path | None = None,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    attention: str | None = None,
    revision: str | None = None,
    label: str | None = None,
) -> Model:
    """Load an image-text-to-text model of transformers, with an adapter if one is given.

    Args:
        name: a directory, an id on the hub, or ``package:name`` (``world:base``).
        adapter: a PEFT adapter, named in the same ways.
        device: where to put it; the first CUDA device if there is one, otherwise the CPU.
        dtype: type of the weights; float32 on a CPU, otherwise the type of the files.
        attention: implementation of transformers ("eager", "sdpa", ...); its default, except that a
            tiny model on a CPU gets "eager".
        revision: branch, tag or commit on the hub.
        label: short name in results; "base", or "tuned" with an adapter.

    Raises:
        DataError: there is no such model, its files cannot be read, or it is of another kind.
        MismatchError: the adapter does not belong to the model, or files and configuration differ.
    """
    with quiet_loading():
        where, commit = locate(str(name), revision)
        hf = _load_module(where, str(name), device, dtype, attention)
        model = Model(
            hf=hf,
            processor=load_processor(where, str(name)),
            name=str(name),
            adapter=None,
            label=label or "base",
            address=find_address(hf),
            origin=Origin(where, commit),
        )
        check_address(model)
        return model if adapter is None else _adapted(model, str(adapter), label or "tuned")


def load_pair(
    base: str | Path,
    tuned: str | Path,
    *,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    attention: str | None = None,
) -> tuple[Model, Model]:
    """Load a model and its fine-tuned version; if that is an adapter, on one copy of the weights.

    Outside every context the shared module of such a pair has its adapter on, as PEFT leaves it:
    run it inside ``active()`` of the one you mean.

    Args:
        base: the original model, named as in ``load_model``.
        tuned: a PEFT adapter of it, or a full model of the same architecture and vocabulary.
        device: as in ``load_model``.
        dtype: as in ``load_model``.
        attention: as in ``load_model``.

    Returns:
        the models, labelled "base" and "tuned".

    Raises:
        DataError: one of the two cannot be read.
        MismatchError: they are not a pair; the message names the field.
    """
    options: dict[str, Any] = {"device": device, "dtype": dtype, "attention": attention}
    first = load_model(base, label="base", **options)
    with quiet_loading():
        where, commit = locate(str(tuned), None)
        if is_adapter(where):
            second = _adapted(first, str(tuned), "tuned")
            # The base of the pair lives in the same, now adapted, module.
            first.tenancy, first.address = second.tenancy, second.address
            return first, second
        hf = _load_module(where, str(tuned), device, dtype, attention)
        second = Model(
            hf=hf,
            processor=_processor_of_pair(where, str(tuned), first),
            name=str(tuned),
            adapter=None,
            label="tuned",
            address=find_address(hf),
            origin=Origin(where, commit),
        )
        check_pair(first, second)
        check_address(second)
        return first, second


def _adapted(model: Model, adapter: str, label: str) -> Model:
    where, commit = locate(adapter, None)
    layers = attach_adapter(model.hf, where, adapter, base=model.name, device=model.device)
    tuned = Model(
        hf=model.hf,
        processor=model.processor,
        name=model.name,
        adapter=adapter,
        label=label,
        address=find_address(model.hf),
        origin=Origin(model.origin.directory, model.origin.revision, where, commit),
        adapter_on=True,
        tenancy=Tenancy(layers),
    )
    check_address(tuned)
    return tuned


def _processor_of_pair(where: Path, name: str, base: Model) -> Any:
    """Trainers often save the weights alone: then the base's processor is the right one."""
    if any((where / file).is_file() for file in ("tokenizer.json", "tokenizer_config.json")):
        return load_processor(where, name)
    return base.processor


def _load_module(
    where: Path,
    name: str,
    device: str | torch.device | None,
    dtype: str | torch.dtype | None,
    attention: str | None,
) -> nn.Module:
    from safetensors import SafetensorError
    from transformers import AutoModelForImageTextToText

    place = _device(device)
    wanted = _dtype(dtype, place)
    config = _config(where, name)
    require_weights(where, name, "save the model with transformers' save_pretrained")
    width = config.get_text_config(decoder=True).hidden_size
    if attention is None and place.type == "cpu" and width <= _TINY_WIDTH:
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
        )
    except (SafetensorError, OSError) as error:
        raise DataError(f"the weights of {name} cannot be read ({_line(error)})") from error
    except (RuntimeError, ValueError, KeyError, ImportError) as error:
        raise MismatchError(f"the files of {name} do not fit together ({_line(error)})") from error
    hf, report = loaded
    _require_complete(report, name)
    return hf.to(place).eval()


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
            remedy=f"load its base with it: load_model({base!r}, adapter={name!r})",
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
    if getattr(config, "is_encoder_decoder", False):
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


def _device(device: str | torch.device | None) -> torch.device:
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        place = torch.device(device)
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError) as error:
        raise DataError(
            f"device {device} cannot be used ({_line(error)})", allowed="cpu, cuda, cuda:0, mps"
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
