"""The theorems of ``test_families.py`` that depend on rounding, in bfloat16 and float16.

Responses are given and not compared: in half precision two tokens can be equally likely, and then
the last bit decides.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from tests.architectures.cases import Case, digests
from tests.architectures.families.family import Family
from tests.architectures.families.table import FAMILIES
from tests.architectures.runs import (
    NEW_TOKENS,
    apart,
    read,
    readout_error,
    tolerance,
    trails_apart,
    unmasked,
)

from shiftlens.activations.capture import Caught, catch_given, catch_own
from shiftlens.activations.site import Site
from shiftlens.activations.tokens import mean_response
from shiftlens.models.loading import load_model

# The others are as fast, but there are many of them.
_QUICK = ("LLaVA-1.5", "Qwen2-VL", "Idefics3")
_ALL = [
    pytest.param(
        (family, dtype),
        id=f"{family.name}-{dtype}",
        marks=() if family.name in _QUICK else pytest.mark.slow,
    )
    for family in FAMILIES
    for dtype in ("bfloat16", "float16")
]


@pytest.fixture(scope="session", params=_ALL)
def half(
    request: pytest.FixtureRequest,
    images: list[Image.Image],
    built: Callable[[Family], Path],
) -> Case:
    """One family after the other, in half precision."""
    family, dtype = request.param
    path = built(family)
    return Case(family, path, digests(path), load_model(path, dtype=dtype), images)


def test_norm_and_unembedding_of_the_last_state_are_the_logits(half: Case) -> None:
    for run in half.together:
        assert readout_error(half.model, run.prompt[-1], run) <= tolerance(half.model)
    run = half.together[0]
    twin = readout_error(half.model, run.prompt[-2], run)
    assert twin > tolerance(half.model)


def test_a_batch_is_its_samples_one_by_one(half: Case) -> None:
    for run, alone in zip(half.together, half.alone, strict=True):
        for row, one in enumerate(alone):
            mine = run.prompt[:, row, run.real(row)]
            assert apart(mine, one.prompt[:, 0]) <= tolerance(half.model)
            last = run.logits[row, -1:], one.logits[0, -1:]
            assert apart(*last) <= tolerance(half.model)


def test_twin_padding_that_is_not_masked_is_heard(half: Case) -> None:
    run = half.together[0]
    states, _ = read(half.model, unmasked(run.inputs))
    worst = max(
        apart(states[:, row, run.real(row)], one.prompt[:, 0])
        for row, one in enumerate(half.alone[0])
    )
    assert worst > tolerance(half.model)


def test_reading_a_response_is_having_said_it_alone_and_in_a_batch(half: Case) -> None:
    site = Site(tuple(range(half.model.address.n_layers)), mean_response())
    for batch in half.batches:
        own = catch_own(half.model, batch, site, NEW_TOKENS)
        given = catch_given(half.model, batch, site, own.responses)
        alone = [
            catch_given(half.model, [turn], site, [said])
            for turn, said in zip(batch, own.responses, strict=True)
        ]
        for states in (own.states, _together(alone, own)):
            assert trails_apart(states, given.states, own.responses) <= tolerance(half.model)


def _together(alone: list[Caught], own: Caught) -> dict[int, torch.Tensor]:
    """States of single rows side by side, as wide as those of the batch."""
    found: dict[int, torch.Tensor] = {}
    for layer, wide in own.states.items():
        found[layer] = torch.zeros_like(wide)
        for row, one in enumerate(alone):
            n = min(one.states[layer].shape[1], wide.shape[1])
            found[layer][row, :n] = one.states[layer][0, :n]
    return found
