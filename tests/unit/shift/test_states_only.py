"""Learners of directions are refused where shifts are added to states."""

import pytest

from shiftlens.concepts.learners.baselines import RandomDirections, RandomSamples
from shiftlens.core.errors import LearnError
from shiftlens.shift.states_only import require_states


def test_directions_are_refused_and_states_are_not() -> None:
    require_states(RandomSamples(k=2))
    with pytest.raises(LearnError, match="'random-directions' learns directions"):
        require_states(RandomDirections(k=2))
