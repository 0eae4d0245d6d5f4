"""What states read out, and whether concepts of one half describe the other."""

from contextlib import nullcontext

import numpy as np
import torch

from shiftlens.models.readout import Readout
from shiftlens.study.layer_reading import (
    beyond_the_token_read,
    explained_elsewhere,
    most_concepts,
    ranks,
)


def _readout(d: int) -> Readout:
    head = torch.nn.Linear(d, d, bias=False)
    head.weight.data = torch.eye(d)
    return Readout(None, head, None, nullcontext)


def test_the_rank_of_the_token_that_was_said_and_of_another() -> None:
    states = torch.tensor([[3.0, 2, 1, 0], [3.0, 2, 1, 0], [0.0, 1, 2, 3]])
    found = ranks(_readout(4), states, [0, 2, 0])
    assert found.own.tolist() == [1, 3, 4]
    assert found.other.tolist() == [3, 1, 2]
    same = ranks(_readout(4), states, [1, 1, 1])
    assert np.isnan(same.other).all()


def test_many_states_are_read_in_parts() -> None:
    random = torch.Generator().manual_seed(0)
    states, said = torch.randn(150, 6, generator=random), [row % 6 for row in range(150)]
    whole = ranks(_readout(6), states, said).own
    order = (-states).argsort(dim=1).argsort(dim=1)
    assert whole.tolist() == [int(order[row, said[row]]) + 1 for row in range(150)]


def test_groups_hold_on_the_other_half() -> None:
    random = torch.Generator().manual_seed(0)
    centres = 5 * torch.randn(3, 20, generator=random)
    labels = torch.arange(60) % 3
    states = centres[labels] + torch.randn(60, 20, generator=random)
    found = explained_elsewhere(states, 3)
    assert found is not None
    between = centres.sub(centres.mean(dim=0)).square().sum(dim=1).mean()
    assert abs(found.estimate - float(between / (between + 20))) < 0.1
    assert found.low > 0.7


def test_twin_noise_has_no_groups_that_hold() -> None:
    noise = torch.randn(60, 20, generator=torch.Generator().manual_seed(1))
    found = explained_elsewhere(noise, 3)
    assert found is not None
    assert found.low < 0
    assert found.estimate < 0.05


def test_too_few_states_and_states_that_are_one_have_none() -> None:
    assert [most_concepts(n, 4) for n in (60, 24, 12, 11, 0)] == [4, 4, 2, 1, 0]
    assert explained_elsewhere(torch.randn(6, 3), 1) is None
    assert explained_elsewhere(torch.ones(40, 3), 2) is None


def test_what_the_token_that_was_read_says_is_taken_off() -> None:
    """Two tokens make two groups, and nothing else does: no concepts are left."""
    random = torch.Generator().manual_seed(2)
    read = [row % 2 for row in range(60)]
    states = torch.randn(60, 20, generator=random) + 9 * torch.tensor(read)[:, None]
    before, after = explained_elsewhere(states, 2), None
    inner = beyond_the_token_read(states, read)
    after = explained_elsewhere(inner, 2)
    assert before is not None
    assert after is not None
    assert before.low > 0.9
    assert after.estimate < 0.05
    assert len(beyond_the_token_read(states, list(range(60)))) == 0
    assert len(beyond_the_token_read(states[:5], [1, 1, 2, 1, 3])) == 3
