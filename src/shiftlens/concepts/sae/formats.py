"""How autoencoders of other libraries lie on disk: from their files to one description.

What each format says, and where its code lies that says so, stands in ``docs/formats/sae.md``.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from shiftlens.core.errors import LearnError, MismatchError, StoreError
from shiftlens.core.manifest import read_json

KINDS = ("saelens", "sparsify", "dictionary-learning", "plain")

_ASKED = "read_sae(..., activation=..., active=..., subtract=...)"
_HOOK = re.compile(r"blocks\.(\d+)\.hook_resid_(pre|post)")


@dataclass(frozen=True)
class Files:
    """An autoencoder's files.

    Attributes:
        kind: one of ``KINDS``.
        tensors: the file of its weights.
        config: the file of its settings, where there is one.
    """

    kind: str
    tensors: Path
    config: Path | None


@dataclass(frozen=True)
class Described:
    """An autoencoder as its files describe it.

    Attributes:
        tensors: ``W_enc``, ``b_enc``, ``W_dec``, ``b_dec``, ``threshold``, by these names.
        activation: ``topk``, ``relu`` or ``jumprelu``; ``None`` where the files do not say.
        active: how many codes ``topk`` leaves; ``None`` where the files do not say.
        subtract: whether the encoder sees states without ``b_dec``; ``None`` where not said.
        normalisation: of states, see ``SparseAutoencoder``.
        by_decoder_norm: whether codes are multiplied by the length of their decoder rows before
            the activation, and divided by it before decoding.
        rows_first: whether ``W_enc`` and ``W_dec`` have a row for each concept, by the format's
            convention; ``None`` where there is none.
        layer: of the decoder block behind which the states were taken; ``None`` where not said.
        config: JSON of the settings.
    """

    tensors: Mapping[str, Tensor]
    activation: str | None
    active: int | None
    subtract: bool | None
    normalisation: str = "none"
    by_decoder_norm: bool = False
    rows_first: tuple[bool, bool] | None = None
    layer: int | None = None
    config: Mapping[str, Any] = field(default_factory=dict[str, Any])


def find(path: Path, kind: str) -> Files:
    """The files of an autoencoder.

    Args:
        path: a directory, or the file of the weights.
        kind: one of ``KINDS``, or ``auto`` to tell it by the names of files.

    Raises:
        StoreError: no such files, several autoencoders, or a pickle.
    """
    if kind not in ("auto", *KINDS):
        raise StoreError(
            f"unknown kind of autoencoder {kind!r}", allowed=f"auto, {', '.join(KINDS)}"
        )
    home = path if path.is_dir() else path.parent
    weights = path if path.is_file() else _weights(path)
    told = {
        "sae_weights.safetensors": "saelens",
        "sae.safetensors": "sparsify",
        "ae.safetensors": "dictionary-learning",
    }.get(weights.name, "plain")
    names = ("cfg.json", "config.json")
    config = next((home / name for name in names if (home / name).is_file()), None)
    return Files(told if kind == "auto" else kind, weights, config)


def _weights(folder: Path) -> Path:
    found = sorted(folder.glob("*.safetensors")) if folder.is_dir() else []
    if len(found) == 1:
        return found[0]
    if found:
        raise StoreError(
            f"{folder} holds {len(found)} files of weights",
            allowed=", ".join(f.name for f in found),
        )
    pickled = [one.name for one in folder.glob("*.pt")] if folder.is_dir() else []
    if pickled:
        raise StoreError(
            f"{folder / pickled[0]} is a pickle, which may run any code when it is read",
            remedy="convert it once, where you trust it: safetensors.torch.save_file("
            f'torch.load("{pickled[0]}", weights_only=True), "ae.safetensors")',
        )
    raise StoreError(
        f"{folder} holds no autoencoder",
        allowed="sae_weights, sae or ae.safetensors, or one .safetensors of another name",
    )


def describe(files: Files) -> Described:
    """What the files say.

    Raises:
        StoreError: they cannot be read.
        LearnError: a kind of autoencoder that is not read here; the message says which.
        MismatchError: it was not trained on the residual stream.
    """
    try:
        tensors = load_file(files.tensors)
    except (OSError, SafetensorError) as error:
        raise StoreError(f"{files.tensors} cannot be read ({error})") from error
    config: Any = {} if files.config is None else read_json(files.config)
    if not isinstance(config, dict):
        raise StoreError(f"{files.config} holds no settings")
    readers: dict[str, Callable[[dict[str, Tensor], dict[str, Any]], Described]] = {
        "saelens": _saelens,
        "sparsify": _sparsify,
        "dictionary-learning": _dictionary_learning,
        "plain": _plain,
    }
    return readers[files.kind](tensors, config)  # pyright: ignore[reportUnknownArgumentType]


def _saelens(tensors: dict[str, Tensor], config: dict[str, Any]) -> Described:
    """SAELens: W_enc (d, k), W_dec (k, d); settings flat in files of before version 6."""
    if "log_threshold" in tensors:  # of a run that was stopped while it trained
        tensors = {**tensors, "threshold": tensors["log_threshold"].exp()}
    kind = str(config.get("architecture", "standard"))
    told = config.get("activation_fn_str", config.get("activation_fn", "relu"))
    known = {"standard": "relu", "topk": "topk", "jumprelu": "jumprelu", "batchtopk": "jumprelu"}
    activation = known.get(kind)
    if kind == "standard" and told in ("relu", "topk"):
        activation = told
    if activation is None or (kind == "standard" and told not in ("relu", "topk")):
        raise LearnError(
            f"a SAELens autoencoder of the architecture {kind!r}, activation {told!r}",
            allowed=", ".join(known),
        )
    if config.get("finetuning_scaling_factor") and "scaling_factor" in tensors:
        raise LearnError("a SAELens autoencoder with a fine-tuned scaling factor")
    if config.get("reshape_activations", "none") != "none":
        raise MismatchError(
            "a SAELens autoencoder of attention heads", allowed="one of the residual stream"
        )
    options: Any = config.get("activation_fn_kwargs") or {}
    return Described(
        tensors,
        activation,
        _whole(config.get("k", options.get("k"))),
        bool(config.get("apply_b_dec_to_input", True)),
        normalisation=_normalisation(config.get("normalize_activations", "none")),
        by_decoder_norm=bool(config.get("rescale_acts_by_decoder_norm", False)),
        rows_first=(False, True),
        layer=_layer(config),
        config=config,
    )


def _sparsify(tensors: dict[str, Tensor], config: dict[str, Any]) -> Described:
    """EleutherAI's sparsify: encoder.weight (k, d), encoder.bias, W_dec (k, d), b_dec."""
    activation = str(config.get("activation", "topk"))
    refused = [
        name
        for name in ("transcode", "skip_connection", "embed_skip", "gram_lookup")
        if config.get(name)
    ]
    if activation != "topk" or refused or "W_skip" in tensors:
        raise LearnError(
            "a sparse coder of sparsify with " + ", ".join([f"activation {activation}", *refused]),
            allowed="an autoencoder with topk: nothing else is made of states and codes alone",
        )
    named = _renamed(tensors, {"encoder.weight": "W_enc", "encoder.bias": "b_enc"})
    active = _whole(config.get("k"))
    return Described(named, "topk", active, True, rows_first=(True, True), config=config)


