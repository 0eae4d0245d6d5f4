"""Sparse autoencoders as other libraries write them, and what they compute, in plain numpy."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

D, K = 6, 10
"""Width and concepts of the autoencoders here."""


def weights(k: int = K, d: int = D, *, seed: int = 0) -> dict[str, np.ndarray]:
    """Random weights: ``enc`` and ``dec`` (k, d), ``b_enc`` (k,), ``b_dec`` (d,), ``threshold``."""
    random = np.random.default_rng(seed)
    return {
        "enc": random.normal(size=(k, d)),
        "dec": random.normal(size=(k, d)),
        "b_enc": random.normal(size=k) * 0.3,
        "b_dec": random.normal(size=d),
        "threshold": random.uniform(0.2, 1.5, size=k),
    }


def states(n: int = 40, d: int = D, *, seed: int = 1) -> np.ndarray:
    """Random states (n, d)."""
    return np.random.default_rng(seed).normal(size=(n, d)) * 2


def codes_by_hand(
    x: np.ndarray,
    w: Mapping[str, np.ndarray],
    activation: str,
    *,
    active: int = 0,
    subtract: bool = True,
    by_norm: bool = False,
) -> np.ndarray:
    """Row by row, concept by concept."""
    codes = np.zeros((len(x), len(w["enc"])))
    for row, state in enumerate(x):
        seen = state - w["b_dec"] if subtract else state
        before = np.array([seen @ one for one in w["enc"]]) + w["b_enc"]
        if by_norm and activation == "topk":
            before = before * np.sqrt((w["dec"] ** 2).sum(axis=1))
        for concept in range(len(before)):
            value = before[concept]
            if activation == "topk":
                keep = (before > value).sum() < active and value > 0
            elif activation == "jumprelu":
                keep = value > w["threshold"][concept] and value > 0
            else:
                keep = value > 0
            codes[row, concept] = value if keep else 0.0
        if by_norm and activation == "jumprelu":
            codes[row] *= np.sqrt((w["dec"] ** 2).sum(axis=1))
    return codes


def states_by_hand(
    codes: np.ndarray, w: Mapping[str, np.ndarray], *, by_norm: bool = False
) -> np.ndarray:
    """What codes stand for."""
    lengths = np.sqrt((w["dec"] ** 2).sum(axis=1)) if by_norm else np.ones(len(w["dec"]))
    return np.stack([(row / lengths) @ w["dec"] + w["b_dec"] for row in codes])


def write(
    folder: Path,
    name: str,
    tensors: Mapping[str, Any],
    config: Any = None,
    *,
    cfg: str = "cfg.json",
) -> Path:
    """A directory with weights of some name, and settings beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    plain = {key: torch.as_tensor(one).float().contiguous() for key, one in tensors.items()}
    save_file(plain, folder / name)
    if config is not None:
        (folder / cfg).write_text(json.dumps(config))
    return folder


def saelens(folder: Path, w: Mapping[str, np.ndarray], **config: Any) -> Path:
    """As SAELens writes it: W_enc (d, k), W_dec (k, d)."""
    tensors = {"W_enc": w["enc"].T, "W_dec": w["dec"], "b_enc": w["b_enc"], "b_dec": w["b_dec"]}
    if config.get("architecture") == "jumprelu":
        tensors["threshold"] = w["threshold"]
    return write(folder, "sae_weights.safetensors", tensors, config)


def sparsify(folder: Path, w: Mapping[str, np.ndarray], **config: Any) -> Path:
    """As sparsify writes it: encoder.weight (k, d), W_dec (k, d)."""
    tensors = {
        "encoder.weight": w["enc"],
        "encoder.bias": w["b_enc"],
        "W_dec": w["dec"],
        "b_dec": w["b_dec"],
    }
    return write(folder, "sae.safetensors", tensors, {"d_in": w["enc"].shape[1], **config})


def dictionary(folder: Path, w: Mapping[str, np.ndarray], kind: str, **trainer: Any) -> Path:
    """As dictionary_learning holds it, after conversion from its pickle."""
    linear = {
        "encoder.weight": w["enc"],
        "encoder.bias": w["b_enc"],
        "decoder.weight": w["dec"].T,
    }
    tensors: dict[str, Any] = {
        "AutoEncoder": {**linear, "bias": w["b_dec"]},
        "AutoEncoderNew": {**linear, "decoder.bias": w["b_dec"]},
        "AutoEncoderTopK": {**linear, "b_dec": w["b_dec"], "threshold": -1.0},
        "BatchTopKSAE": {**linear, "b_dec": w["b_dec"], "threshold": w["threshold"][0]},
        "JumpReluAutoEncoder": {
            "W_enc": w["enc"].T,
            "W_dec": w["dec"],
            "b_enc": w["b_enc"],
            "b_dec": w["b_dec"],
            "threshold": w["threshold"],
        },
    }.get(kind, linear)
    config = {"trainer": {"dict_class": kind, **trainer}, "buffer": {}}
    return write(folder, "ae.safetensors", tensors, config, cfg="config.json")
