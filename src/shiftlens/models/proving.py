"""Proving that models are fine-tunes of a base: fields, adapter, and logits on a probe."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from shiftlens.core.errors import MismatchError
from shiftlens.models.adapters import Attachment
from shiftlens.models.model import Model
from shiftlens.models.pairs import check_adapter, check_pair
from shiftlens.models.probe import Probe, difference, make_probe, probe_logits, rounding_bound
from shiftlens.models.proof import PairProof
from shiftlens.models.stored import coarsest_eps


def prove(
    base: Model, variants: Sequence[tuple[Model, Attachment | None]], allow: Collection[str]
) -> None:
    """Prove fine-tunes of a base and give each its ``proof``.

    Raises:
        MismatchError: one is no fine-tune of the base, is the base itself or changes nothing, or
            two are the same model.
    """
    differences = [_differences(base, model, one, allow) for model, one in variants]
    for first, second in combinations([base, *(model for model, _ in variants)], 2):
        if first.identity == second.identity:
            raise same_twice(str(first), str(second))
    tokens = {token for _, one in variants if one is not None for token in one.tokens}
    probe = make_probe(base, tuple(sorted(tokens)))
    said = probe_logits(base, probe)
    for (model, one), allowed in zip(variants, differences, strict=True):
        model.proof = _proof(base, said, model, one, allowed, probe)


def _differences(
    base: Model, model: Model, one: Attachment | None, allow: Collection[str]
) -> dict[str, str]:
    if one is None:
        return check_pair(base, model, allow)
    return check_adapter(base, model, one, allow)


def _proof(
    base: Model,
    said: Tensor,
    model: Model,
    one: Attachment | None,
    allowed: dict[str, str],
    probe: Probe,
) -> PairProof:
    eps = _eps(base, model, one)
    bound = rounding_bound(base, probe, said, eps) if eps else 0.0
    proof = PairProof(
        kind="full model" if one is None else "adapter",
        allowed=allowed,
        base=base.name,
        base_revision=base.origin.revision,
        **({} if one is None else _counted(model, one)),
    )
    proof = answered(proof, str(base), said, model, probe, bound)
    # Where weights lie in memory decides last bits on some processors, so logits alone do not tell.
    if one is None and proof.rounding_only and _same_weights(base, model):
        raise _changes_nothing(str(base), model, "every weight is")
    return proof


def _same_weights(base: Model, model: Model) -> bool:
    """Whether two modules hold the same tensors to the bit; ends at the first that differs."""
    ours, theirs = base.hf.state_dict(), model.hf.state_dict()
    return ours.keys() == theirs.keys() and all(
        tensor.dtype == theirs[name].dtype and torch.equal(tensor, theirs[name].to(tensor.device))
        for name, tensor in ours.items()
    )


def answered(
    proof: PairProof, base: str, said: Tensor, model: Model, probe: Probe, bound: float
) -> PairProof:
    """A proof with what a fine-tune answers to the probe, beside what its base answered.

    Args:
        proof: what is known without asking.
        base: the base, as messages call it; it need not be in memory any more.
        said: what it answered, (prompts, vocabulary).
        model: the fine-tune, which is asked now.
        probe: what both are asked.
        bound: see ``rounding_bound``.

    Raises:
        MismatchError: the fine-tune answers the same to the last bit.
    """
    apart = difference(said, probe_logits(model, probe))
    largest, mean = float(apart.max()), float(apart.mean())
    if largest == 0:
        raise _changes_nothing(base, model, f"the logits on {probe} are")
    return replace(
        proof,
        probe=str(probe),
        largest_logit_difference=largest,
        mean_logit_difference=mean,
        rounding=bound,
        rounding_only=mean <= bound,
    )


def _eps(base: Model, model: Model, one: Attachment | None) -> float:
    """What may be rounded between two models: nothing where every weight and kernel is the same."""
    if model.hf is base.hf:
        return 0.0
    return coarsest_eps(base, model) if one is None else torch.finfo(model.dtype).eps


def _counted(model: Model, one: Attachment) -> dict[str, Any]:
    address = model.address
    blocks = {name.removeprefix(f"{address.blocks_path}.").split(".")[0]
              for name in one.modules if name.startswith(f"{address.blocks_path}.")}  # fmt: skip
    seeing = tuple(path for path in (address.vision_path, address.projector_path) if path)
    return {
        "adapter_tensors": one.n_tensors,
        "target_modules": len(one.modules),
        "share_of_blocks": len(blocks) / address.n_layers,
        "modules_to_save": one.modules_to_save,
        "vision_modules": tuple(n for n in one.modules if f"{n}.".startswith(_within(seeing))),
        "embedding_modules": tuple(n for n in one.modules if n in _embeddings(model)),
        "base_named": one.base,
        "base_revision_named": one.base_revision,
    }


def _within(paths: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{path}." for path in paths)


def _embeddings(model: Model) -> set[str]:
    """Paths of the input embeddings and of the unembedding, through what PEFT put around them."""
    embeddings = model.hf.get_input_embeddings()
    inner = next(iter(embeddings.parameters()), torch.empty(0))
    return {model.address.head_path} | {
        name for name, module in model.hf.named_modules()
        if module is embeddings or _own_weight(module) is inner
    }  # fmt: skip


def _own_weight(module: Any) -> Tensor | None:
    return getattr(module, "weight", None) if isinstance(module, torch.nn.Embedding) else None


def same_twice(first: str, second: str) -> MismatchError:
    """The error of two names that lead to one model."""
    return MismatchError(
        f"{first} and {second} are the same model twice: same weights, settings and processor",
        allowed="a model and its fine-tune, an adapter, or another checkpoint",
        remedy="check the two names; a cast copy needs its own type (tuned_dtype)",
    )


def _changes_nothing(base: str, model: Model, what: str) -> MismatchError:
    return MismatchError(
        f"{model} changes nothing in {base}: {what} the same to the bit",
        allowed="a fine-tune that moves at least one logit",
        remedy="check that it was trained and saved from this base; what is smaller than the "
        "rounding of the type vanishes in it, so try dtype='float32'",
    )
