"""Steering seen from outside: which positions were changed, by recording before and after it."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from shiftlens.data.sample import Sample
from shiftlens.models.hooks import record
from shiftlens.models.model import Model
from shiftlens.models.processing.placeholders import placeholder_tokens
from shiftlens.models.prompts import Inputs, encode
from shiftlens.steering.applying import Intervention, Steerable, steer
from shiftlens.steering.receipt import Receipt, VectorReceipt


@dataclass(frozen=True)
class Seen:
    """What one generation did under steering.

    Attributes:
        ids: (b, t) prompt and response, as the model returned them.
        before: for each call the states (b, t, d) that the block gave.
        after: what they were turned into.
        changed: (b, s) the positions of the whole sequence that were changed; without a cache those
            of the last call, which holds them all.
        receipt: what the context said.
        width: of the prompts, padding included.
    """

    ids: Tensor
    before: list[Tensor]
    after: list[Tensor]
    changed: Tensor
    receipt: Receipt
    width: int

    @property
    def one(self) -> VectorReceipt:
        """The only vector's receipt."""
        (one,) = self.receipt.vectors
        return one

    def places(self) -> list[tuple[int, int, int, int]]:
        """What ``VectorReceipt.places`` should say: sample, tokens, first, last."""
        found: list[tuple[int, int, int, int]] = []
        for row, flags in enumerate(self.changed):
            at = (flags.nonzero().flatten() - self.width + 1).tolist()
            if at:
                found.append((row, len(at), at[0], at[-1]))
        return found

    def told(self) -> list[tuple[int, int, int, int]]:
        """What it does say."""
        return [(one.sample, one.tokens, one.first, one.last) for one in self.one.places]

    def dose(self) -> float:
        """Mean length of the changes over the mean length of the states, measured."""
        states = torch.cat([part.flatten(0, 1) for part in self.before])
        added = torch.cat([part.flatten(0, 1) for part in self.after]) - states
        touched = added.abs().amax(dim=1) > 0
        return float(added[touched].norm(dim=1).mean() / states[touched].norm(dim=1).mean())


@torch.no_grad()
def watch(
    model: Model,
    samples: list[Sample] | Inputs,
    one: Steerable,
    *,
    layer: int | None = None,
    use_cache: bool = True,
    announced: bool = False,
    steering: dict[str, Any] | None = None,
    **generation: Any,
) -> Seen:
    """Generate with the raw model under steering, recording a block before and after the edit.

    Args:
        model: who is steered.
        samples: what is asked.
        one: the vector, edit or intervention.
        layer: the block that is recorded; the vector's own by default.
        use_cache: as for generation.
        announced: say what is run, as shiftlens's own functions do.
        steering: options of ``steer``.
        generation: options of ``hf.generate``.
    """
    inputs = samples if isinstance(samples, Inputs) else encode(model, samples)
    at = (
        layer if layer is not None else (one.vector if isinstance(one, Intervention) else one).layer
    )
    barred = list(placeholder_tokens(model.hf, model.processor))  # never said, as in ``generate``
    options: dict[str, Any] = {
        "do_sample": False,
        "max_new_tokens": 5,
        "suppress_tokens": barred,
        **generation,
    }
    with (
        record(model, [at]) as before,
        steer(model, one, **(steering or {})) as receipt,
        record(model, [at]) as after,
        model.tenancy.announcing(inputs if announced else None),
    ):
        ids = model.hf.generate(**inputs.tensors, use_cache=use_cache, **options)
    old, new = before.states[at], after.states[at]
    moved = [((b - a).abs().amax(dim=-1) > 0) for a, b in zip(old, new, strict=True)]
    changed = torch.cat(moved, dim=1) if use_cache else moved[-1]
    return Seen(ids, old, new, changed, receipt, inputs.prompt_width)
