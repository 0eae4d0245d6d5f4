"""``read_sae``: a sparse autoencoder that was trained elsewhere, as ``Concepts``."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from shiftlens.activations.site import Site
from shiftlens.activations.store import ActivationStore
from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.rows import StoreRows
from shiftlens.concepts.sae.encoder import SparseAutoencoder
from shiftlens.concepts.sae.formats import Described, Files, describe, find
from shiftlens.core.errors import LearnError, MismatchError
from shiftlens.core.manifest import sha256_file

_VALUES = 2**24
_NAMES = ("W_enc", "W_dec", "b_enc", "b_dec", "threshold")


def read_sae(
    path: str | Path,
    site: Site,
    *,
    kind: str = "auto",
    activation: str | None = None,
    active: int | None = None,
    subtract: bool | None = None,
    store: ActivationStore | None = None,
    keep: int | None = None,
) -> Concepts:
    """Read a sparse autoencoder as concepts: its decoder's rows are the vectors.

    Read are directories of SAELens, of EleutherAI's sparsify and of dictionary_learning, and plain
    ``.safetensors`` with ``W_enc``, ``W_dec``, ``b_enc``, ``b_dec``; see ``docs/formats/sae.md``.
    Pickles are not read.

    Args:
        path: a directory, or the file of the weights.
        site: where the states lie that it was trained on; one layer.
        kind: ``saelens``, ``sparsify``, ``dictionary-learning`` or ``plain``; told by the files.
        activation: ``topk``, ``relu`` or ``jumprelu``, in place of what the files say.
        active: how many codes ``topk`` leaves, in place of what the files say.
        subtract: whether the encoder sees states without the decoder's bias, in place of what the
            files say.
        store: states of the site, on which the sizes are counted: the rows that each concept is
            most active on. Without it all sizes are 0.
        keep: how many concepts to keep: those with the largest sum of codes over the store. Codes
            stay what they were, the dropped ones still compete for the m largest.

    Returns:
        directions with their own encoder; ``learner`` tells what was read, ``provenance`` the files
        with their digests and settings.

    Raises:
        StoreError: no such files, or damaged ones.
        LearnError: tensors are missing, of a wrong type, not finite, or do not fit one another; the
            files do not say something that is needed; or a variety that is not read here.
        MismatchError: trained at another layer, or of another width than the store.
    """
    if isinstance(site.layer, tuple):
        raise MismatchError(f"layers {site.layer} for one autoencoder", allowed="one layer")
    files = find(Path(path), kind)
    told = describe(files)
    _require_layer(told, site)
    told = replace(
        told,
        activation=activation or told.activation,
        active=active if active is not None else told.active,
        subtract=subtract if subtract is not None else told.subtract,
    )
    vectors, encoder = _built(told, files)
    concepts = Concepts(
        vectors=vectors,
        kind="direction",
        site=site,
        sizes=(0,) * len(vectors),
        learner=_learner(files, encoder),
        provenance={"sae": _provenance(files, told)},
        encoder=encoder,
    )
    if store is None:
        if keep is not None:
            raise LearnError("concepts to keep are chosen on states", remedy="give a store")
        return concepts
    return _counted(concepts, encoder, store, keep)


def _built(told: Described, files: Files) -> tuple[Tensor, SparseAutoencoder]:
    """Vectors (k, d) and their encoder."""
    tensors = {name: _number(name, one) for name, one in told.tensors.items() if name in _NAMES}
    missing = [name for name in _NAMES[:2] if name not in tensors]
    if missing:
        raise LearnError(
            f"{files.tensors} holds no {' and no '.join(missing)}",
            allowed=f"it holds {', '.join(sorted(told.tensors)) or 'nothing'}",
        )
    weight, vectors = _oriented(tensors, told.rows_first)
    k, d = vectors.shape
    bias = _sized(tensors.get("b_enc"), k, "b_enc")
    decoder_bias = _sized(tensors.get("b_dec"), d, "b_dec")
    activation, active = _activation(told)
    threshold = (
        _sized(tensors.get("threshold"), k, "threshold") if activation == "jumprelu" else None
    )
    if activation == "jumprelu" and "threshold" not in tensors:
        raise LearnError(f"{files.tensors} holds no threshold for its jumprelu")
    if told.by_decoder_norm:
        norm = vectors.norm(dim=1).clamp(min=torch.finfo(vectors.dtype).tiny)
        weight, bias, vectors = weight * norm[:, None], bias * norm, vectors / norm[:, None]
        threshold = threshold if threshold is None else threshold * norm
    encoder = SparseAutoencoder(
        weight=weight.contiguous(),
        bias=bias,
        decoder_bias=decoder_bias,
        activation=activation,
        active=active,
        threshold=threshold,
        subtract=_subtract(told, decoder_bias),
        normalisation=told.normalisation,
    )
    return vectors.contiguous(), encoder


def _number(name: str, tensor: Tensor) -> Tensor:
    if not tensor.is_floating_point():
        raise LearnError(f"{name} is of type {tensor.dtype}", allowed="a floating point type")
    number = tensor.float()
    if not bool(torch.isfinite(number).all()):
        raise LearnError(f"{name} holds values that are not finite")
    return number


def _oriented(
    tensors: Mapping[str, Tensor], rows_first: tuple[bool, bool] | None
) -> tuple[Tensor, Tensor]:
    """Encoder and decoder, both with a row for each concept: (k, d)."""
    pair = tensors["W_enc"], tensors["W_dec"]
    shapes = [tuple(one.shape) for one in pair]
    if any(len(shape) != 2 for shape in shapes) or sorted(shapes[0]) != sorted(shapes[1]):
        raise LearnError(f"W_enc of shape {shapes[0]} beside W_dec of shape {shapes[1]}")
    if shapes[0][0] == shapes[0][1]:
        if rows_first is None:
            raise LearnError(
                f"W_enc and W_dec are square, {shapes[0]}: rows and columns are not told apart",
                remedy='name the format: read_sae(..., kind="saelens")',
            )
        turned = tuple(one if rows else one.T for one, rows in zip(pair, rows_first, strict=True))
        return turned[0], turned[1]
    d = _width(tensors, shapes, rows_first)
    turned = tuple(one if one.shape[1] == d else one.T for one in pair)
    return turned[0], turned[1]


def _width(
    tensors: Mapping[str, Tensor],
    shapes: list[tuple[int, ...]],
    rows_first: tuple[bool, bool] | None,
) -> int:
    """Which of the two sides is the width: the decoder's bias tells, or the encoder's."""
    a, b = shapes[0]
    if "b_dec" in tensors:
        d = len(_line(tensors, "b_dec"))
    elif "b_enc" in tensors:
        d = a + b - len(_line(tensors, "b_enc"))
    elif rows_first is not None:
        d = shapes[1][1 if rows_first[1] else 0]
    else:
        raise LearnError(
            f"W_enc of shape {shapes[0]} without any bias: width and concepts are not told apart",
            remedy='name the format: read_sae(..., kind="saelens")',
        )
    if d not in (a, b):
        named = "b_dec" if "b_dec" in tensors else "b_enc"
        raise LearnError(f"W_enc of shape {shapes[0]} beside {named} of {len(tensors[named])}")
    return d


def _line(tensors: Mapping[str, Tensor], name: str) -> Tensor:
    if tensors[name].ndim != 1:
        raise LearnError(f"{name} of shape {tuple(tensors[name].shape)}", allowed="one axis")
    return tensors[name]


def _sized(tensor: Tensor | None, n: int, name: str) -> Tensor:
    """A tensor (n,); zeros where there is none, and one number for all."""
    if tensor is None:
        return torch.zeros(n)
    if tensor.numel() == 1 and n > 1:
        return tensor.reshape(1).repeat(n)
    if tensor.shape != (n,):
        raise LearnError(f"{name} of shape {tuple(tensor.shape)}", allowed=f"({n},)")
    return tensor.contiguous()


def _activation(told: Described) -> tuple[str, int]:
    if told.activation is None:
        raise LearnError(
            "the files do not say which activation the autoencoder has",
            allowed="topk, relu, jumprelu",
            remedy='say it: read_sae(..., activation="topk", active=32)',
        )
    if told.activation != "topk":
        return told.activation, 0
    if told.active is None:
        raise LearnError(
            "the files do not say how many concepts are active at once",
            remedy="say it: read_sae(..., active=32)",
        )
    return told.activation, told.active


def _subtract(told: Described, decoder_bias: Tensor) -> bool:
    if told.subtract is None and bool(decoder_bias.any()):
        raise LearnError(
            "the files do not say whether the encoder sees states without the decoder's bias",
            remedy="say it: read_sae(..., subtract=True), or False",
        )
    return told.subtract is not False


def _require_layer(told: Described, site: Site) -> None:
    layer = site.layers[0]
    if told.layer is not None and layer >= 0 and told.layer != layer:
        raise MismatchError(
            f"an autoencoder of layer {told.layer} for states of layer {layer}",
            remedy=f"give Site({told.layer}, ...)",
        )


def _learner(files: Files, encoder: SparseAutoencoder) -> dict[str, Any]:
    return {
        "name": "sae",
        "format": files.kind,
        "k": len(encoder.weight),
        **encoder.settings(),
        "report": {},
    }


def _provenance(files: Files, told: Described) -> dict[str, Any]:
    named = [one for one in (files.tensors, files.config) if one is not None]
    digests = {one.name: sha256_file(one) for one in named}
    return {"files": digests, "config": dict(told.config)}


def _counted(
    concepts: Concepts, encoder: SparseAutoencoder, store: ActivationStore, keep: int | None
) -> Concepts:
    """Concepts with sizes on a store, and only the most active ones of them."""
    if keep is not None and not 1 <= keep <= concepts.k:
        raise LearnError(
            f"cannot keep {keep} of {concepts.k} concepts", allowed=f"1 to {concepts.k}"
        )
    own = concepts.site.layers[0]
    site = store.site_at(None if own < 0 and len(store.layers) == 1 else own)
    rows = StoreRows(store, site.layers[0])
    if rows.d != concepts.d:
        raise MismatchError(
            f"an autoencoder of width {concepts.d} for states of width {rows.d}",
            remedy="it was trained on another model, or at another place",
        )
    largest = torch.zeros(concepts.k, dtype=torch.long)
    sums = torch.zeros(concepts.k, dtype=torch.float64)
    for _, states in rows.chunks():
        for part in states.split(max(1, _VALUES // len(encoder.weight))):
            best = concepts.encode(part)
            sums += best.double().sum(dim=0)
            active = best.max(dim=1)
            largest += torch.bincount(active.indices[active.values > 0], minlength=concepts.k)
    provenance = {
        **store.provenance,
        "store": store.fingerprint,
        "rows": len(store),
        **concepts.provenance,
    }
    found = replace(concepts, site=site, sizes=tuple(largest.tolist()), provenance=provenance)
    return found if keep is None else _most_active(found, encoder, sums, keep)


def _most_active(
    concepts: Concepts, encoder: SparseAutoencoder, sums: Tensor, keep: int
) -> Concepts:
    if not float(sums.sum()) > 0:
        raise LearnError(
            "no concept is active on any state of the store, so none can be chosen",
            remedy="give states of the place that the autoencoder was trained on, or keep all",
        )
    chosen = sums.argsort(descending=True, stable=True)[:keep].sort().values
    kept: SparseAutoencoder
    if encoder.activation == "topk":  # the others still compete
        kept = replace(encoder, kept=chosen)
    else:
        threshold = None if encoder.threshold is None else encoder.threshold[chosen]
        kept = replace(
            encoder, weight=encoder.weight[chosen], bias=encoder.bias[chosen], threshold=threshold
        )
    numbers = chosen.tolist()
    learner = {**concepts.learner, "kept": numbers, "share": float(sums[chosen].sum() / sums.sum())}
    return replace(
        concepts,
        vectors=concepts.vectors[chosen],
        sizes=tuple(concepts.sizes[one] for one in numbers),
        learner=learner,
        encoder=kept,
    )
