"""Spaces: where they lead, and that the way back leads back."""

import pytest
import torch

from shiftlens.concepts.learners.survey import space_of, survey
from shiftlens.concepts.rows import MemoryRows, Rows
from shiftlens.concepts.space import RAW, SPACES, Space, require_space, require_variance
from shiftlens.core.errors import LearnError

CPU = torch.device("cpu")


def _states() -> torch.Tensor:
    random = torch.Generator().manual_seed(0)
    states = torch.randn(300, 10, generator=random) * torch.logspace(-1, 2, 10) + 20
    states[:, 4] = 3.25
    return states


def _space(name: str) -> Space:
    rows: Rows = MemoryRows(_states())
    return space_of(name, rows, survey(rows, CPU), CPU)


@pytest.mark.parametrize("name", [one for one in SPACES if one != "unit"])
def test_there_and_back(name: str) -> None:
    states, space = _states(), _space(name)
    torch.testing.assert_close(space.out_of(space.into(states)), states, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("name", [one for one in SPACES if one != "unit"])
def test_directions_are_differences_of_states(name: str) -> None:
    states, space = _states(), _space(name)
    points = space.into(states)
    inside = space.directions_into(states[:20] - states[20:40])
    torch.testing.assert_close(inside, points[:20] - points[20:40], rtol=1e-3, atol=1e-3)
    back = space.directions_out_of(points[:20] - points[20:40])
    torch.testing.assert_close(back, states[:20] - states[20:40], rtol=1e-3, atol=1e-3)


def test_each_space_is_what_its_name_says() -> None:
    states = _states()
    assert _space("raw").into(states).equal(states)
    assert float(_space("centred").into(states).mean(dim=0).abs().max()) < 1e-4
    torch.testing.assert_close(_space("unit").into(states).norm(dim=1), torch.ones(300))
    assert _space("standard").into(states).var(dim=0, correction=0)[3] == pytest.approx(1, rel=1e-3)


def test_rows_of_zeros_stay_zeros_in_unit() -> None:
    assert Space("unit").into(torch.zeros(2, 3)).equal(torch.zeros(2, 3))


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_states_of_any_type_stay_as_they_are_and_arrive_as_float32(
    name: str, dtype: torch.dtype
) -> None:
    states = _states().to(dtype)
    kept, space = states.clone(), _space(name)
    assert space.into(states).dtype == torch.float32
    assert states.equal(kept)


@pytest.mark.parametrize("name", SPACES)
def test_a_space_is_restored_from_its_tensors(name: str) -> None:
    space, states = _space(name), _states()
    again = Space.restored(space.name, space.tensors())
    assert again.into(states).equal(space.into(states))
    assert space.cpu().into(states).equal(space.into(states))


def test_unknown_spaces_are_refused() -> None:
    with pytest.raises(LearnError, match="there is no space 'sphere'") as told:
        require_space("sphere")
    assert "raw, centred, unit, standard, white" in str(told.value)
    with pytest.raises(LearnError, match="there is no space"):
        Space.restored("sphere", {})


def test_no_variance_is_no_division_by_zero() -> None:
    assert require_variance(torch.tensor([0.0, 2.0])).tolist() == [1.0, 2.0]
    assert RAW.tensors() == {}
