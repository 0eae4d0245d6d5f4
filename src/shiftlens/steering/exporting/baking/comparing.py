"""The reverse check: do the weights do what the hooks did, to the last digits?"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from shiftlens.core.errors import ExportError
from shiftlens.models.generation import generate
from shiftlens.models.model import Model
from shiftlens.models.probe import difference, make_probe
from shiftlens.models.processing.readable import needs_picture
from shiftlens.models.prompts import Inputs, encode_turns
from shiftlens.steering.exporting.refusing import HOOKS

ABSOLUTE, RELATIVE = 1e-4, 3e-5
"""How far logits may be apart in float32: by this much, or by this share of the largest change that
the steering itself makes, whichever is more; sums are taken in another order."""
# In half types every block rounds, and how far that goes depends on the model: what is left is to
# ask that it is small beside what the steering does.
_HALF = (torch.bfloat16, torch.float16)
_HALF_SHARE = 1 / 8
# Of what the steering itself does, in the mean; more in a half type says nothing.
_SHARE = 0.1
NEW_TOKENS = 8


@dataclass(frozen=True)
class Comparison:
    """How far a baked model's logits are from those of the model with hooks.

    Attributes:
        max_difference: the largest, over all positions of all inputs.
        allowed: by the type of the weights, see ``allowed_difference``.
        unsteered: the largest difference between hooks and none, which shows what was at stake.
        share: mean difference, as a share of the mean difference between hooks and none.
        positions: how many were compared.
        pictures: whether a picture was among the inputs.
        dtype: in which both were computed.
        half: whether that, or the type of edited matrices in the files, is a half type.
    """

    max_difference: float
    allowed: float
    unsteered: float
    share: float
    positions: int
    pictures: bool
    dtype: str
    half: bool

    @property
    def equal(self) -> bool:
        """Whether the two do the same, and rounding does not hide what the steering does."""
        return self.max_difference <= self.allowed and self.share <= _SHARE

    def to_dict(self) -> dict[str, Any]:
        """As the receipt keeps it."""
        return {**asdict(self), "equal": self.equal}


@dataclass(frozen=True)
class Questions:
    """What both are asked.

    Attributes:
        batches: the prompts.
        pictures: whether there is a picture among them.
    """

    batches: tuple[Inputs, ...]
    pictures: bool


def probing(model: Model, *, need_pictures: bool) -> Questions:
    """A few prompts, one with a picture where the model can read it.

    Raises:
        ExportError: pictures are needed and the model cannot read any here.
    """
    probe = make_probe(model)
    if need_pictures and probe.pictures:
        raise ExportError(
            f"{model.name} cannot read a picture here ({probe.pictures}), and without one nothing "
            "of this steering can be checked",
            remedy="mend what keeps its processor from reading pictures: shiftlens doctor names it",
        )
    turns = probe.turns
    if needs_picture(model):
        ((seen,),) = turns[1:]
        turns = (tuple(replace(one, images=seen.images) for one in turns[0]),)
    return Questions(tuple(encode_turns(model, one) for one in turns), not probe.pictures)


def compare(
    model: Model,
    hooked: Sequence[Tensor],
    ours: Sequence[Tensor],
    plain: Sequence[Tensor],
    *,
    pictures: bool,
    coarsest: torch.dtype | None = None,
) -> Comparison:
    """Logits of the same inputs, three times.

    Args:
        model: of which type they are.
        hooked: (n, vocabulary) for each batch, steered by hooks.
        ours: the same, from changed weights.
        plain: the same, not steered at all.
        pictures: whether a picture was among the inputs.
        coarsest: the type that edited matrices are rounded to in the files, if one was.
    """
    theirs = torch.cat(list(hooked))
    half = model.dtype in _HALF or coarsest in _HALF
    off, moved = (_apart(torch.cat(list(one)), theirs) for one in (ours, plain))
    return Comparison(
        max_difference=float(off.max()),
        allowed=allowed_difference(float(moved.max()), half=half),
        unsteered=float(moved.max()),
        share=float(off.mean()) / max(float(moved.mean()), 1e-30),
        positions=len(theirs),
        pictures=pictures,
        dtype=str(model.dtype).removeprefix("torch."),
        half=half,
    )


def allowed_difference(moved: float, *, half: bool) -> float:
    """What is put down to rounding.

    In float32 ``ABSOLUTE`` or ``RELATIVE``, whichever is more; in half types an eighth of the
    largest change that the steering makes.

    Args:
        moved: by how much the steering moves a logit at most.
        half: whether half types are involved.
    """
    return _HALF_SHARE * moved if half else max(ABSOLUTE, RELATIVE * moved)


def require_equal(found: Comparison, what: str) -> None:
    """Refuse weights that do something else than the hooks.

    Raises:
        ExportError: they do, or it cannot be told, because rounding is as large as the steering.
    """
    if found.equal:
        return
    measured = (
        f"{what} and the hooks differ by up to {found.max_difference:.3g} in the logits, "
        f"{found.share:.0%} of what the steering does in the mean"
    )
    if found.half or found.max_difference <= found.allowed:
        raise ExportError(
            f"{measured}: in half types rounding may be too large to tell",
            allowed=f"a difference of up to {found.allowed:.3g}, and {_SHARE:.0%} in the mean",
            remedy="load the model in float32 and export for that (in Python: load_model(name, "
            "dtype='float32'))",
        )
    raise ExportError(
        f"{measured}: this architecture does something between its layers that these weights "
        "cannot carry",
        allowed=f"a difference of up to {found.allowed:.3g} ({found.dtype})",
        remedy=HOOKS,
    )


def greedy(model: Model, questions: Questions) -> list[tuple[int, ...]]:
    """The first tokens that a model says to each prompt, with its cache."""
    return [
        one.token_ids
        for batch in questions.batches
        for one in generate(model, batch, max_new_tokens=NEW_TOKENS)
    ]


def _apart(ours: Tensor, theirs: Tensor) -> Tensor:
    """Absolute differences of logits; infinite where there are not even as many."""
    same = ours.shape == theirs.shape
    return difference(ours, theirs) if same else torch.full_like(theirs, float("inf"))
