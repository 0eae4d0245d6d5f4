"""``steer_responses``: answers of many samples under steering, two-pass gates included."""

from collections.abc import Sequence
from contextlib import ExitStack

import torch

from shiftlens.activations.capture import catch_own
from shiftlens.activations.tokens import Failed, Missed, Said
from shiftlens.core.progress import Progress, Silent
from shiftlens.data.images import open_image
from shiftlens.data.sample import Sample
from shiftlens.models.generation import decode, generate
from shiftlens.models.model import Model, Response
from shiftlens.models.prompts import Turn, encode_turns
from shiftlens.steering.applying import Intervention, steer
from shiftlens.steering.gates import TwoPassGate
from shiftlens.steering.receipt import Receipt, merged


def steer_responses(
    model: Model,
    samples: Sequence[Sample],
    interventions: Sequence[Intervention],
    *,
    max_new_tokens: int = 64,
    batch_size: int = 32,
    progress: Progress | None = None,
) -> tuple[list[Response], Receipt]:
    """Greedy responses to samples under interventions.

    Args:
        model: who is steered.
        samples: what is asked.
        interventions: vectors with their strengths, scopes and gates.
        max_new_tokens: where to stop when the model does not.
        batch_size: how many samples at once.
        progress: who is told.

    Returns:
        the responses in order, and one receipt for all of them.

    Raises:
        SteeringError: see ``steer``.
        DataError: a picture cannot be read.
    """
    listener, said, receipts = progress or Silent(), list[Response](), list[Receipt]()
    listener.start("steered answers", len(samples))
    try:
        for start in range(0, len(samples), batch_size):
            batch = samples[start : start + batch_size]
            turns = [Turn(s.prompt, tuple(open_image(ref) for ref in s.images)) for s in batch]
            decisions = [
                _first_pass(model, batch, turns, one.gate, max_new_tokens)
                if isinstance(one.gate, TwoPassGate)
                else None
                for one in interventions
            ]
            with ExitStack() as stack:
                receipt = stack.enter_context(steer(model, interventions, decisions=decisions))
                said += generate(model, encode_turns(model, turns), max_new_tokens=max_new_tokens)
            receipts.append(receipt)
            listener.advance(len(batch))
    finally:
        listener.stop()
    return said, merged(receipts)


def _first_pass(
    model: Model,
    samples: Sequence[Sample],
    turns: Sequence[Turn],
    gate: TwoPassGate,
    max_new_tokens: int,
) -> list[bool]:
    """Decisions from an unsteered answer: open where the gate's word is said in its concept."""
    site = gate.inner.concepts.site
    caught = catch_own(model, turns, site, max_new_tokens)
    states = caught.states[site.layers[0]]
    found: dict[int, torch.Tensor] = {}
    for index, (sample, response) in enumerate(zip(samples, caught.responses, strict=True)):
        said = Said(
            response.text,
            response.token_ids,
            response.truncated,
            lambda ids: decode(model, ids),
        )
        try:
            position = site.tokens.picks(sample, said)[0].positions[0]
        except (Missed, Failed):
            continue
        found[index] = states[index, position]
    opened = [False] * len(samples)
    if found:
        for index, flag in zip(found, gate.decide(torch.stack(list(found.values()))), strict=True):
            opened[index] = bool(flag)
    return opened
