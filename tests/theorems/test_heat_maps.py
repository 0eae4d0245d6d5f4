"""Heat is where the concept was planted, in states and in pixels, and nowhere else.

States are planted by editing a block at one picture token. Pixels are planted by a block that adds
to every position as much of a concept as one patch of the picture is bright: then that patch, and
no other, decides how active the concept is, whatever the random tower mixes.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from shiftlens.activations.site import Site
from shiftlens.activations.tokens import last_prompt
from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.grounding.axes import Axes
from shiftlens.concepts.grounding.calibrating import calibrate
from shiftlens.concepts.grounding.heat_maps import HeatMap, heat_maps
from shiftlens.concepts.grounding.localising import pointing_game
from shiftlens.concepts.grounding.occlusion import occlusion, occlusions
from shiftlens.concepts.grounding.occlusion_maps import occlusion_maps
from shiftlens.concepts.grounding.regions import concepts_of_region
from shiftlens.data.sample import Sample
from shiftlens.models.geometry.finding import layouts_of
from shiftlens.models.hooks import edit
from shiftlens.models.model import Model, Response
from shiftlens.models.prompts import encode

LAYER, SIDE, PATCH = 2, 24, 8
SAID = Response("a dog", (), truncated=False)
EVERY = [(row, col) for row in range(3) for col in range(3)]


@pytest.fixture
def concepts() -> Concepts:
    """Three orthogonal directions."""
    basis = torch.linalg.qr(torch.randn(32, 3, generator=torch.Generator().manual_seed(0))).Q.T
    return Concepts(basis.contiguous(), "direction", Site(LAYER, last_prompt()), (1, 1, 1))


@pytest.fixture
def noisy(tmp_path: Path) -> list[Sample]:
    """Pictures of the size that the tower takes, so that its patches are exactly known."""
    random = np.random.default_rng(0)
    found: list[Sample] = []
    for at in range(3):
        path = tmp_path / f"{at}.png"
        noise = random.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path)
        found.append(Sample(f"s{at}", "what is this ?", (str(path),)))
    return found


def _square(row: int, col: int) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), dtype=bool)
    mask[row * PATCH : (row + 1) * PATCH, col * PATCH : (col + 1) * PATCH] = True
    return mask


@contextmanager
def _planted_state(
    model: Model, samples: list[Sample], direction: Tensor, row: int, col: int, length: float
) -> Iterator[None]:
    """The concept is added to the state of one patch's token, and to no other."""
    column = layouts_of(model, encode(model, samples))[0][0].column(row, col, "it")

    def add(state: Tensor) -> Tensor:
        new = state.clone()
        new[:, column] += length * direction
        return new

    with edit(model, LAYER, add):
        yield


@contextmanager
def _planted_pixels(
    model: Model, parts: dict[tuple[int, int], Tensor], length: float
) -> Iterator[None]:
    """Every position has as much of each direction as its patch of the picture is bright."""
    seen: list[Tensor] = []

    def look(_module: Any, _args: Any, kwargs: dict[str, Any]) -> None:
        seen[:] = [kwargs["pixel_values"].float()]

    def add(state: Tensor) -> Tensor:
        new = state
        for (row, col), direction in parts.items():
            patch = seen[0][:, :, row * PATCH :, col * PATCH :][:, :, :PATCH, :PATCH]
            new = new + length * patch.mean(dim=(1, 2, 3))[:, None, None] * direction
        return new

    with ExitStack() as stack:
        stack.callback(model.hf.register_forward_pre_hook(look, with_kwargs=True).remove)
        stack.enter_context(edit(model, LAYER, add))
        yield


def _with_patch(sample: Sample, row: int, col: int, folder: Path) -> Sample:
    """The sample with one patch white in its picture."""
    pixels = np.array(Image.open(sample.images[0]))
    pixels[_square(row, col)] = 255
    path = folder / f"{sample.id}-{row}-{col}.png"
    Image.fromarray(pixels).save(path)
    return replace(sample, images=(str(path),))


