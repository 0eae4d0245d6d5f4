"""Cells: every combination once, and what cannot work refused before anything is asked."""

from typing import Any

import pytest
import torch
from tests.builders import build_vector

from shiftlens.activations.site import Site
from shiftlens.core.errors import MismatchError, SiteError, SteeringError
from shiftlens.models.model import Model
from shiftlens.steering.affine import AffineEdit
from shiftlens.steering.gates.texts import PromptSays, When
from shiftlens.steering.operators import MoveTo
from shiftlens.steering.searching.grid import Cell, grid

AXES: dict[str, Any] = {
    "layers": [0, 2],
    "strengths": [0.5, 1],
    "operators": ["add"],
    "scopes": ["response"],
    "gates": None,
}


def vector(layer: int) -> Any:
    return build_vector(layer=layer, seed=layer)


def _edit(layer: int) -> AffineEdit:
    left = torch.eye(32)[:, :1]
    return AffineEdit(left, left.T, torch.zeros(32), False, Site(layer), "edit", "LEACE", 1.0, {})


def test_every_combination_is_there_once_with_what_it_does(tiny: Model) -> None:
    cells = grid(
        tiny,
        vector,
        **AXES
        | {
            "operators": ["add", MoveTo(2.0)],
            "scopes": ["response", "all"],
            "gates": {"none": None, "dogs": PromptSays(("dog",))},
        },
    )
    assert len(cells) == 2 * 2 * 2 * 2 * 2
    one = cells[Cell(2, 0.5, "move-to:2", "all", "dogs")]
    assert (one.layers, one.strength, one.operator) == ((2,), 0.5, MoveTo(2.0))
    assert torch.equal(one.vector.direction, vector(2).direction)  # pyright: ignore
    assert isinstance(one.gate, PromptSays)
    assert next(iter(cells)).name == "layer 0, add x 0.5, response"


def test_negative_layers_count_from_the_end_and_gates_may_depend_on_them(tiny: Model) -> None:
    def gate(layer: int) -> When:
        return When(lambda reading: torch.ones(reading.rows, dtype=torch.bool), layer=layer)

    cells = grid(tiny, vector, **AXES | {"layers": [-1], "gates": {"read there": gate}})
    assert {cell.layer for cell in cells} == {3}
    assert all(one.gate.layer == 3 for one in cells.values())  # pyright: ignore


def test_an_affine_edit_brings_its_own_operation(tiny: Model) -> None:
    cells = grid(tiny, _edit, **AXES | {"operators": ["add", "ablate"]})
    assert {cell.operator for cell in cells} == {"LEACE"}
    assert len(cells) == 4


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"layers": []}, SteeringError, "no layers to search over"),
        ({"strengths": []}, SteeringError, "no strengths to search over"),
        ({"strengths": [1, 0]}, SteeringError, "a strength of 0"),
        ({"strengths": [float("nan")]}, SteeringError, "a strength of nan"),
        ({"strengths": [1, 1.0]}, SteeringError, "is there twice"),
        ({"layers": [3, -1]}, SteeringError, "is there twice"),
        ({"layers": [4]}, SiteError, "layer 4"),
        ({"layers": [-9]}, SiteError, "layer -9"),
        ({"operators": ["push"]}, SteeringError, "unknown operator 'push'"),
        ({"scopes": ["nowhere"]}, SteeringError, "nowhere"),
    ],
)
def test_what_cannot_be_is_refused(
    tiny: Model, change: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        grid(tiny, vector, **AXES | change)


def test_a_layer_without_direction_is_named_with_those_that_have_one(tiny: Model) -> None:
    with pytest.raises(SteeringError, match="no direction for layer 2") as caught:
        grid(tiny, {0: vector(0), 1: vector(1)}, **AXES)
    assert "layers 0, 1" in str(caught.value)


def test_a_vector_of_another_width_is_refused(tiny: Model) -> None:
    with pytest.raises(MismatchError, match="has 31 entries"):
        grid(tiny, lambda layer: build_vector(31, layer=layer), **AXES)


def test_a_gate_behind_what_it_guards_is_refused(tiny: Model) -> None:
    gate = When(lambda reading: torch.ones(reading.rows, dtype=torch.bool), layer=1)
    with pytest.raises(SteeringError, match="behind block 0"):
        grid(tiny, vector, **AXES | {"gates": {"late": gate}})
    assert len(grid(tiny, vector, **AXES | {"layers": [2], "gates": {"early": gate}})) == 2
