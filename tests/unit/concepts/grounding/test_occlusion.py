"""Hiding patches: the pixels, the choices, and what cannot be asked."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from shiftlens.activations.capture import as_response
from shiftlens.activations.site import Site
from shiftlens.activations.tokens import image, last_prompt, mean_image, mean_response, word
from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.grounding.axes import Axes
from shiftlens.concepts.grounding.heat_maps import heat_maps
from shiftlens.concepts.grounding.hiding import check_fill, hidden
from shiftlens.concepts.grounding.occlusion import occlusion, occlusions
from shiftlens.concepts.grounding.own_states import Scene, own_states
from shiftlens.core.errors import GroundingError, SiteError
from shiftlens.data.sample import Sample
from shiftlens.models.model import Model, Response


def _concepts(site: Site | None = None) -> Concepts:
    vectors = torch.randn(3, 32, generator=torch.Generator().manual_seed(0))
    return Concepts(vectors, "direction", site or Site(1, last_prompt()), (1,) * 3)


def _response(model: Model, text: str = "a dog on the beach") -> Response:
    return as_response(model, text)


def test_only_the_box_is_hidden() -> None:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels)
    for fill in ("mean", "blur"):
        found = np.asarray(hidden(picture, [(5.4, 2.0, 10.5, 8.6), (-4, 15, 3, 99)], fill=fill))
        changed = (found != pixels).any(axis=-1)
        inside = np.zeros((20, 30), dtype=bool)
        inside[2:9, 5:10] = inside[15:, :3] = True  # pixels whose middles lie in a box
        assert not changed[~inside].any()
        assert changed[inside].mean() > 0.9
    assert np.array_equal(np.asarray(picture), pixels)
    mean = np.asarray(hidden(picture, [(0, 0, 30, 20)]))
    assert (mean == pixels.reshape(-1, 3).mean(axis=0).round()).all()
    assert np.array_equal(np.asarray(hidden(picture, [])), pixels)


def test_the_whole_picture_loses_nothing_when_nothing_is_hidden(
    tiny: Model, questions: list[Sample]
) -> None:
    scene = Scene.of(questions[0], _response(tiny))
    site = Site(1, word("dog"))
    states = own_states(tiny, site, scene, [scene.image] * 3, batch_size=2)
    torch.testing.assert_close(states[0], states[2], atol=1e-4, rtol=1e-4)
    blank = own_states(tiny, site, scene, [Image.new("RGB", scene.image.size)])
    assert not torch.allclose(states[0], blank[0], atol=1e-2)


@pytest.mark.parametrize(
    "site",
    [
        Site(1, word("dog")),
        Site(1, word("dog", every=True)),
        Site(1, mean_response()),
        Site(1, mean_image()),
        Site(1, image(0)),
        Site(3, last_prompt(), normed=True),
        Site(1, mean_image(), tower="vision"),
    ],
    ids=lambda site: f"{site.tower} {site.tokens.kind}",
)
def test_every_kind_of_site_has_a_state(
    tiny: Model, questions: list[Sample], site: Site, tmp_path: Path
) -> None:
    """The one that a harvest keeps; several of them are their mean."""
    from shiftlens.activations.harvesting import harvest
    from shiftlens.data.sample import Samples

    text = "a dog and a dog"
    given = Samples([replace(questions[0], response=text)])
    store = harvest(tiny, given, site, tmp_path / "s", response="given")
    scene = Scene.of(questions[0], _response(tiny, text))
    found = own_states(tiny, site, scene, [scene.image])
    torch.testing.assert_close(found[0], store.states().float().mean(dim=0), atol=1e-4, rtol=1e-4)


def test_a_check_by_hand(tiny: Model, questions: list[Sample]) -> None:
    sample, concepts, said = questions[0], _concepts(Site(1, word("dog"))), _response(tiny)
    one = heat_maps(tiny, concepts, [sample], which=[2])[0][0]
    found = occlusion(tiny, concepts, sample, 2, heat_map=one, response=said, n_patches=2)
    assert found.patches == tuple(one.ranked()[:2])
    scene = Scene.of(sample, said)
    images = [
        scene.image,
        hidden(scene.image, [one.box(*at) for at in one.ranked()[:2]]),
        hidden(scene.image, [one.box(*at) for at in one.ranked()[-2:]]),
    ]
    states = own_states(tiny, concepts.site, scene, images)
    whole, top, bottom = Axes.of(concepts, [2]).activations(states)[:, 0].tolist()
    assert found.activation == pytest.approx(whole, abs=1e-3)
    assert found.top == pytest.approx(whole - top, abs=1e-3)
    assert found.bottom == pytest.approx(whole - bottom, abs=1e-3)
    assert found.gain == pytest.approx(found.top - sum(found.random) / 8)
    assert json.loads(json.dumps(found.to_dict()))["patches"] == [list(at) for at in found.patches]


def test_choices_are_seeded(tiny: Model, questions: list[Sample]) -> None:
    options: dict[str, Any] = {"response": _response(tiny), "n_patches": 3}
    runs = [
        occlusion(tiny, _concepts(), questions[0], 0, seed=seed, **options) for seed in (0, 0, 1)
    ]
    assert runs[0] == runs[1]
    assert runs[0].random != runs[2].random
    assert runs[0].top == runs[2].top


def test_samples_that_say_nothing_are_left_out_and_named(
    tiny: Model, questions: list[Sample]
) -> None:
    concepts, few = _concepts(Site(1, word("dog"))), questions[:3]
    texts = ("a dog", "a cat", "the dog")
    said = {one.id: _response(tiny, text) for one, text in zip(few, texts, strict=True)}
    maps = [row[0] for row in heat_maps(tiny, concepts, few, which=[1])]
    found = occlusions(tiny, concepts, few, maps, said=said, n_draws=3)
    assert found.left_out == ("q1",)
    assert [one.sample_id for one in found.found] == ["q0", "q2"]
    assert found.gain.low <= found.gain.estimate <= found.gain.high
    assert found.gain.estimate == pytest.approx(found.top.estimate - found.random.estimate)
    told = json.loads(json.dumps(found.to_dict()))
    assert told["n"] == 2
    assert told["left_out"] == ["q1"]
    with pytest.raises(GroundingError, match="no response says the word"):
        occlusions(tiny, concepts, few[1:2], maps[1:2], said=said)
    with pytest.raises(GroundingError, match="holds nothing of the concepts' site"):
        occlusion(tiny, concepts, few[1], 1, response=said["q1"])


def test_what_cannot_be_asked_is_refused(tiny: Model, questions: list[Sample]) -> None:
    concepts, one = _concepts(), questions[0]
    options: dict[str, Any] = {"response": _response(tiny)}
    for n in (0, 9, 10):
        with pytest.raises(GroundingError, match=rf"{n} of 9 patches"):
            occlusion(tiny, concepts, one, 0, n_patches=n, **options)
    with pytest.raises(GroundingError, match="0 random choices"):
        occlusion(tiny, concepts, one, 0, n_draws=0, **options)
    with pytest.raises(GroundingError, match="unknown fill 'black'"):
        check_fill("black")
    with pytest.raises(SiteError, match="'q0' has no picture 2"):
        occlusion(tiny, concepts, one, 0, picture=2, **options)
    other = heat_maps(tiny, concepts, questions[1:2], which=[0])[0][0]
    with pytest.raises(GroundingError, match="picture 0 of 'q1'"):
        occlusion(tiny, concepts, one, 0, heat_map=other, **options)
    with pytest.raises(GroundingError, match="1 heat maps for 2 samples"):
        occlusions(tiny, concepts, questions[:2], [other])
    moved = replace(other, picture=1)
    with pytest.raises(GroundingError, match="heat maps of different pictures"):
        occlusions(tiny, concepts, questions[1:3], [other, moved])


def test_shares_of_what_is_not_active_are_not_numbers(tiny: Model, questions: list[Sample]) -> None:
    few = questions[:2]
    said = {one.id: _response(tiny) for one in few}
    concepts = _concepts()
    maps = [row[0] for row in heat_maps(tiny, concepts, few, which=[0])]
    found = occlusions(tiny, concepts, few, maps, said=said, n_draws=2)
    turned = replace(concepts, vectors=-concepts.vectors)
    other = occlusions(tiny, turned, few, maps, said=said, n_draws=2)
    assert found.activation.estimate == pytest.approx(-other.activation.estimate, abs=1e-3)
    assert np.isnan(found.share) != np.isnan(other.share)
