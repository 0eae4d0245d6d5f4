"""From a rectangle to its concepts: the numbers by hand, and boxes that are none."""

from typing import Any

import numpy as np
import pytest
import torch

from shiftlens.activations.site import Site
from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.grounding.heat_maps import heat_maps
from shiftlens.concepts.grounding.regions import concepts_of_region
from shiftlens.core.errors import GroundingError, SiteError
from shiftlens.data.sample import Sample
from shiftlens.models.model import Model


@pytest.fixture
def concepts() -> Concepts:
    vectors = torch.randn(5, 32, generator=torch.Generator().manual_seed(0))
    return Concepts(vectors, "direction", Site(1), (1,) * 5)


def test_scores_by_hand(tiny: Model, questions: list[Sample], concepts: Concepts) -> None:
    sample = questions[0]
    maps = heat_maps(tiny, concepts, [sample])[0]
    left, top, _, _ = maps[0].box(0, 1)
    _, _, right, bottom = maps[0].box(1, 2)
    box = (max(left, 0.0), max(top, 0.0), right, bottom)
    height, width = maps[0].values.shape
    box = (box[0], box[1], min(box[2], width), min(box[3], height))
    found = concepts_of_region(tiny, concepts, sample, box, share=0.01)
    for one in found:
        patches = maps[one.concept].patches
        inside = np.zeros((3, 3), dtype=bool)
        inside[0:2, 1:3] = True
        gap = patches[inside].mean() - patches[~inside].mean()
        assert one.score == pytest.approx(gap / patches.std(), rel=1e-4)
        assert one.inside - one.outside == pytest.approx(gap, rel=1e-4)
    scores = [one.score for one in found]
    assert scores == sorted(scores, reverse=True)
    assert sorted(one.concept for one in found) == list(range(5))
    assert found[0].to_dict()["concept"] == found[0].concept
    few = concepts_of_region(tiny, concepts, sample, box, share=0.01, n=2)
    assert few == found[:2]
    some = concepts_of_region(tiny, concepts, sample, box, share=0.01, which=[4, 1])
    assert {one.concept for one in some} == {1, 4}


@pytest.mark.parametrize(
    ("box", "problem"),
    [
        ((10, 10, 10, 20), "is empty"),
        ((20, 10, 10, 20), "is empty"),
        ((-1, 0, 10, 10), r"leaves the picture"),
        ((0, 0, 999, 10), r"leaves the picture"),
        ((0, 0, float("nan"), 10), "an edge that is no number"),
        ((0, 0, float("inf"), 10), "an edge that is no number"),
        ((0, 0, 1, 1), "no patch of q0 lies in the box"),
    ],
)
def test_boxes_that_are_none_are_refused(
    tiny: Model, questions: list[Sample], concepts: Concepts, box: Any, problem: str
) -> None:
    with pytest.raises(SiteError, match=problem):
        concepts_of_region(tiny, concepts, questions[0], box)


def test_the_whole_picture_is_no_region(
    tiny: Model, questions: list[Sample], concepts: Concepts
) -> None:
    height, width = heat_maps(tiny, concepts, questions[:1])[0][0].values.shape
    with pytest.raises(SiteError, match="holds every patch"):
        concepts_of_region(tiny, concepts, questions[0], (0, 0, width, height))


@pytest.mark.parametrize("share", [0, 1.5])
def test_impossible_shares_are_refused(
    tiny: Model, questions: list[Sample], concepts: Concepts, share: float
) -> None:
    with pytest.raises(SiteError, match="a share of"):
        concepts_of_region(tiny, concepts, questions[0], (0, 0, 20, 20), share=share)


def test_no_concepts_at_all_is_refused(
    tiny: Model, questions: list[Sample], concepts: Concepts
) -> None:
    with pytest.raises(GroundingError, match="cannot list 0 concepts"):
        concepts_of_region(tiny, concepts, questions[0], (0, 0, 20, 20), n=0)
