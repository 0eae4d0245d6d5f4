"""``quality``: everything that can be measured with what is at hand, and why the rest is not."""

from typing import Any

import numpy as np
import pytest
import torch
from tests.unit.concepts.quality.planted import (
    COLOURS,
    ColourJudge,
    OneHotEncoder,
    blobs,
    centroids,
    picture,
)

from shiftlens.activations.site import Site
from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.learners.kmeans import KMeans
from shiftlens.concepts.quality.clip_score import BARE
from shiftlens.concepts.quality.figures import Baseline, Figure
from shiftlens.concepts.quality.intruders import Trials
from shiftlens.concepts.quality.measuring import Quality, quality
from shiftlens.core.errors import LearnError
from shiftlens.core.intervals import Interval

_NAMES = list(COLOURS)
_WORDS = (("apple", "rose"), ("grass", "leaf"), ("sea", "sky"))
_TRIALS = Trials(n_shown=2, n_trials=5)


def _planted(**fields: Any) -> tuple[Concepts, torch.Tensor, dict[str, Any]]:
    """Concepts that are the three colours, and everything to measure them with."""
    states, labels = blobs(n=60)
    learner = {**KMeans(k=3).options(), "report": {}}
    words = {"words": _WORDS, "contrastive": _WORDS, "learner": learner}
    concepts = centroids(states, labels, **{**words, **fields})
    colours = [_NAMES[one] for one in labels.tolist()]
    means = {
        "pictures": [picture(one) for one in colours],
        "captions": [" ".join(_WORDS[one]) for one in labels.tolist()],
        "judge": ColourJudge(),
        "encoder": OneHotEncoder(),
        "random_words": [(("apple", "sea"), ("leaf", "sky"), ("rose", "grass"))],
        "wording": BARE,
    }
    return concepts, states, means


def _factors() -> dict[str, list[str]]:
    return {"colour": [_NAMES[row % 3] for row in range(60)]}


def _measured(concepts: Concepts, states: torch.Tensor, **options: Any) -> Quality:
    return quality(concepts, states, **{"n_refits": 0, "draws": 50, "trials": _TRIALS, **options})


@pytest.fixture(scope="module")
def found() -> Quality:
    """Everything that can be measured of planted concepts."""
    concepts, states, means = _planted()
    return _measured(concepts, states, **means, factors=_factors(), n_refits=2)


def test_everything_is_measured_and_finds_what_was_planted(found: Quality) -> None:
    assert dict(found.not_measured) == {}
    assert len({one.name for one in found.figures}) == len(found.figures)
    for name, expected in {
        "AMI with colour": 1,
        "purity of colour": 1,
        "CLIPScore of words": 2.5,
        "BERTScore of contrastive words (F1)": 1,
        "odd picture found": 1,
        "odd one of words found": 1,
        "overlap of words": 0,
        "AMI of refits over seeds": 1,
    }.items():
        assert found[name].value.estimate == pytest.approx(expected, abs=0.02), name
    for one in found.figures:
        numbers = [one.value, *(beside.value for beside in one.baselines)]
        assert np.isfinite([[n.estimate, n.low, n.high] for n in numbers]).all(), one.name
        assert one.value.low - 1e-9 <= one.value.estimate <= one.value.high + 1e-9, one.name
        assert one.baselines, f"{one.name} stands alone"


def test_without_means_only_the_states_are_measured_and_the_rest_says_why() -> None:
    concepts, states, _ = _planted(words=(), contrastive=(), learner={})
    found = _measured(concepts, states, n_refits=2)
    names = [one.name for one in found.figures]
    assert names == [
        "reconstruction (R2)",
        "non-zero codes",
        "active concepts a row",
        "Hoyer sparseness",
    ]
    assert "name none" in found.not_measured["stability"]
    assert "ground them first" in found.not_measured["CLIPScore of words"]
    assert "known factors" in found.not_measured["factors"]
    with pytest.raises(LearnError, match="'factors' was not measured: needs known factors"):
        found["factors"]


def test_one_concept_has_no_overlap_and_no_intruder() -> None:
    _, states, means = _planted()
    one = centroids(
        states,
        torch.zeros(60, dtype=torch.long),
        words=(("apple",),),
        learner=KMeans(k=1).options(),
    )
    found = _measured(one, states, **means, factors=_factors())
    assert "overlap between 1 concepts" in found.not_measured["overlap of words"]
    assert "no concept has 2 members" in found.not_measured["odd picture"]
    assert found["AMI with colour"].value.estimate == pytest.approx(0, abs=1e-9)
    assert found["purity of colour"].value.estimate == pytest.approx(1 / 3)
    assert "Hoyer sparseness" not in {each.name for each in found.figures}


def test_directions_that_are_never_active_are_measured_without_nan() -> None:
    _, states, means = _planted()
    silent = Concepts(torch.zeros(3, 12), "direction", Site(0), (0,) * 3, words=_WORDS)
    found = _measured(silent, states, **means, learner=KMeans(k=3))
    assert found["active concepts a row"].value.estimate == 0
    assert "measured on no row" in found.not_measured["CLIPScore of words"]
    for one in found.figures:
        assert np.isfinite(one.value.estimate), one.name


