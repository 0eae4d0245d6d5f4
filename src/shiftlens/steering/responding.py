"""``steer_responses``: answers of many samples under steering, two-pass gates included."""

from collections.abc import Sequence

import torch

from shiftlens.activations.capture import catch_own
from shiftlens.activations.selections.selection import Failed, Missed, Said
from shiftlens.activations.site import Site
from shiftlens.core.errors import DataError, SteeringError
from shiftlens.core.progress import Progress, Silent
from shiftlens.data.sample import Sample
from shiftlens.models.generation import decode, generate
from shiftlens.models.model import Model, Response
from shiftlens.models.prompts import Turn, encode_turns
from shiftlens.steering.applying import Intervention, open_steering
from shiftlens.steering.gates import TwoPassGate
from shiftlens.steering.intervening import require_own_states
from shiftlens.steering.receipt import Receipt, merged, require_effect


def steer_responses(
    model: Model,
    samples: Sequence[Sample],
    interventions: Sequence[Intervention],
    *,
    max_new_tokens: int = 64,
    batch_size: int = 32,
    first_token_kl: bool = False,
    progress: Progress | None = None,
) -> tuple[list[Response], Receipt]:
    """Greedy responses to samples under interventions.

    Args:
        model: who is steered.
        samples: what is asked.
        interventions: vectors with their strengths, scopes and gates.
        max_new_tokens: where to stop when the model does not.
        batch_size: how many samples at once.
        first_token_kl: measure how far the first token's distribution is moved.
        progress: who is told.

    Returns:
        the responses in order, and one receipt for all of them.

    Raises:
        SteeringError: see ``steer``.
        DataError: a picture cannot be read.
    """
    if not interventions:
        raise SteeringError("no vector to steer with")
    if not samples:
        raise DataError("no samples to steer", allowed="at least one")
    if batch_size < 1:
        raise DataError(f"a batch of {batch_size} samples", allowed="at least 1")
    interventions = [one.bound(model) for one in interventions]
    listener, said, receipts = progress or Silent(), list[Response](), list[Receipt]()
    listener.start("steered answers", len(samples))
    try:
        for start in range(0, len(samples), batch_size):
            batch = samples[start : start + batch_size]
            turns = [Turn.of(s) for s in batch]
            decisions = [
                _first_pass(model, batch, turns, one.gate, max_new_tokens)
                if isinstance(one.gate, TwoPassGate)
                else None
                for one in interventions
            ]
            with open_steering(
                model, interventions, decisions, first_token_kl=first_token_kl
            ) as receipt:
                said += generate(model, encode_turns(model, turns), max_new_tokens=max_new_tokens)
            receipts.append(receipt)
            listener.advance(len(batch))
    finally:
        listener.stop()
    whole = merged(receipts)
    require_effect(whole)
    return said, whole


def _first_pass(
    model: Model,
    samples: Sequence[Sample],
    turns: Sequence[Turn],
    gate: TwoPassGate,
    max_new_tokens: int,
) -> list[bool]:
    """Decisions from an unsteered answer: open where what the gate reads is there, and opens it."""
    require_own_states(model, gate.inner)
    layer = model.address.layer(gate.layer, model.name)
    site = Site(layer, gate.selection)
    caught = catch_own(model, turns, site, max_new_tokens)
    states = caught.states[layer]
    found: dict[int, torch.Tensor] = {}
    for index, (sample, response) in enumerate(zip(samples, caught.responses, strict=True)):
        said = Said(
            response.text,
            response.token_ids,
            response.truncated,
            lambda ids: decode(model, ids),
            response.reasoning,
        )
        try:
            positions = site.tokens.picks(sample, said)[0].positions
        except (Missed, Failed):
            continue
        found[index] = states[index, list(positions)].mean(dim=0)
    opened = [False] * len(samples)
    if found:
        flags = gate.inner.opens(torch.stack(list(found.values())))
        for index, flag in zip(found, flags.tolist(), strict=True):
            opened[index] = flag
    return opened