@pytest.mark.parametrize("method", ["projection", "cosine"])
@pytest.mark.parametrize(("row", "col"), EVERY)
def test_heat_is_at_the_planted_token(
    tiny: Model, concepts: Concepts, noisy: list[Sample], row: int, col: int, method: str
) -> None:
    with _planted_state(tiny, noisy, concepts.vectors[1], row, col, 1e3):
        found = heat_maps(tiny, concepts, noisy, which=[1, 0], method=method)
    for planted, _ in found:
        assert pointing_game(planted.values, _square(row, col)) == 1
        if row != col:  # twin: the grid on its side
            assert pointing_game(planted.values, _square(col, row)) == 0
        assert planted.ranked()[0] == (row, col)


def test_only_the_planted_concept_is_hot(
    tiny: Model, concepts: Concepts, noisy: list[Sample]
) -> None:
    """Orthogonal concepts have the maps that they had."""
    before = heat_maps(tiny, concepts, noisy)
    with _planted_state(tiny, noisy, concepts.vectors[1], 0, 2, 50.0):
        after = heat_maps(tiny, concepts, noisy)
    for old, new in zip(before, after, strict=True):
        for number in (0, 2):
            np.testing.assert_allclose(new[number].patches, old[number].patches, atol=1e-3)
        rise = new[1].patches - old[1].patches
        expected = np.full((3, 3), -50 / 9)  # the mean token, which is taken off, has risen too
        expected[0, 2] += 50
        np.testing.assert_allclose(rise, expected, atol=1e-3)


@pytest.mark.parametrize(("row", "col"), [(0, 0), (0, 2), (1, 1), (2, 0), (2, 1)])
def test_what_decides_in_the_pixels_is_lost_with_them(
    tiny: Model, concepts: Concepts, noisy: list[Sample], tmp_path: Path, row: int, col: int
) -> None:
    shown = [_with_patch(one, row, col, tmp_path) for one in noisy]
    said = {one.id: SAID for one in shown}
    with _planted_pixels(tiny, {(row, col): concepts.vectors[1]}, 1e3):
        maps = [
            one[0]
            for one in occlusion_maps(tiny, concepts, shown, which=[1], said=said, step=1, window=1)
        ]
        check = occlusions(tiny, concepts, shown, maps, n_patches=1, said=said)
    for one in maps:
        assert pointing_game(one.values, _square(row, col)) == 1
        if row != col:
            assert pointing_game(one.values, _square(col, row)) == 0
        rest = np.delete(one.patches.ravel(), 3 * row + col)
        assert np.abs(rest).max() < 0.05 * one.patches[row, col]
    for one in check.found:
        assert one.patches == ((row, col),)
        assert abs(one.bottom) < 0.05 * one.top
        assert one.gain > 0
    assert check.gain.low > 0


def test_twin_a_map_that_is_wrong_loses_nothing(
    tiny: Model, concepts: Concepts, noisy: list[Sample], tmp_path: Path
) -> None:
    """The check sees through a map that points at another patch."""
    sample = _with_patch(noisy[0], 0, 2, tmp_path)
    options: dict[str, Any] = {"n_patches": 1, "response": SAID, "n_draws": 40}
    with _planted_pixels(tiny, {(0, 2): concepts.vectors[1]}, 1e3):
        right = heat_maps(
            tiny, concepts, [sample], which=[1], method="occlusion", said={sample.id: SAID}
        )[0][0]
        true = occlusion(tiny, concepts, sample, 1, heat_map=right, **options)
        turned = right.with_patches(np.ascontiguousarray(right.patches.T))
        false = occlusion(tiny, concepts, sample, 1, heat_map=turned, **options)
    assert true.patches == ((0, 2),)
    assert false.patches == ((2, 0),)
    assert true.gain > 0 > false.gain
    assert abs(false.top) < 0.05 * true.top
    assert true.random == false.random  # the same seed, so the same choices
    # One patch of nine decides: so does one random choice in nine.
    assert np.mean([one > 0.5 * true.top for one in true.random]) == pytest.approx(1 / 9, abs=0.12)


