"""How likely what was said is under the unsteered model: a price that steering often has."""

from collections.abc import Sequence

import torch
from torch import Tensor

from shiftlens.core.errors import DataError, SteeringError
from shiftlens.core.progress import Progress, Silent
from shiftlens.data.sample import Sample
from shiftlens.models.generation import last_logits
from shiftlens.models.model import Model, Response
from shiftlens.models.prompts import Inputs, Turn, encode_turns


@torch.no_grad()
def log_probabilities(
    model: Model,
    samples: Sequence[Sample],
    responses: Sequence[Response],
    *,
    batch_size: int = 8,
    progress: Progress | None = None,
) -> list[list[float]]:
    """Of each token of each response, after its prompt, under a model; its end is not counted.

    Args:
        model: who reads; nothing is steered unless it is inside a steering context.
        samples: the prompts.
        responses: what was said to them, by whomever speaks the same tokens; an empty one has none.
        batch_size: samples at once; the logits of a batch are what takes the memory.
        progress: who is told.

    Returns:
        natural logarithms, one list a response.

    Raises:
        DataError: a picture cannot be read, ``batch_size`` is not positive, or there are not as
            many responses as samples.
        SteeringError: the model gives a response no probability that is a number above 0.
    """
    if batch_size < 1:
        raise DataError(f"a batch of {batch_size} samples", allowed="at least 1")
    if len(samples) != len(responses):
        raise DataError(f"{len(responses)} responses for {len(samples)} samples")
    listener, found = progress or Silent(), list[list[float]]()
    listener.start("perplexity", len(samples))
    try:
        for start in range(0, len(samples), batch_size):
            batch = samples[start : start + batch_size]
            said = [one.token_ids for one in responses[start : start + batch_size]]
            turns = [Turn.of(s) for s in batch]
            inputs = encode_turns(model, turns, response_ids=said)
            found += _read(model, inputs, said)
            listener.advance(len(batch))
    finally:
        listener.stop()
    return found


def _read(model: Model, inputs: Inputs, said: Sequence[Sequence[int]]) -> list[list[float]]:
    longest = max(map(len, said))
    if not longest:
        return [[] for _ in said]
    # The last prompt position emits the first token. Logits of a whole prompt with its picture
    # would be most of the memory: where the family allows it, only these columns are computed.
    columns = longest + 1
    options = last_logits(model, columns)
    with model.active(), model.tenancy.announcing(inputs):
        logits: Tensor = model.hf(**inputs.tensors, use_cache=False, **options).logits
    emitting = logits[:, -columns:]
    return [_chosen(emitting[row], tokens) for row, tokens in enumerate(said)]


def _chosen(logits: Tensor, tokens: Sequence[int]) -> list[float]:
    """Log probabilities of the tokens that were said; logits (t, vocabulary), the first's first."""
    ids = torch.tensor(list(tokens), dtype=torch.long, device=logits.device)
    likely = torch.log_softmax(logits[: len(tokens)].float(), dim=-1).gather(1, ids[:, None])[:, 0]
    if not bool(torch.isfinite(likely).all()):
        raise SteeringError(
            "a response has a token whose probability under the model is no number above 0",
            remedy="load the model in a wider type, or leave fluency out",
        )
    return likely.tolist()
