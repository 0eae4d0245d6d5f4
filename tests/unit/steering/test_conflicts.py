"""Sentences about vectors at one block that get in each other's way."""

import pytest
import torch
from tests.builders import build_vector

from shiftlens.activations import tokens
from shiftlens.activations.site import Site
from shiftlens.concepts.vectors import SteeringVector
from shiftlens.data.sample import Sample
from shiftlens.models.model import Model
from shiftlens.steering.affine import AffineEdit
from shiftlens.steering.applying import Intervention
from shiftlens.steering.conflicts import conflicts
from shiftlens.steering.operators import Ablate, Add, AddKeepingNorm, MoveTo, Operator
from shiftlens.steering.responding import steer_responses

ADDS: list[Operator | None] = [None, Add(), AddKeepingNorm()]


def _said(model: Model, *many: Intervention) -> tuple[str, ...]:
    return conflicts(model, many)


def _one(seed: int = 0, strength: float = 1.0, **fields: object) -> Intervention:
    layer = fields.pop("layer", 1)
    assert isinstance(layer, int)
    vector = build_vector(32, layer=layer, seed=seed, name=f"v{seed}")
    return Intervention(vector, strength, **fields)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("operator", ADDS)
def test_vectors_that_are_added(tiny: Model, operator: Operator | None) -> None:
    first, again = _one(operator=operator), _one(strength=2.0)
    assert _said(tiny, first, again) == (
        "'v0' and 'v0' add up (+1.00): mind the strength, after block 1",
    )
    against = _one(strength=-0.5)
    assert _said(tiny, first, against) == (
        "'v0' and 'v0' pull against each other (-1.00), after block 1",
    )
    assert _said(tiny, against, against)[0].startswith("'v0' and 'v0' add up (+1.00)")


def test_vectors_that_have_nothing_to_do_with_each_other(tiny: Model) -> None:
    first, second = build_vector(seed=0).direction, build_vector(seed=1).direction
    assert abs(float(torch.cosine_similarity(first, second, dim=0))) < 0.5
    for operator in (None, Ablate(), MoveTo(1.0)):
        assert _said(tiny, _one(0), _one(1, operator=operator)) == ()


def test_the_later_one_undoes_or_puts_back(tiny: Model) -> None:
    for operator in (Ablate(), MoveTo(0.5)):
        undone = _said(tiny, _one(0), _one(0, operator=operator))
        assert undone == (
            f"'v0' ({operator.name}) undoes most of what 'v0' did (+1.00), after block 1",
        )
        back = _said(tiny, _one(0, operator=operator), _one(0))
        assert back == ("'v0' puts back part of what 'v0' took away (+1.00), after block 1",)


def test_taking_away_twice_undoes_nothing(tiny: Model) -> None:
    both = (_one(0, operator=Ablate()), _one(0, operator=Ablate()))
    assert _said(tiny, *both) == (
        "'v0' takes away again what 'v0' took away (+1.00), after block 1",
    )


def test_an_affine_edit_and_anything_else(tiny: Model) -> None:
    map_ = AffineEdit(
        torch.ones(32, 1), torch.ones(1, 32), torch.zeros(32), False, Site(1), "erase dog", "x", 1.0
    )
    for many in ((_one(3), Intervention(map_)), (Intervention(map_), _one(3))):
        (said,) = _said(tiny, *many)
        assert "one of them is an affine edit" in said
        first, second = (one.vector.name for one in many)
        assert said.startswith(f"{first!r} acts before {second!r}")
    (both,) = _said(tiny, Intervention(map_), Intervention(map_))
    assert "'erase dog' acts before 'erase dog'" in both


def test_only_shared_blocks_count(tiny: Model) -> None:
    assert _said(tiny, _one(layer=1), _one(layer=2)) == ()
    assert _said(tiny, _one(layers=(0, 1, -1)), _one(layers=(3, 1)))[0].endswith("after block 1, 3")
    assert _said(tiny, _one(strength=0.0), _one()) == ()


def test_another_tower_is_another_place(tiny: Model) -> None:
    """Layer 1 of the vision tower is not block 1, and may be of another width."""
    site = Site(1, tokens.mean_image(), tower="vision")
    picture = SteeringVector(torch.ones(48), site, "picture", "random", 1.0)
    assert _said(tiny, _one(), Intervention(picture, scope="image")) == ()
    assert len(_said(tiny, *[Intervention(picture, scope="image")] * 2)) == 1


def test_every_pair_has_its_sentence_and_the_receipt_has_them(
    tiny: Model, questions: list[Sample]
) -> None:
    many = [_one(), _one(strength=-1.0), _one(operator=Ablate())]
    _, receipt = steer_responses(tiny, questions[:3], many, max_new_tokens=1, batch_size=2)
    assert receipt.conflicts == _said(tiny, *many)
    assert len(receipt.conflicts) == 3
    assert receipt.summary().count("note: ") == 3
    assert receipt.to_dict()["conflicts"] == list(receipt.conflicts)
