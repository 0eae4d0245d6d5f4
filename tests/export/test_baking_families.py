"""Which families can be baked, asked of tiny models of all of them: the lists of the docs."""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from tests.architectures.families.family import Family
from tests.architectures.families.table import FAMILIES, ON_EVERY_COMMIT
from tests.export.baked_families import ABLATED, ADDED, ablation, addition, baked, build

from shiftlens.concepts.vectors import SteeringVector
from shiftlens.core.errors import ExportError
from shiftlens.models.model import Model
from shiftlens.steering.applying import open_steering
from shiftlens.steering.exporting.baking.changes import Bias, Changes, logits_with
from shiftlens.steering.exporting.baking.comparing import compare, probing
from shiftlens.steering.exporting.baking.linears import all_logits

_PAGE = Path(__file__).parents[2] / "docs" / "baking.md"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Family], Model]:
    """A family's model; built when it is first asked for."""
    return cache(lambda family: build(family, tmp_path_factory.mktemp("family") / "model"))


def _of(chosen: frozenset[str]) -> list[object]:
    return [
        pytest.param(
            family, id=family.name, marks=() if family.name in chosen else pytest.mark.slow
        )
        for family in FAMILIES
    ]


@pytest.mark.parametrize("family", _of(ON_EVERY_COMMIT))
def test_addition(family: Family, built: Callable[[Family], Model], tmp_path: Path) -> None:
    model = built(family)
    if family.name not in ADDED:
        with pytest.raises(ExportError):
            baked(model, addition(model))
        return
    oven = baked(model, addition(model))
    assert oven.tried.max_difference <= 1e-4 < oven.tried.unsteered
    settings = [".".join(path) for path in oven.changes.settings]
    assert settings == ([ADDED[family.name]] if ADDED[family.name] else [])
    oven.write(tmp_path)


@pytest.mark.parametrize("family", _of(ON_EVERY_COMMIT))
def test_ablation(family: Family, built: Callable[[Family], Model], tmp_path: Path) -> None:
    model = built(family)
    if family.name not in ABLATED:
        with pytest.raises(ExportError):
            baked(model, ablation(model))
        return
    oven = baked(model, ablation(model))
    assert oven.tried.equal
    oven.write(tmp_path)


def test_the_page_names_them() -> None:
    text = _PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"(?m)^\| ([^|]+?) +\| (yes|no)[^|]*\| (yes|no)[^|]*\|", text)
    assert {name for name, added, _ in rows if added == "yes"} == set(ADDED)
    assert {name for name, _, ablated in rows if ablated == "yes"} == ABLATED
    assert {name for name, _, _ in rows} == {family.name for family in FAMILIES}


def test_a_block_that_scales_what_it_writes_is_given_as_much_more(
    built: Callable[[Family], Model],
) -> None:
    """Granite multiplies by .5: the bias is twice the vector. Its twin is the vector as it is."""
    granite = next(one for one in FAMILIES if one.name == "Granite-Docling")
    model = built(granite)
    oven = baked(model, addition(model))
    (bias,) = [one for one in oven.changes.biases if one.values is not None]
    vector = addition(model).vector
    assert isinstance(vector, SteeringVector)
    assert bias.values is not None
    assert torch.allclose(bias.values, vector.direction * 2)
    undivided = [
        replace(one, values=None if one.values is None else one.values / 2)
        for one in oven.changes.biases
    ]
    batches = oven.expected.asked.batches
    ours = logits_with(model, replace(oven.changes, biases=undivided), batches)
    found = compare(model, oven.expected.hooked, ours, oven.expected.plain, pictures=True)
    assert not found.equal
    assert found.max_difference > 1e-2


def test_a_bias_before_a_norm_does_not_pass_the_check(built: Callable[[Family], Model]) -> None:
    """Gemma 3 brings what a block writes to a length of its own; forced, the check says so."""
    gemma = next(one for one in FAMILIES if one.name == "Gemma3")
    model = built(gemma)
    questions = probing(model, need_pictures=False)
    one = addition(model)
    assert isinstance(one.vector, SteeringVector)
    plain = all_logits(model, questions.batches)
    with open_steering(model, [one]):
        hooked = all_logits(model, questions.batches)
    layer = f"{model.address.blocks_path}.1.mlp.down_proj"
    forced = Changes(biases=[Bias(layer, one.vector.direction, model.address.d)])
    ours = logits_with(model, forced, questions.batches)
    assert not compare(model, hooked, ours, plain, pictures=True).equal
