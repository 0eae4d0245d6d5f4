"""Steering in the vision tower and in the projector."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.builders import build_qwen2_vl

from shiftlens.activations import tokens
from shiftlens.activations.harvesting import harvest
from shiftlens.activations.site import Site
from shiftlens.concepts.vectors import SteeringVector
from shiftlens.core.errors import MismatchError, SiteError, SteeringError
from shiftlens.data.sample import Sample, Samples
from shiftlens.models.generation import generate
from shiftlens.models.hooks import record
from shiftlens.models.loading import load_model
from shiftlens.models.model import Model
from shiftlens.models.prompts import encode
from shiftlens.models.towers import Tower, modules_of
from shiftlens.steering.applying import Intervention, steer
from shiftlens.steering.directions import between_stores
from shiftlens.steering.gates import PromptSays, When
from shiftlens.steering.responding import steer_responses


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load_model(build_qwen2_vl(tmp_path_factory.mktemp("tiny") / "qwen"))


def _vector(model: Model, tower: Tower, *, layer: int = 0, length: float = 30.0) -> SteeringVector:
    d = 32
    noise = torch.randn(d, generator=torch.Generator().manual_seed(3))
    site = Site(layer, tokens.mean_image(), tower=tower)
    return SteeringVector(noise / noise.norm() * length, site, f"a {tower} vector", "random", 1.0)


def _edited(model: Model, samples: list[Sample], one: Intervention) -> tuple[torch.Tensor, Any]:
    """What was added to the tower's state, and the receipt."""
    layer, tower = one.vector.layer, one.tower
    with (
        record(model, [layer], tower=tower) as before,
        steer(model, [one]) as receipt,
        record(model, [layer], tower=tower) as after,
    ):
        generate(model, encode(model, samples), max_new_tokens=3)
    return after.states[layer][0] - before.states[layer][0], receipt


@pytest.mark.parametrize("tower", ["vision", "projector"])
@pytest.mark.parametrize("family", ["tiny", "qwen"])
def test_every_patch_of_every_picture_is_moved(
    family: str, tower: Tower, request: pytest.FixtureRequest, questions: list[Sample]
) -> None:
    model: Model = request.getfixturevalue(family)
    vector = _vector(model, tower)
    added, receipt = _edited(model, questions[:3], Intervention(vector, 1.0, "image"))
    expected = vector.direction.expand_as(added)
    torch.testing.assert_close(added, expected, atol=1e-3, rtol=1e-3)
    (one,) = receipt.vectors
    assert (one.samples, one.touched) == (3, 3)
    assert one.tokens == added.shape[:-1].numel()
    assert one.scope == f"image in the {tower}"


@pytest.mark.parametrize("tower", ["vision", "projector"])
def test_it_changes_what_is_said(tiny: Model, questions: list[Sample], tower: Tower) -> None:
    plain = tiny.respond(questions, max_new_tokens=5)
    one = Intervention(_vector(tiny, tower, length=3000.0), 1.0, "image")
    said, _ = steer_responses(tiny, questions, [one], max_new_tokens=5)
    assert said != plain
    assert tiny.respond(questions, max_new_tokens=5) == plain


def test_the_prompt_can_guard_a_picture(tiny: Model, questions: list[Sample]) -> None:
    wanted = [("dog" in sample.prompt) for sample in questions]
    assert 0 < sum(wanted) < len(wanted)
    vector = _vector(tiny, "projector")
    gate = PromptSays(("dog",))
    added, receipt = _edited(tiny, questions, Intervention(vector, 1.0, "image", gate))
    moved = [bool(row.abs().max() > 0) for row in added]
    assert moved == wanted
    assert list(receipt.vectors[0].gate_open) == wanted


@pytest.mark.parametrize(("tower", "extra"), [("vision", 1), ("projector", 0)])
def test_a_rectangle_of_patches(
    tiny: Model, questions: list[Sample], tower: Tower, extra: int
) -> None:
    """The class token of the tower is no patch; the projector has none."""
    one = Intervention(_vector(tiny, tower), 1.0, "patches:0,0,.6,1")
    added, receipt = _edited(tiny, questions[:1], one)
    moved = added[0].abs().amax(dim=-1) > 0
    n = round((len(moved) - extra) ** 0.5)
    assert n * n + extra == len(moved)
    assert not moved[:extra].any()
    left = torch.tensor([(column + 0.5) / n < 0.6 for column in range(n)])
    assert moved[extra:].view(n, n).equal(left.expand(n, n))
    assert 0 < receipt.vectors[0].tokens == n * int(left.sum()) < n * n


