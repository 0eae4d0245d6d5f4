"""Heat maps of every family: by state where patches have places, by occlusion everywhere."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.architectures.cases import Case

from shiftlens.activations.site import Site
from shiftlens.activations.tokens import last_prompt
from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.grounding.heat_maps import heat_maps
from shiftlens.concepts.grounding.occlusion import occlusion
from shiftlens.concepts.grounding.occlusion_maps import occlusion_maps
from shiftlens.core.errors import DataError, SiteError
from shiftlens.data.sample import Sample
from shiftlens.models.geometry.finding import layouts_of
from shiftlens.models.model import Response
from shiftlens.models.prompts import encode

_SAID = Response("", (), truncated=False)


def _samples(case: Case, folder: Path) -> list[Sample]:
    """One picture each, of different sizes and shapes."""
    found: list[Sample] = []
    for at, image in enumerate(case.images[:2]):
        path = folder / f"{at}.png"
        image.save(path)
        found.append(Sample(f"s{at}", "what is this ?", (str(path),)))
    return found


def _concepts(case: Case) -> Concepts:
    random = torch.Generator().manual_seed(0)
    vectors = torch.randn(3, case.model.address.d, generator=random)
    return Concepts(vectors, "direction", Site(1, last_prompt()), (1,) * 3)


def test_heat_lies_on_the_pixels_of_every_family(case: Case, tmp_path: Path) -> None:
    samples, concepts = _samples(case, tmp_path), _concepts(case)
    if case.family.geometry == "resampled":
        with pytest.raises((SiteError, DataError), match=r"no place in the picture|has no token"):
            heat_maps(case.model, concepts, samples)
        return
    found = heat_maps(case.model, concepts, samples)
    for row, sample, image in zip(found, samples, case.images, strict=False):
        grid = layouts_of(case.model, encode(case.model, [sample]))[0][0].require_grid("it")
        for one in row:
            assert one.values.shape == (image.height, image.width)
            assert one.patches.shape == (grid.rows, grid.cols)
            assert np.isfinite(one.patches).all()
            shown = np.isfinite(one.values)
            assert shown.any()
            assert np.isin(one.values[shown], one.patches).all()
        assert not np.allclose(row[0].patches, row[1].patches)
    alone = heat_maps(case.model, concepts, samples[1:], reference=samples)
    for a, b in zip(found[1], alone[0], strict=True):
        np.testing.assert_allclose(a.patches, b.patches, atol=5e-3, rtol=1e-2)


def test_occlusion_asks_every_family(case: Case, tmp_path: Path) -> None:
    sample, concepts = _samples(case, tmp_path)[0], _concepts(case)
    options = {"said": {sample.id: _SAID}, "step": 4, "window": 4}
    one = occlusion_maps(case.model, concepts, [sample], which=[2], **options)[0][0]  # type: ignore
    assert one.values.shape == case.images[0].size[::-1]
    assert np.isfinite(one.patches).all()
    assert np.abs(one.patches).max() > 0
    check = occlusion(
        case.model, concepts, sample, 2, heat_map=one, response=_SAID, n_patches=1, n_draws=1
    )
    assert check.patches == (one.ranked()[0],)