def _dictionary_learning(tensors: dict[str, Tensor], config: dict[str, Any]) -> Described:
    """dictionary_learning: nn.Linear both ways, so decoder.weight is (d, k)."""
    trainer: Any = config.get("trainer", config)
    kind = str(trainer.get("dict_class", ""))
    options: dict[str, tuple[str, bool]] = {
        "AutoEncoder": ("relu", True),
        "AutoEncoderNew": ("relu", False),
        "AutoEncoderTopK": ("topk", True),
        "BatchTopKSAE": ("jumprelu", True),
        "MatryoshkaBatchTopKSAE": ("jumprelu", True),
        "JumpReluAutoEncoder": ("jumprelu", False),
    }
    if kind not in options:
        raise LearnError(
            f"a dictionary of the class {kind!r}"
            if kind
            else "a dictionary without its config.json",
            allowed=", ".join(options),
            remedy="put the config.json that was saved with it beside it",
        )
    activation, subtract = options[kind]
    named = _renamed(
        tensors,
        {
            "encoder.weight": "W_enc",
            "encoder.bias": "b_enc",
            "decoder.weight": "W_dec",
            "decoder.bias": "b_dec",
            "bias": "b_dec",
        },
    )
    jump = kind == "JumpReluAutoEncoder"
    if activation != "jumprelu":
        named.pop("threshold", None)  # of topk it is a note on the training, not used by encode
    return Described(
        named,
        activation,
        _whole(trainer.get("k", named["k"].item() if "k" in named else None)),
        subtract,
        by_decoder_norm=jump,
        rows_first=(False, True) if jump or "W_enc" in tensors else (True, False),
        layer=_whole(trainer.get("layer")),
        config=config,
    )


def _plain(tensors: dict[str, Tensor], config: dict[str, Any]) -> Described:
    """Weights by the usual names and nothing else that is sure."""
    named = _renamed(
        tensors,
        {
            "encoder.weight": "W_enc",
            "encoder.bias": "b_enc",
            "decoder.weight": "W_dec",
            "decoder.bias": "b_dec",
        },
    )
    linear = {"encoder.weight", "decoder.weight"} <= tensors.keys()
    subtract = config.get("apply_b_dec_to_input")
    return Described(
        named,
        config.get("activation") or ("jumprelu" if "threshold" in named else None),
        _whole(config.get("k", named["k"].item() if "k" in named else None)),
        None if subtract is None else bool(subtract),
        normalisation=_normalisation(config.get("normalize_activations", "none")),
        rows_first=(True, False) if linear else None,
        config=config,
    )


def _renamed(tensors: dict[str, Tensor], names: Mapping[str, str]) -> dict[str, Tensor]:
    return {names.get(name, name): tensor for name, tensor in tensors.items()}


def _whole(number: Any) -> int | None:
    if number is None:
        return None
    if isinstance(number, bool) or int(number) != number:
        raise LearnError(f"{number!r} where a whole number is needed", remedy=_ASKED)
    return int(number)


def _normalisation(name: Any) -> str:
    known = {
        **dict.fromkeys(("none", "None", "False"), "none"),
        "constant_norm_rescale": "constant-norm",
        "layer_norm": "layer-norm",
    }
    if str(name) not in known:
        raise LearnError(
            f"an autoencoder that normalises states by {name!r}",
            allowed="none, constant_norm_rescale, layer_norm",
            remedy="a scale that was estimated from data lies in no file: fold it into the weights",
        )
    return known[str(name)]


def _layer(config: Mapping[str, Any]) -> int | None:
    """The block behind which a SAELens autoencoder was trained.

    Raises:
        MismatchError: its hook is not in the residual stream between blocks.
    """
    meta: Any = config.get("metadata") or config.get("meta") or config
    hook = meta.get("hook_name", meta.get("hook_point"))
    if hook is None:
        return None
    found = _HOOK.fullmatch(str(hook))
    if found is None and "hook_" in str(hook):
        raise MismatchError(
            f"an autoencoder of {hook!r}",
            allowed="of the residual stream between blocks: blocks.N.hook_resid_post, or _pre",
        )
    return int(found[1]) - (found[2] == "pre") if found else None
