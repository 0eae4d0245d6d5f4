"""The same few samples with the same text, run through a model again and again while it changes."""

import random
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from shiftlens.activations.capture import as_response, catch_given
from shiftlens.activations.selections.selection import Failed, Missed, Pick, Said
from shiftlens.activations.site import Site
from shiftlens.core.errors import DataError, SiteError
from shiftlens.core.shapes import Acts
from shiftlens.data.sample import Sample, Samples
from shiftlens.models.generation import decode
from shiftlens.models.model import Model, Response
from shiftlens.models.prompts import Turn


@dataclass(frozen=True)
class Probe:
    """Samples with the text that every model is given, and which states are kept.

    Attributes:
        samples: those in which the site selects something.
        responses: what each of them is given.
        picks: for each, the states to keep.
        site: where; one layer.
        batch_size: samples at once.
    """

    samples: tuple[Sample, ...]
    responses: tuple[Response, ...]
    picks: tuple[tuple[Pick, ...], ...]
    site: Site
    batch_size: int

    @property
    def groups(self) -> list[str]:
        """For each row its picture, or its sample where there is none."""
        return [
            sample.images[0] if sample.images else sample.id
            for sample, picks in zip(self.samples, self.picks, strict=True)
            for _ in picks
        ]

    def states(self, model: Model) -> Acts:
        """The states (n, d) of a model on the probe's text, in float32 on the CPU."""
        layer = self.site.resolve(model).layers[0]
        rows: list[Tensor] = []
        for start in range(0, len(self.samples), self.batch_size):
            part = slice(start, start + self.batch_size)
            turns = [_turn(sample) for sample in self.samples[part]]
            caught = catch_given(model, turns, self.site.resolve(model), self.responses[part])
            trails = caught.states[layer]
            rows += [
                trails[at, list(pick.positions)].float().mean(dim=0)
                for at, picks in enumerate(self.picks[part])
                for pick in picks
            ]
        return torch.stack(rows).cpu()


def make_probe(
    base: Model,
    samples: Samples,
    site: Site,
    *,
    response: Literal["own", "given"],
    max_new_tokens: int,
    batch_size: int,
) -> Probe:
    """Ask the base once, and find in its answers what the site selects.

    Args:
        base: whose text every model is given.
        samples: the probe.
        site: which states; one layer.
        response: ``own``, the base's greedy answers, or ``given``, those of the samples.
        max_new_tokens: where an answer is cut off.
        batch_size: samples at once.

    Raises:
        DataError: no samples, a sample without the response to be given, a picture that cannot be
            read, or the site selects fewer than two states.
        SiteError: the site has several layers.
    """
    if len(site.layers) > 1:
        raise SiteError(f"a probe at layers {site.layers}", allowed="one layer")
    said = _said(base, samples, response, max_new_tokens, batch_size)
    kept: list[tuple[Sample, Response, tuple[Pick, ...]]] = []
    for sample, one in zip(samples, said, strict=True):
        heard = Said(one.text, one.token_ids, one.truncated, partial(decode, base), one.reasoning)
        try:
            kept.append((sample, one, tuple(site.tokens.picks(sample, heard))))
        except (Missed, Failed):
            continue
    if len(kept) < 2:
        raise DataError(
            f"{len(kept)} of {len(samples)} samples of the probe hold what the site selects "
            f"({site.tokens.kind})",
            allowed="at least two, better dozens",
            remedy="choose other tokens, or samples that say the word",
        )
    chosen, responses, picks = zip(*kept, strict=True)
    return Probe(tuple(chosen), tuple(responses), tuple(picks), site, batch_size)


def _said(
    base: Model, samples: Samples, response: str, max_new_tokens: int, batch_size: int
) -> Sequence[Response]:
    if response == "own":
        return base.respond(samples, max_new_tokens=max_new_tokens, batch_size=batch_size)
    bare = [sample.id for sample in samples if sample.response is None]
    if bare:
        raise DataError(
            f"{len(bare)} samples of the probe have no response to give, the first is {bare[0]!r}",
            remedy="samples.with_responses({id: text}), or let the base answer (response='own')",
        )
    return [as_response(base, sample.response or "") for sample in samples]


def _turn(sample: Sample) -> Turn:
    return Turn.of(sample)


@contextmanager
def undisturbed(hf: nn.Module) -> Generator[None]:
    """Evaluation mode inside; outside everything goes on as if nothing had happened.

    Each module's mode and the random states of torch, numpy and Python are put back, also after an
    exception: a training that is looked at computes the same bits as one that is not.
    """
    modes = [(module, module.training) for module in hf.modules()]
    states = random.getstate(), np.random.get_state()
    device = next(hf.parameters()).device
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            hf.eval()
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        for module, mode in modes:
            module.training = mode
