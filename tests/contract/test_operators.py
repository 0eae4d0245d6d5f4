"""The contract of every operator: what holds for all of them, and what each of them is for."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.builders import build_vector
from tests.watching import watch
from torch import Tensor

from shiftlens.activations.site import Site
from shiftlens.core.errors import SteeringError
from shiftlens.data.sample import Sample
from shiftlens.models.model import Model
from shiftlens.steering.affine import AffineEdit
from shiftlens.steering.applying import Intervention
from shiftlens.steering.operators import (
    OPERATORS,
    Ablate,
    Add,
    AddKeepingNorm,
    MoveTo,
    Operator,
    read_operator,
)

D = 32
DIRECTION = build_vector(D, length=3.0).direction
UNIT = DIRECTION / DIRECTION.norm()
Apply = Callable[[Tensor, float], Tensor]


def _affine(*, clipped: bool = False) -> AffineEdit:
    """A map of rank 2 that lives at block 1."""
    random = torch.Generator().manual_seed(5)
    left, right = torch.randn(D, 2, generator=random), torch.randn(2, D, generator=random) / D
    mean = torch.randn(D, generator=random)
    return AffineEdit(left, right, mean, clipped, Site(1), "an edit", "LEACE", 1.0)


def _of(operator: Operator) -> Apply:
    return lambda states, strength: operator.apply(states, DIRECTION, strength)


EVERY: dict[str, Apply] = {
    "add": _of(Add()),
    "add-keeping-norm": _of(AddKeepingNorm()),
    "ablate": _of(Ablate()),
    "move-to": _of(MoveTo(2.5)),
    "affine": _affine().apply,
    "affine, clipped": _affine(clipped=True).apply,
}
STEERINGS: dict[str, Any] = {
    **{one.name: one for one in (Add(), AddKeepingNorm(), Ablate(), MoveTo(9.0))},
    "affine": _affine(),
    "affine, clipped": _affine(clipped=True),
}

every = pytest.mark.parametrize("apply", EVERY.values(), ids=EVERY)
DTYPES = [torch.float32, torch.bfloat16, torch.float16]


def _states(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 7) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return (torch.randn(*shape, D, generator=random) * 2).to(dtype)


def test_the_suite_has_every_operator() -> None:
    assert OPERATORS.keys() <= EVERY.keys() & STEERINGS.keys()


@every
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_strength_zero_returns_the_same_bits(apply: Apply, dtype: torch.dtype) -> None:
    states = _states(3, 4, dtype=dtype)
    states[0, 0, 0] = torch.nan  # not even what is no number is touched
    kept = states.clone()
    assert torch.equal(apply(states, 0.0).view(torch.uint8), kept.view(torch.uint8))


@every
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("strength", [1.0, -0.5, 2])
def test_the_input_stays_and_its_type_is_kept(
    apply: Apply, dtype: torch.dtype, strength: float
) -> None:
    states = _states(5, dtype=dtype)
    kept = states.clone()
    changed = apply(states, strength)
    assert states.equal(kept)
    assert (changed.dtype, changed.shape) == (dtype, states.shape)
    assert not changed.equal(states), "an operator does something"
    assert changed.data_ptr() != states.data_ptr()


@every
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_it_is_computed_in_a_wide_type(apply: Apply, dtype: torch.dtype) -> None:
    """The only rounding is that of the result: no worse than rounding the exact answer."""
    states = _states(6, dtype=dtype)
    assert apply(states, 0.7).equal(apply(states.float(), 0.7).to(dtype))


@every
def test_rows_are_independent(apply: Apply) -> None:
    rows = _states(6)
    together = apply(rows, 0.8)
    for index, row in enumerate(rows):
        torch.testing.assert_close(together[index], apply(row, 0.8), atol=1e-6, rtol=1e-6)
    spoiled = rows.clone()
    spoiled[3] = torch.inf
    kept = [0, 1, 2, 4, 5]
    assert apply(spoiled, 0.8)[kept].equal(together[kept]), "a neighbour changed a row"


@every
@pytest.mark.parametrize("shape", [(), (1,), (12,), (3, 4), (2, 2, 3)])
def test_any_leading_shape(apply: Apply, shape: tuple[int, ...]) -> None:
    states = _states(12)[: max(1, torch.Size(shape).numel())].reshape(*shape, D)
    changed = apply(states, 1.3)
    assert changed.shape == states.shape
    flat = apply(states.reshape(-1, D), 1.3)
    torch.testing.assert_close(changed.reshape(-1, D), flat, atol=1e-6, rtol=1e-6)


@every
def test_no_rows_are_no_rows(apply: Apply) -> None:
    assert apply(_states(0), 1.0).shape == (0, D)


@every
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("strength", [1.0, -1.0, 0.3])
def test_zero_states_stay_finite(apply: Apply, dtype: torch.dtype, strength: float) -> None:
    assert bool(apply(torch.zeros(2, D, dtype=dtype), strength).isfinite().all())


@every
def test_a_view_with_gaps_is_read_rightly(apply: Apply) -> None:
    wide = _states(4, 6)
    some = wide[:, ::2]
    torch.testing.assert_close(apply(some, 1.0), apply(some.contiguous(), 1.0))


def test_add_is_a_sum() -> None:
    states = _states(4)
    torch.testing.assert_close(Add().apply(states, DIRECTION, -1.5), states - 1.5 * DIRECTION)


@pytest.mark.parametrize("strength", [0.1, 1.0, -4.0, 1000.0])
def test_add_keeping_norm_keeps_it(strength: float) -> None:
    states = _states(8)
    changed = AddKeepingNorm().apply(states, DIRECTION, strength)
    torch.testing.assert_close(changed.norm(dim=-1), states.norm(dim=-1))
    expected = torch.nn.functional.normalize(states + strength * DIRECTION, dim=-1)
    torch.testing.assert_close(torch.nn.functional.normalize(changed, dim=-1), expected)


def test_twin_add_alone_does_not_keep_it() -> None:
    states = _states(8)
    changed = Add().apply(states, DIRECTION, 1.0)
    with pytest.raises(AssertionError):
        torch.testing.assert_close(changed.norm(dim=-1), states.norm(dim=-1))


def test_a_state_that_the_vector_cancels_stays() -> None:
    states = torch.stack([-2.0 * DIRECTION, torch.zeros(D)])
    changed = AddKeepingNorm().apply(states, DIRECTION, 2.0)
    assert changed[0].equal(states[0])
    assert changed[1].equal(states[1]), "a state of length 0 keeps it"


@pytest.mark.parametrize(("strength", "left"), [(1.0, 0.0), (2.0, -1.0), (0.25, 0.75), (-1.0, 2.0)])
def test_ablate_leaves_a_share_of_the_projection(strength: float, left: float) -> None:
    """1 leaves none, 2 reflects; what is orthogonal stays."""
    states = _states(8)
    changed = Ablate().apply(states, DIRECTION, strength)
    torch.testing.assert_close(changed @ UNIT, left * (states @ UNIT), atol=1e-5, rtol=1e-4)
    rest = states - (states @ UNIT)[:, None] * UNIT
    torch.testing.assert_close(changed - (changed @ UNIT)[:, None] * UNIT, rest)


def test_ablate_is_idempotent_and_reflecting_twice_is_nothing() -> None:
    states = _states(8)
    once = Ablate().apply(states, DIRECTION, 1.0)
    torch.testing.assert_close(Ablate().apply(once, DIRECTION, 1.0), once, atol=1e-6, rtol=1e-6)
    twice = Ablate().apply(Ablate().apply(states, DIRECTION, 2.0), DIRECTION, 2.0)
    torch.testing.assert_close(twice, states, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("operator", [Ablate(), MoveTo(1.5)], ids=["ablate", "move-to"])
def test_the_length_of_the_vector_does_not_count(operator: Operator) -> None:
    states = _states(4)
    torch.testing.assert_close(
        operator.apply(states, DIRECTION * 1e4, 1.0), operator.apply(states, DIRECTION, 1.0)
    )
    with pytest.raises(AssertionError):
        torch.testing.assert_close(Add().apply(states, DIRECTION * 2, 1.0), states + DIRECTION)


@pytest.mark.parametrize("target", [-3.0, 0.0, 12.5])
def test_move_to_hits_its_target(target: float) -> None:
    states = _states(8)
    changed = MoveTo(target).apply(states, DIRECTION, 1.0)
    torch.testing.assert_close(changed @ UNIT, torch.full((8,), target), atol=1e-5, rtol=1e-5)
    half = MoveTo(target).apply(states, DIRECTION, 0.5)
    torch.testing.assert_close(half @ UNIT, ((states @ UNIT) + target) / 2, atol=1e-5, rtol=1e-5)


def test_move_to_zero_is_ablation() -> None:
    states = _states(4)
    torch.testing.assert_close(
        MoveTo(0.0).apply(states, DIRECTION, 0.6), Ablate().apply(states, DIRECTION, 0.6)
    )


def test_an_affine_edit_is_its_formula() -> None:
    edit, states = _affine(), _states(4)
    expected = states - 0.5 * ((states - edit.mean) @ edit.right.T) @ edit.left.T
    torch.testing.assert_close(edit.apply(states, 0.5), expected)
    mean = edit.mean[None]
    torch.testing.assert_close(edit.apply(mean, 1.0), mean)


def test_a_clipped_edit_leaves_the_other_side_alone() -> None:
    whole = _affine()
    right = whole.right[:1]
    edit = AffineEdit(whole.left[:, :1], right, whole.mean, True, Site(1), "one", "switch", 1.0)
    states = _states(40)
    read = ((states - edit.mean) @ right.T)[:, 0]
    changed = edit.apply(states, 1.0)
    assert bool((read > 0).any() & (read < 0).any())
    assert changed[read < 0].equal(states[read < 0])
    assert not bool((changed[read > 0] == states[read > 0]).all(dim=1).any())


@pytest.mark.parametrize(
    ("text", "operator"),
    [
        ("add", Add()),
        ("add-keeping-norm", AddKeepingNorm()),
        ("ablate", Ablate()),
        ("move-to:2.5", MoveTo(2.5)),
        ("move-to:-1e-3", MoveTo(-0.001)),
    ],
)
def test_operators_are_read(text: str, operator: Operator) -> None:
    assert read_operator(text) == operator


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (
            "subtract",
            "unknown operator 'subtract'\n  add, add-keeping-norm, ablate, move-to:TARGET",
        ),
        ("", "unknown operator ''"),
        ("ADD", "unknown operator 'ADD'"),
        ("ablate:2", "ablate takes no value, but '2'"),
        ("move-to", "'move-to' needs a target projection\n  move-to:2.5"),
        ("move-to:", "'move-to:' needs a target"),
        ("move-to:far", "'move-to:far' needs a target"),
        ("move-to:nan", "target projection nan is not a finite number"),
        ("move-to:inf", "target projection inf is not a finite number"),
    ],
)
def test_what_cannot_be_read_says_so(text: str, match: str) -> None:
    with pytest.raises(SteeringError, match=match):
        read_operator(text)


def _steering(one: Any) -> Intervention:
    if isinstance(one, AffineEdit):
        return Intervention(one, 0.8)
    return Intervention(build_vector(D, layer=1, length=5.0), 0.8, operator=one)


@pytest.mark.parametrize("one", STEERINGS.values(), ids=STEERINGS)
def test_steering_applies_it_with_and_without_a_cache(
    brief: Model, questions: list[Sample], one: Any
) -> None:
    """What is seen after the block is the operator's own result, at the response's positions."""
    told = _steering(one)
    cached = watch(brief, questions, told, max_new_tokens=6)
    plain = watch(brief, questions, told, max_new_tokens=6, use_cache=False)
    for seen in (cached, plain):
        for before, after in zip(seen.before, seen.after, strict=True):
            touched = (after - before).abs().amax(dim=-1) > 0
            rows = before[touched]
            expected = (
                one.apply(rows, 0.8)
                if isinstance(one, AffineEdit)
                else one.apply(rows, told.vector.direction, 0.8)  # pyright: ignore
            )
            torch.testing.assert_close(after[touched], expected, atol=1e-4, rtol=1e-4)
    assert cached.ids.equal(plain.ids)
    assert cached.told() == plain.told()
    assert cached.one.dose == pytest.approx(plain.one.dose, rel=1e-3)
    assert cached.one.operator == (one.kind if isinstance(one, AffineEdit) else one.name)
    if not getattr(one, "clipped", False):  # such a one is counted where it changes nothing
        assert cached.told() == cached.places()


@pytest.mark.parametrize("one", STEERINGS.values(), ids=STEERINGS)
def test_the_dose_is_what_is_measured(brief: Model, questions: list[Sample], one: Any) -> None:
    seen = watch(brief, questions, _steering(one), max_new_tokens=4)
    if seen.one.tokens == int(seen.changed.sum()):  # a clipped edit leaves some states as they were
        assert seen.one.dose == pytest.approx(seen.dose(), rel=1e-4)
    else:
        assert isinstance(one, AffineEdit)
        assert one.clipped


def test_an_operator_beside_an_affine_edit_is_refused(tiny: Model) -> None:
    with pytest.raises(SteeringError, match="affine edit and brings its own operation"):
        watch(tiny, [Sample("t", "what")], Intervention(_affine(), operator=Ablate()))


@pytest.mark.parametrize("operator", [Ablate(), AddKeepingNorm(), MoveTo(1.0)])
def test_a_vector_of_length_zero_has_no_direction(tiny: Model, operator: Operator) -> None:
    nothing = build_vector(D) * 0.0
    with pytest.raises(SteeringError, match=f"length 0, and no direction for {operator.name}"):
        watch(tiny, [Sample("t", "what")], Intervention(nothing, operator=operator))
