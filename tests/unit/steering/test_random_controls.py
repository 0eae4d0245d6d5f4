"""Random controls: as strong as what they stand beside, in directions that mean nothing."""

import pytest
import torch
from tests.builders import build_vector

from shiftlens.activations.site import Site
from shiftlens.concepts.vectors import SteeringVector
from shiftlens.steering.affine import AffineEdit
from shiftlens.steering.gates import PromptSays
from shiftlens.steering.intervening import Intervention
from shiftlens.steering.operators import AddKeepingNorm
from shiftlens.steering.random_controls import random_like_this


@pytest.fixture(params=[1, 3, 20])
def edit(request: pytest.FixtureRequest) -> AffineEdit:
    """Edits of low rank, and one whose maps span more than the width together."""
    noise = torch.Generator().manual_seed(2)
    left = torch.randn(32, request.param, generator=noise)
    right = torch.randn(request.param, 32, generator=noise)
    mean = torch.randn(32, generator=noise)
    return AffineEdit(left, right, mean, True, Site(1), "edit", "test", 1.0)


def test_norm_scope_gate_and_the_rest_stay() -> None:
    one = Intervention(
        build_vector(), 2.0, "all", PromptSays(("dog",)), AddKeepingNorm(), layers=(1, 2)
    )
    other = random_like_this(one, 3)
    assert isinstance(other.vector, SteeringVector)
    assert other.vector.norm == pytest.approx(one.vector.norm)  # pyright: ignore[reportAttributeAccessIssue]
    for name in ("strength", "scope", "gate", "operator", "layers"):
        assert getattr(other, name) == getattr(one, name)
    assert abs(other.vector.cosine(build_vector())) < 0.6


def test_the_seed_decides() -> None:
    one = Intervention(build_vector())
    first, again, other = (random_like_this(one, seed).vector for seed in (1, 1, 2))
    assert torch.equal(first.direction, again.direction)  # pyright: ignore[reportAttributeAccessIssue]
    assert not torch.equal(first.direction, other.direction)  # pyright: ignore[reportAttributeAccessIssue]


def test_a_turned_edit_keeps_its_singular_values_and_its_mean(edit: AffineEdit) -> None:
    turned = random_like_this(Intervention(edit), 5).vector
    assert isinstance(turned, AffineEdit)
    for own, other in (
        (edit.left, turned.left),
        (edit.right, turned.right),
        (edit.left @ edit.right, turned.left @ turned.right),
        (edit.right @ edit.left, turned.right @ turned.left),  # how reading stands to writing
    ):
        values = [torch.linalg.svdvals(one.double()) for one in (own, other)]
        assert torch.allclose(*values, atol=1e-4)
    assert torch.equal(turned.mean, edit.mean)
    assert (turned.clipped, turned.rank, turned.site) == (edit.clipped, edit.rank, edit.site)
    assert not torch.allclose(turned.left, edit.left, atol=0.1)


def test_twin_maps_that_are_drawn_anew_have_other_singular_values(edit: AffineEdit) -> None:
    drawn = torch.randn(edit.left.shape, generator=torch.Generator().manual_seed(9))
    before, after = (torch.linalg.svdvals(one @ edit.right) for one in (edit.left, drawn))
    assert not torch.allclose(before, after, atol=1e-2)


def test_a_turned_edit_does_nothing_where_it_did_nothing(edit: AffineEdit) -> None:
    turned = random_like_this(Intervention(edit), 5).vector
    assert isinstance(turned, AffineEdit)
    assert torch.allclose(turned.apply(edit.mean[None], 1.0), edit.mean[None], atol=1e-5)
