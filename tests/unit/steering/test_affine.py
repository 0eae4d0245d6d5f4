"""The artefact of an affine edit: what it does to states, its files, and what is refused."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.builders import build_vector

from shiftlens.activations import tokens
from shiftlens.activations.site import Site
from shiftlens.core.errors import SteeringError, StoreError
from shiftlens.steering.affine import AffineEdit

D, R = 8, 2


def _edit(**fields: Any) -> AffineEdit:
    random = torch.Generator().manual_seed(0)
    options: dict[str, Any] = {
        "left": torch.randn(D, R, generator=random),
        "right": torch.randn(R, D, generator=random),
        "mean": torch.randn(D, generator=random),
        "clipped": False,
        "site": Site(3),
        "name": "edit",
        "kind": "test",
        "state_norm": 5.0,
        **fields,
    }
    return AffineEdit(**options)


def _states(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, D, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("clipped", [False, True])
@pytest.mark.parametrize("strength", [1.0, -0.5, 2.0])
def test_it_is_the_formula_row_by_row(clipped: bool, strength: float) -> None:
    edit, states = _edit(clipped=clipped), _states(5)
    kept = states.clone()
    found = edit.apply(states, strength)
    for row, after in zip(states.double(), found, strict=True):
        read = edit.right.double() @ (row - edit.mean.double())
        read = read.clamp_min(0) if clipped else read
        expected = row - strength * (edit.left.double() @ read)
        torch.testing.assert_close(after.double(), expected, atol=1e-4, rtol=0)
    assert states.equal(kept)
    batch = edit.apply(states[None].expand(2, 5, D), strength)
    torch.testing.assert_close(batch, found[None].expand(2, 5, D))


def test_clipping_matters_for_these_states() -> None:
    """Twin of the formula: were it not clipped, other states would come out."""
    states = _states(5)
    plain, clipped = (_edit(clipped=flag).apply(states, 1.0) for flag in (False, True))
    assert not torch.allclose(plain, clipped)


def test_strength_0_is_the_input_itself() -> None:
    states = _states(5)
    assert _edit().apply(states, 0.0) is states
    assert _edit().apply(states, 0) is states


def test_it_is_computed_wide_and_returned_in_the_states_type() -> None:
    """Products that half precision cannot hold: 600 readings of 300 are far above 65,504."""
    edit = _edit(
        left=torch.full((D, 1), 1e-5),
        right=torch.full((1, D), 300.0),
        mean=torch.zeros(D),
    )
    states = torch.full((2, D), 300.0, dtype=torch.float16)
    found = edit.apply(states, 1.0)
    assert found.dtype == torch.float16
    expected = 300 - 1e-5 * (D * 300 * 300)
    torch.testing.assert_close(found, torch.full_like(states, expected))
    assert torch.isinf(states @ edit.right.half().T).all()  # twin: in half precision it overflows
    assert edit.apply(states.double(), 1.0).dtype == torch.float64


def test_strengths_and_widths_that_do_not_fit_are_refused() -> None:
    for strength in (math.nan, math.inf):
        with pytest.raises(SteeringError, match=f"strength {strength} is not a finite number"):
            _edit().apply(_states(2), strength)
    with pytest.raises(SteeringError, match="states of width 9\n  width 8"):
        _edit().apply(torch.zeros(2, 9), 1.0)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"site": Site((1, 2))}, "comes from Site"),
        ({"site": Site(-1)}, r"one layer[\s\S]*site.resolve\(model\)"),
        ({"site": Site(3, normed=True)}, "residual stream"),
        ({"mean": torch.full((D,), math.nan)}, "not finite"),
        ({"left": torch.full((D, R), math.inf)}, "not finite"),
        ({"left": torch.zeros(D, 0), "right": torch.zeros(0, D)}, "r of 1 or more"),
        ({"state_norm": math.nan}, "mean length nan"),
    ],
)
def test_what_is_no_edit_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(SteeringError, match=message):
        _edit(**fields)


@pytest.mark.parametrize("clipped", [False, True])
def test_it_survives_its_files(tmp_path: Path, clipped: bool) -> None:
    edit = _edit(clipped=clipped, site=Site(3, tokens.word("dog")), provenance={"rows": {"ä": 1}})
    edit.save(tmp_path / "edit")
    found = AffineEdit.load(tmp_path / "edit")
    for name in ("left", "right", "mean"):
        assert getattr(found, name).equal(getattr(edit, name))
    for name in ("clipped", "site", "name", "kind", "state_norm", "provenance", "layer", "rank"):
        assert getattr(found, name) == getattr(edit, name)


def test_other_files_are_refused(tmp_path: Path) -> None:
    build_vector().save(tmp_path / "vector")
    with pytest.raises(StoreError, match="holds 'steering vector'"):
        AffineEdit.load(tmp_path / "vector")
    _edit().save(tmp_path / "edit")
    file = tmp_path / "edit.safetensors"
    file.write_bytes(file.read_bytes()[:-4] + b"\0\0\0\1")
    with pytest.raises(StoreError, match=r"not the one that edit\.json belongs to"):
        AffineEdit.load(tmp_path / "edit")
