"""Heat maps of real (tiny) models: the numbers by hand, batches, pictures, adapters, refusals."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.builders import build_adapter, build_idefics3, build_llava, build_qwen2_vl

from shiftlens.activations.site import Site
from shiftlens.activations.tokens import last_prompt, mean_image, word
from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.encoders import Projection
from shiftlens.concepts.grounding.axes import Axes
from shiftlens.concepts.grounding.calibrating import calibrate
from shiftlens.concepts.grounding.heat_maps import METHODS, HeatMap, heat_maps
from shiftlens.concepts.grounding.occlusion_maps import occlusion_maps
from shiftlens.core.errors import DataError, GroundingError, SiteError
from shiftlens.data.sample import Sample
from shiftlens.models.generation import forward
from shiftlens.models.geometry.finding import layouts_of
from shiftlens.models.geometry.mapping import heat
from shiftlens.models.hooks import record
from shiftlens.models.loading import load_model, load_pair
from shiftlens.models.model import Model
from shiftlens.models.prompts import encode


def _concepts(kind: str = "centroid", site: Site | None = None, k: int = 3) -> Concepts:
    vectors = torch.randn(k, 32, generator=torch.Generator().manual_seed(0))
    return Concepts(vectors, kind, site or Site(1, last_prompt()), (1,) * k)


def _same(one: list[list[HeatMap]], other: list[list[HeatMap]], atol: float = 1e-4) -> bool:
    pairs = [(a, b) for x, y in zip(one, other, strict=True) for a, b in zip(x, y, strict=True)]
    return all(
        np.allclose(a.patches, b.patches, atol=atol)
        and np.allclose(a.values, b.values, atol=atol, equal_nan=True)
        for a, b in pairs
    )


@pytest.mark.parametrize("kind", ["centroid", "direction"])
def test_projection_by_hand(tiny: Model, questions: list[Sample], kind: str) -> None:
    concepts = _concepts(kind)
    found = heat_maps(tiny, concepts, questions)
    inputs = encode(tiny, questions)
    with record(tiny, [1]) as seen:
        forward(tiny, inputs)
    columns = [row[0].columns for row in layouts_of(tiny, inputs)]
    states = torch.stack([seen.states[1][0][at, list(own)] for at, own in enumerate(columns)])
    centred = states - states.mean(dim=(0, 1))
    vectors = concepts.vectors - (concepts.vectors.mean(dim=0) if kind == "centroid" else 0)
    scores = torch.einsum("npd,kd->nkp", centred, vectors / vectors.norm(dim=1, keepdim=True))
    for row, maps in enumerate(found):
        for k, one in enumerate(maps):
            np.testing.assert_allclose(one.patches.ravel(), scores[row, k].numpy(), atol=1e-4)
            layout = layouts_of(tiny, inputs)[row][0]
            np.testing.assert_allclose(one.values, heat(layout, scores[row, k].numpy()), atol=1e-4)
            assert (one.sample_id, one.concept, one.picture) == (questions[row].id, k, 0)
            assert one.values.dtype == one.patches.dtype == np.float32


@pytest.mark.parametrize("method", [one for one in METHODS if one != "calibrated"])
def test_batches_change_nothing(tiny: Model, questions: list[Sample], method: str) -> None:
    few, concepts = questions[:3], _concepts()
    options: dict[str, Any] = {"method": method}
    together = heat_maps(tiny, concepts, few, **options, reference=questions)
    alone = [
        heat_maps(tiny, concepts, [one], **options, batch_size=1, reference=questions)[0]
        for one in few
    ]
    assert _same(together, alone, atol=1e-3)
    assert all(one.method == method for row in together for one in row)


def test_which_concepts_and_in_which_order(tiny: Model, questions: list[Sample]) -> None:
    every = heat_maps(tiny, _concepts(), questions[:2])
    some = heat_maps(tiny, _concepts(), questions[:2], which=[2, 0])
    assert [[one.concept for one in row] for row in some] == [[2, 0]] * 2
    assert _same(some, [[row[2], row[0]] for row in every])


def test_the_mean_token_moves_a_map_and_not_its_order(tiny: Model, questions: list[Sample]) -> None:
    own = heat_maps(tiny, _concepts(), questions[:1])[0]
    other = heat_maps(tiny, _concepts(), questions[:1], reference=questions[3:])[0]
    for a, b in zip(own, other, strict=True):
        assert np.ptp(a.patches - b.patches) < 1e-4
        assert not np.allclose(a.patches, b.patches)
        assert abs(a.patches.mean()) < 1e-4


def test_the_layer_and_the_norm_matter(tiny: Model, questions: list[Sample]) -> None:
    last = tiny.address.n_layers - 1
    sites = [Site(0), Site(last), Site(last, normed=True)]
    found = [heat_maps(tiny, _concepts(site=site), questions[:1]) for site in sites]
    assert not _same(found[0], found[1])
    assert not _same(found[1], found[2])
    assert _same(found[1], heat_maps(tiny, _concepts(site=Site(-1)), questions[:1]))


def test_cosines_are_bounded(tiny: Model, questions: list[Sample]) -> None:
    maps = heat_maps(tiny, _concepts(), questions, method="cosine")
    assert all(np.abs(one.patches).max() <= 1 + 1e-5 for row in maps for one in row)


def test_readout_finds_the_token_that_says_the_words(tiny: Model, questions: list[Sample]) -> None:
    """Centroids that are states of two picture tokens: each is read best at its own token."""
    last = tiny.address.n_layers - 1
    inputs = encode(tiny, questions[:1])
    with record(tiny, [last]) as seen:
        forward(tiny, inputs)
    columns = list(layouts_of(tiny, inputs)[0][0].columns)
    states = seen.states[last][0][0, columns]
    concepts = Concepts(states[[1, 7]].float().clone(), "centroid", Site(last), (1, 1))
    one, other = heat_maps(tiny, concepts, questions[:1], method="readout")[0]
    assert one.patches.ravel()[1] > one.patches.ravel()[7]
    assert other.patches.ravel()[7] > other.patches.ravel()[1]


def test_the_tuned_model_sees_otherwise(
    tiny_path: Path, tiny_adapter_path: Path, questions: list[Sample]
) -> None:
    base, tuned = load_pair(tiny_path, tiny_adapter_path)
    before = heat_maps(base, _concepts(), questions[:2])
    after = heat_maps(tuned, _concepts(), questions[:2])
    assert not _same(before, after)
    assert _same(before, heat_maps(base, _concepts(), questions[:2]), atol=0)
    assert _same(before, heat_maps(load_model(tiny_path), _concepts(), questions[:2]))


@pytest.mark.parametrize("build", [build_idefics3, build_qwen2_vl])
def test_tiles_and_grids_of_any_size(
    build: Any, tmp_path: Path, questions: list[Sample], pictures: list[Path]
) -> None:
    model = load_model(build(tmp_path / "model"))
    found = heat_maps(model, _concepts(), questions)
    for row, sample in zip(found, questions, strict=True):
        layout = layouts_of(model, encode(model, [sample]))[0][0]
        assert layout.grid is not None
        assert layout.size is not None
        assert row[0].values.shape == layout.size[::-1]
        assert row[0].patches.shape == (layout.grid.rows, layout.grid.cols)
        assert row[0].edges == layout.grid.lines()
        np.testing.assert_array_equal(row[0].values, heat(row[0].layout, row[0].patches.ravel()))
    assert _same(found[2:3], heat_maps(model, _concepts(), questions[2:3], reference=questions))
    pair = replace(questions[0], images=tuple(map(str, pictures[2:4])))
    both = [heat_maps(model, _concepts(), [pair], picture=at)[0][0] for at in (0, 1)]
    assert both[0].values.shape != both[1].values.shape
    assert [one.picture for one in both] == [0, 1]
    last = heat_maps(model, _concepts(), [pair], picture=-1)[0][0]
    assert last.picture == 1
    np.testing.assert_array_equal(last.values, both[1].values)


def test_an_unknown_method_is_refused(tiny: Model, questions: list[Sample]) -> None:
    with pytest.raises(GroundingError, match="projection, cosine, readout, occlusion, calibrated"):
        heat_maps(tiny, _concepts(), questions, method="gradient")


@pytest.mark.parametrize(
    ("concepts", "problem"),
    [
        (_concepts(k=1), "centroid 0 does not differ from the mean of the 1 centroids"),
        (replace(_concepts(), vectors=torch.ones(3, 32)), "centroid 0 does not differ"),
        (replace(_concepts("direction"), vectors=torch.zeros(3, 32)), "concept 0 is zero"),
        (_concepts(site=Site((0, 1))), r"at the layers \(0, 1\)"),
        (_concepts(site=Site(0, mean_image(), tower="vision")), "live in the vision tower"),
    ],
)
def test_concepts_without_a_place_or_a_direction_are_refused(
    tiny: Model, questions: list[Sample], concepts: Concepts, problem: str
) -> None:
    with pytest.raises(GroundingError, match=problem):
        heat_maps(tiny, concepts, questions[:1])


def test_what_is_not_there_is_refused(tiny: Model, questions: list[Sample]) -> None:
    concepts, one = _concepts(), questions[:1]
    with pytest.raises(GroundingError, match="no concept 3"):
        heat_maps(tiny, concepts, one, which=[3])
    with pytest.raises(GroundingError, match="no concept was named"):
        heat_maps(tiny, concepts, one, which=[])
    with pytest.raises(DataError, match="no samples to look at"):
        heat_maps(tiny, concepts, [])
    with pytest.raises(DataError, match="no samples to look at"):
        heat_maps(tiny, concepts, one, reference=[])
    with pytest.raises(DataError, match="a batch of 0 samples"):
        heat_maps(tiny, concepts, one, batch_size=0)
    with pytest.raises(SiteError, match="'q0' has no picture 1"):
        heat_maps(tiny, concepts, one, picture=1)
    with pytest.raises(SiteError, match="'blind' has no picture 0"):
        heat_maps(tiny, concepts, [Sample("blind", "what")])
    with pytest.raises(DataError, match=r"gone\.png"):
        heat_maps(tiny, concepts, [Sample("gone", "what", ("/gone.png",))])
    with pytest.raises(SiteError, match="layer 40"):
        heat_maps(tiny, _concepts(site=Site(40)), one)


def test_states_that_are_not_finite_are_named(tiny: Model, questions: list[Sample]) -> None:
    from shiftlens.models.hooks import edit

    with edit(tiny, 1, lambda state: state * float("inf")):
        with pytest.raises(GroundingError, match="'q0' are not all finite"):
            heat_maps(tiny, _concepts(), questions[:1])


def test_a_calibration_is_for_its_own_concepts(tiny: Model, questions: list[Sample]) -> None:
    concepts = _concepts()
    found = calibrate(tiny, concepts, questions[:2], which=[0, 2])
    options: dict[str, Any] = {"method": "calibrated", "calibration": found}
    maps = heat_maps(tiny, concepts, questions[2:4], which=[2], **options)
    assert [[one.concept for one in row] for row in maps] == [[2], [2]]
    for which, other in ((None, concepts), ([0], replace(concepts, vectors=-concepts.vectors))):
        with pytest.raises(GroundingError, match="made for other concepts"):
            heat_maps(tiny, other, questions[2:3], which=which, **options)
    with pytest.raises(GroundingError, match="needs a calibration"):
        heat_maps(tiny, concepts, questions[:1], method="calibrated")
    with pytest.raises(GroundingError, match="a penalty of 0"):
        calibrate(tiny, concepts, questions[:1], penalty=0)


def test_a_calibration_fits_what_it_saw(tiny: Model, questions: list[Sample]) -> None:
    """With little penalty, 27 patches and 32 dimensions, losses are reproduced."""
    concepts, few = _concepts(), questions[:3]
    found = calibrate(tiny, concepts, few, penalty=1e-6)
    assert found.n_patches == 27
    fitted = heat_maps(tiny, concepts, few, method="calibrated", calibration=found)
    lost = heat_maps(tiny, concepts, few, method="occlusion")
    a, b = (np.stack([one.patches for row in maps for one in row]) for maps in (fitted, lost))
    assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.9
    loose = calibrate(tiny, concepts, few, penalty=1e6)
    assert float(loose.weights.norm()) < 1e-3 * float(found.weights.norm())


def test_activations_count_from_the_encoders_mean() -> None:
    mean = torch.arange(32.0)
    concepts = replace(_concepts("direction"), encoder=Projection(mean=mean))
    axes = Axes.of(concepts, [1])
    states = torch.randn(4, 32, generator=torch.Generator().manual_seed(1))
    expected = concepts.encode(states)[:, 1:2]
    torch.testing.assert_close(axes.activations(states), expected, atol=1e-4, rtol=1e-4)


def test_windows_cover_every_patch_equally_often(tiny: Model, questions: list[Sample]) -> None:
    """A loss that is the same everywhere gives a flat map: no patch is hidden more than another."""
    from shiftlens.concepts.grounding.occlusion_maps import _least_step, _windows

    for rows, cols, step, window in (
        (3, 3, 1, 2),
        (8, 5, 2, 4),
        (7, 7, 2, 3),
        (24, 24, None, None),
    ):
        covered = np.zeros((rows, cols), dtype=int)
        for top, left, bottom, right in _windows(rows, cols, step, window):
            covered[top:bottom, left:right] += 1
        assert covered.min() >= 1
        if step == 1:
            assert len(np.unique(covered)) == 1
    assert _least_step(8, 8) == 1
    assert len(_windows(24, 24, None, None)) <= 100
    for step, window in ((0, 2), (3, 2)):
        with pytest.raises(GroundingError, match="no gaps"):
            occlusion_maps(tiny, _concepts(), questions[:1], step=step, window=window)


def test_occlusion_needs_the_word_of_the_site(tiny: Model, questions: list[Sample]) -> None:
    concepts = _concepts(site=Site(1, word("surfer")))
    from shiftlens.activations.capture import as_response

    said = {questions[0].id: as_response(tiny, "a dog")}
    with pytest.raises(GroundingError, match=r"'q0' holds nothing of the concepts' site \(word\)"):
        heat_maps(tiny, concepts, questions[:1], method="occlusion", said=said)
    said = {questions[0].id: as_response(tiny, "a surfer on a beach")}
    assert len(heat_maps(tiny, concepts, questions[:1], method="occlusion", said=said)[0]) == 3
    with pytest.raises(DataError, match="no response to sample 'q1'"):
        heat_maps(tiny, concepts, questions[:2], method="occlusion", said=said)
    # What the tokens carry is there whatever is said.
    assert len(heat_maps(tiny, concepts, questions[:1])[0]) == 3


def test_adapters_are_built_for_the_pair(tmp_path: Path) -> None:
    """The builders that the tests above stand on give models that differ."""
    base = build_llava(tmp_path / "base")
    adapter = build_adapter(base, tmp_path / "adapter", seed=3)
    assert (adapter / "adapter_config.json").exists()
