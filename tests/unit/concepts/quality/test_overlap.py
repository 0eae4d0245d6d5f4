"""Words that different concepts have in common."""

import numpy as np
import pytest

from shiftlens.concepts.quality.overlap import overlap, word_overlap
from shiftlens.core.errors import LearnError


def test_overlap_is_the_mean_over_ordered_pairs() -> None:
    words = (("a", "b", "c", "d"), ("a", "b"), ("x",))
    # 2/4 and 2/2 between the first two, nothing else: six ordered pairs.
    assert overlap(words).value.estimate == pytest.approx((0.5 + 1.0) / 6)
    np.testing.assert_allclose(np.diag(word_overlap(words)), 1)


@pytest.mark.parametrize(
    ("words", "expected"),
    [((("a", "b"),) * 5, 1.0), (tuple((f"{one}",) for one in "abcde"), 0.0)],
    ids=["all the same", "all apart"],
)
def test_the_ends(words, expected: float) -> None:
    found = overlap(words).value
    assert (found.estimate, found.low, found.high) == (expected, expected, expected)


def test_a_concept_is_never_paired_with_its_own_copy() -> None:
    """Distinct lists overlap 0 in every resample, although resamples repeat concepts."""
    found = overlap(tuple((f"w{one}", f"v{one}") for one in range(6)), draws=500)
    assert found.value.high == 0


def test_beside_random_words() -> None:
    random = np.random.default_rng(0)
    pool = [f"w{one}" for one in range(20)]

    def draw() -> tuple[tuple[str, ...], ...]:
        return tuple(tuple(random.choice(pool, 4, replace=False)) for _ in range(12))

    same = (("a", "b", "c", "d"),) * 12
    found = overlap(same, baselines={"random words": [draw() for _ in range(5)]})
    beside = found.beside("random words")
    assert beside.difference is not None
    assert beside.difference.low > 0.5
    assert beside.value.estimate == pytest.approx(4 / 20, abs=0.05)
    # Twin: random words against random words.
    null = overlap(draw(), baselines={"random words": [draw() for _ in range(5)]})
    difference = null.beside("random words").difference
    assert difference is not None
    assert difference.low < 0 < difference.high


def test_concepts_without_words_are_left_out_and_counted() -> None:
    found = overlap((("a", "b"), (), ("a", "c")))
    assert found.value.estimate == 0.5
    assert found.counts == {"concepts": 3, "left out": 1}


@pytest.mark.parametrize("words", [(), (("a",),), (("a",), ())])
def test_fewer_than_two_concepts_have_no_overlap(words) -> None:
    with pytest.raises(LearnError, match="concepts with words is not defined"):
        overlap(words)