def test_a_region_holds_what_its_pixels_decide(
    tiny: Model, concepts: Concepts, noisy: list[Sample], tmp_path: Path
) -> None:
    sample = _with_patch(_with_patch(noisy[0], 0, 1, tmp_path), 2, 0, tmp_path)
    planted = {(0, 1): concepts.vectors[0], (2, 0): concepts.vectors[2]}
    options: dict[str, Any] = {"method": "occlusion", "said": {sample.id: SAID}}
    with _planted_pixels(tiny, planted, 1e3):
        above = concepts_of_region(tiny, concepts, sample, (8, 0, 16, 8), **options)
        below = concepts_of_region(tiny, concepts, sample, (0, 16, 8, 24), **options)
    assert above[0].concept == 0
    assert below[0].concept == 2
    assert above[0].inside > above[0].outside
    assert below[0].score > below[1].score


def test_calibration_learns_which_states_tell_of_a_loss(
    tiny: Model, concepts: Concepts, noisy: list[Sample], tmp_path: Path
) -> None:
    """A token that carries what its own patch decides: its state must be found out, not guessed.

    What the token carries is another direction than the concept's, so that a projection is blind.
    """
    carried = torch.linalg.qr(torch.cat([concepts.vectors, torch.ones(1, 32)]).T).Q[:, 3]
    column = layouts_of(tiny, encode(tiny, noisy[:1]))[0][0].column

    def carry(row: int, col: int) -> Any:
        return edit(tiny, LAYER, _adding(column(row, col, "it"), 1e4 * carried))

    spots = [(0, 1), (2, 2), (1, 0)]
    shown = [_with_patch(one, *spot, tmp_path) for one, spot in zip(noisy, spots, strict=True)]
    hits: dict[str, float] = {}
    for at, (sample, spot) in enumerate(zip(shown, spots, strict=True)):
        others = [(s, p) for n, (s, p) in enumerate(zip(shown, spots, strict=True)) if n != at]
        fitted = []
        for other, place in others:
            with _planted_pixels(tiny, {place: concepts.vectors[1]}, 1e3), carry(*place):
                fitted.append(calibrate(tiny, concepts, [other], which=[1], said={other.id: SAID}))
        with _planted_pixels(tiny, {spot: concepts.vectors[1]}, 1e3), carry(*spot):
            for name, options in (
                ("projection", {"method": "projection"}),
                ("calibrated", {"method": "calibrated", "calibration": fitted[0]}),
            ):
                found: HeatMap = heat_maps(tiny, concepts, [sample], which=[1], **options)[0][0]
                hit = pointing_game(found.values, _square(*spot))
                hits[name] = hits.get(name, 0) + hit
    assert hits["calibrated"] == 3
    assert hits["projection"] < 3


def _adding(column: int, what: Tensor) -> Any:
    def add(state: Tensor) -> Tensor:
        new = state.clone()
        if state.shape[1] > column:
            new[:, column] += what
        return new

    return add


def test_activation_of_a_centroid_is_what_sets_it_apart() -> None:
    """A state common to all centroids, however long, is no activation of any."""
    random = torch.Generator().manual_seed(0)
    own, common = torch.randn(4, 8, generator=random), 1e3 * torch.randn(8, generator=random)
    bare = Axes.of(Concepts(own, "centroid", Site(0), (1,) * 4))
    moved = Axes.of(Concepts(own + common, "centroid", Site(0), (1,) * 4))
    states = torch.randn(5, 8, generator=random)
    torch.testing.assert_close(
        moved.activations(states + common), bare.activations(states), atol=2e-2, rtol=1e-3
    )
    # Twin: directions are taken as they are, and the common part is most of them.
    as_directions = Axes.of(Concepts(own + common, "direction", Site(0), (1,) * 4))
    assert float((as_directions.directions @ as_directions.directions.T).min()) > 0.99
    assert float((bare.directions @ bare.directions.T).min()) < 0.5