def test_one_picture_of_several(tiny: Model, pictures: list[Path]) -> None:
    two = Sample("two", "what is this ?", (str(pictures[0]), str(pictures[1])))
    one = Sample("one", "what is this ?", (str(pictures[2]),))
    added, _ = _edited(tiny, [two, one], Intervention(_vector(tiny, "projector"), 1.0, "image:1"))
    assert [bool(row.abs().max() > 0) for row in added] == [False, True, False]


def test_without_a_picture_nothing_is_selected(tiny: Model) -> None:
    text = [Sample("t", "what is this ?")]
    with pytest.raises(SteeringError, match="selected no position"):
        steer_responses(tiny, text, [Intervention(_vector(tiny, "vision"), 1.0, "image")])


def test_scopes_and_gates_of_the_language_model_are_refused(tiny: Model) -> None:
    vector = _vector(tiny, "vision")
    with pytest.raises(SteeringError, match="where the scope 'response' has no positions"):
        with steer(tiny, vector):
            pass
    late = When(lambda reading: reading.require_states()[:, 0] > 0, layer=0)
    with pytest.raises(SteeringError, match="cannot guard the vision before it"):
        with steer(tiny, vector, scope="image", gate=late):
            pass
    with pytest.raises(SiteError, match="layer 9 is outside the vision"):
        with steer(tiny, _vector(tiny, "vision", layer=9), scope="image"):
            pass


def test_another_width_is_refused_when_it_is_seen(tiny: Model, questions: list[Sample]) -> None:
    site = Site(0, tokens.mean_image(), tower="vision")
    wide = SteeringVector(torch.ones(33), site, "wide", "random", 1.0)
    with pytest.raises(MismatchError, match=r"the vision of .* is 32 wide"):
        steer_responses(tiny, questions, [Intervention(wide, 1.0, "image")])


@pytest.mark.parametrize("tower", ["vision", "projector"])
@pytest.mark.parametrize("family", ["tiny", "qwen"])
def test_states_there_are_means_over_the_picture(
    family: str,
    tower: Tower,
    request: pytest.FixtureRequest,
    questions: list[Sample],
    tmp_path: Path,
) -> None:
    model: Model = request.getfixturevalue(family)
    site = Site(-1, tokens.mean_image(), tower=tower)
    store = harvest(model, Samples(questions), site, tmp_path / "s", max_new_tokens=2)
    last = len(modules_of(model, tower)) - 1
    assert store.layers == (last,)
    assert store.site.tower == tower
    for number, sample in enumerate(questions[:2]):
        with record(model, [last], tower=tower) as seen:
            generate(model, encode(model, [sample]), max_new_tokens=1)
        state = seen.states[last][0]
        mean = state.reshape(-1, state.shape[-1]).mean(dim=0)
        torch.testing.assert_close(store.states()[number], mean, atol=1e-4, rtol=1e-4)


def test_a_direction_between_two_sets_of_pictures(
    tiny: Model, questions: list[Sample], tmp_path: Path
) -> None:
    site = Site(0, tokens.mean_image(), tower="projector")
    stores = [
        harvest(
            tiny,
            Samples([Sample(f"{name}{i}", "what ?", s.images) for i, s in enumerate(chosen)]),
            site,
            tmp_path / name,
            max_new_tokens=1,
        )
        for name, chosen in (("a", questions), ("b", questions[::-1][:5]))
    ]
    vector = between_stores(*stores)
    assert vector.site.tower == "projector"
    assert vector.provenance["rows"] == {"source": 6, "target": 5, "paired": 0}
    with pytest.raises(SteeringError, match="lives at layer 0"):
        vector + SteeringVector(vector.direction, Site(0), "x", "random", 1.0)


def test_sites_beside_the_language_model_are_about_pictures() -> None:
    with pytest.raises(SiteError, match="'vision' has no last prompt positions"):
        Site(0, tower="vision")
    with pytest.raises(SiteError, match="unknown tower 'audio'"):
        Site(0, tokens.mean_image(), tower="audio")
