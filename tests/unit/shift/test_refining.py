"""Leaning towards a topic: probability mass of its words, tuned over base."""

import math

import pytest
import torch

from shiftlens.core.errors import GroundingError
from shiftlens.models.model import Model
from shiftlens.shift.refining import DOUBLED, rise_of, topic_rise, topic_tokens


def _states(n: int = 40, *, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, 32, generator=torch.Generator().manual_seed(seed))


def test_the_same_states_do_not_lean(tiny: Model) -> None:
    states, readouts = _states(), (tiny.readout, tiny.readout)
    assert float(topic_rise(states, states, readouts, ["dog", "cat"]).abs().max()) < 1e-5


def test_states_that_are_pushed_towards_a_word_lean(tiny: Model) -> None:
    dog = topic_tokens(tiny.readout, ["dog"])[0]
    towards = tiny.readout.head.weight[dog].detach()
    states = _states()
    pushed = states + 20 * torch.nn.functional.normalize(towards, dim=0)
    readouts = (tiny.readout, tiny.readout)
    leaning = topic_rise(states, pushed, readouts, ["DOG"])
    assert float(leaning.mean()) > DOUBLED
    other = topic_rise(states, pushed, readouts, ["beach"])  # twin: not towards another word
    assert float(other.mean()) < float(leaning.mean()) - DOUBLED


def test_rows_of_one_picture_count_once() -> None:
    rises = torch.tensor([1.0, 3.0, 0.0])
    assert rise_of(rises, ["a", "a", "b"]).estimate == pytest.approx(1.0)
    assert rise_of(rises, ["a", "b", "c"]).estimate == pytest.approx(4 / 3)


def test_a_topic_that_the_model_cannot_write_is_refused(tiny: Model) -> None:
    with pytest.raises(GroundingError, match="none of the topic's words xylophone"):
        topic_tokens(tiny.readout, ["xylophone"])
    assert pytest.approx(math.log(2)) == DOUBLED