def test_a_concept_without_rows_and_words_is_no_obstacle() -> None:
    concepts, states, means = _planted()
    vectors = torch.cat([concepts.vectors, torch.full((1, 12), 1e3)])
    sizes = (*concepts.sizes, 0)
    wider = Concepts(vectors, "centroid", Site(0), sizes, words=(*_WORDS, ()))
    found = _measured(wider, states, **means)
    assert found["CLIPScore of words"].counts["concepts without words"] == 1
    assert found["odd picture found"].counts["left out"] == 1
    assert found["overlap of words"].counts["left out"] == 1


def test_same_seed_same_numbers_and_nothing_is_changed() -> None:
    concepts, states, means = _planted()
    before = states.clone()
    one, same = (_measured(concepts, states, **means, seed=3).to_dict() for _ in range(2))
    assert one == same
    assert states.equal(before)
    assert _measured(concepts, states, **means, seed=4).to_dict() != one


def test_pictures_given_by_path_keep_their_rows_together(tmp_path) -> None:
    concepts, states, means = _planted()
    paths = [tmp_path / f"{place}.png" for place in range(6)]
    for place, path in enumerate(paths):
        picture(_NAMES[place % 3], place).save(path)
    means["pictures"] = [str(paths[row % 6]) for row in range(60)]
    found = _measured(concepts, states, **means)
    assert found["reconstruction (R2)"].unit == "pictures"
    assert found["odd picture found"].value.estimate == 1
    grouped = found["reconstruction (R2)"].value
    apart = _measured(concepts, states)["reconstruction (R2)"]
    assert apart.unit == "rows"
    assert (grouped.low, grouped.high) != (apart.value.low, apart.value.high)


def test_other_concepts_stand_beside_every_figure_that_they_can_have() -> None:
    concepts, states, means = _planted()
    other = KMeans(k=2).fit(states)
    two = Concepts(other.vectors, "centroid", Site(0), other.sizes, words=_WORDS[:2])
    found = _measured(concepts, states, **means, others={"two": two})
    for name in (
        "reconstruction (R2)",
        "CLIPScore of words",
        "BERTScore of words (F1)",
        "overlap of words",
        "odd picture found",
    ):
        assert found[name].beside("two").value.estimate is not None
    with pytest.raises(KeyError):
        found["CLIPScore of contrastive words"].beside("two")


def test_others_with_words_of_a_single_concept_cost_no_overlap() -> None:
    concepts, states, _ = _planted()
    few = _planted(words=(_WORDS[0], (), ()))[0]
    found = _measured(concepts, states, others={"few": few, "same": concepts})
    assert [one.name for one in found["overlap of words"].baselines] == ["same"]


def test_the_table_is_flat(found: Quality) -> None:
    rows = found.rows()
    assert len({tuple(row) for row in rows}) == 1, "the same columns everywhere"
    names = {row["name"] for row in rows}
    assert names == {one.name for one in found.figures}
    chance = next(r for r in rows if r["name"] == "purity of colour" and r["baseline"] == "chance")
    assert chance["value"] == 1
    assert chance["more_value"] == pytest.approx(1 - chance["baseline_value"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": ["a"]}, "60 rows with 1 groups"),
        ({"pictures": [picture("red")]}, "60 rows with 1 pictures"),
        ({"captions": ["x"] * 3}, "60 rows with 3 captions"),
        ({"factors": {"mood": ["sad"]}}, "60 rows with 1 values of 'mood'"),
    ],
)
def test_what_does_not_fit_the_rows_is_refused(options: dict[str, Any], message: str) -> None:
    concepts, states, _ = _planted()
    with pytest.raises(LearnError, match=message):
        quality(concepts, states, **options)


def test_states_that_do_not_fit_are_refused() -> None:
    concepts, states, _ = _planted()
    with pytest.raises(LearnError, match="states of width 5 do not fit"):
        quality(concepts, torch.randn(9, 5))
    with pytest.raises(LearnError, match="no rows"):
        quality(concepts, states[:0])
    states[3] = float("inf")
    with pytest.raises(LearnError, match="1 of 60 states are not finite"):
        quality(concepts, states)


def test_a_single_row_is_measured_as_far_as_it_goes() -> None:
    concepts, states, means = _planted()
    few: dict[str, Any] = {**means, "factors": {"colour": ["red"]}}
    for name in ("pictures", "captions"):
        few[name] = means[name][:1]
    found = _measured(concepts, states[:1], **few)
    assert "no variance" in found.not_measured["reconstruction"]
    assert "1 units" in found.not_measured["factors"]
    assert found["CLIPScore of words"].value.estimate == pytest.approx(2.5, abs=0.02)


def test_printed_it_is_a_line_a_figure() -> None:
    one = Figure(
        "overlap",
        Interval(0.25, 0.2, 0.3),
        "concepts",
        "lower",
        (Baseline("random words", _half()),),
    )
    found = Quality((one,), {"CLIPScore": "no judge"})
    assert str(found).splitlines() == [
        "overlap: 0.25 [0.2, 0.3] (random words 0.5)",
        "CLIPScore: not measured (no judge)",
    ]


def _half() -> Interval:
    return Interval(0.5, 0.4, 0.6)
