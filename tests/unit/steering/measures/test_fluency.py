"""Repetition and perplexity, by hand and by what they promise."""

import math

import numpy as np
import pytest

from shiftlens.core.errors import SteeringError
from shiftlens.steering.measures.fluency import (
    distinct,
    longest_run,
    perplexities,
    perplexity_of,
    repeated_share,
)


@pytest.mark.parametrize(
    ("text", "n", "share"),
    [
        ("a dog runs", 1, 0.0),
        ("a b a b a b", 2, 3 / 5),
        ("Black black, BLACK black", 1, 3 / 4),
        ("black black black black", 3, 1 / 2),
        ("a b", 3, None),
        ("", 1, None),
    ],
)
def test_repeated_ngrams(text: str, n: int, share: float | None) -> None:
    assert repeated_share(text, n) == (None if share is None else pytest.approx(share))


@pytest.mark.parametrize(
    ("text", "run"),
    [
        ("black black black black", 4),
        ("a very, very VERY big dog dog", 3),
        ("a b a b", 1),
        ("blackblack", 1),
        ("", 0),
        ("!!!", 0),
    ],
)
def test_longest_run_of_one_word(text: str, run: int) -> None:
    assert longest_run(text) == run


def test_distinct_is_counted_over_all_texts() -> None:
    assert distinct(["a b c", "a b d"], 1) == pytest.approx(4 / 6)
    assert distinct(["a b c", "a b d"], 2) == pytest.approx(3 / 4)
    # Each text alone is all distinct: only together do they repeat.
    assert distinct(["a b c"] * 10, 2) == pytest.approx(0.1)
    assert distinct(["a", ""], 2) is None


def test_perplexity_of_a_uniform_model_is_its_vocabulary() -> None:
    texts = [[-math.log(50)] * length for length in (3, 1, 8)]
    assert perplexities(texts) == pytest.approx([50.0] * 3)
    found = perplexity_of(texts, draws=50)
    assert (found.low, found.estimate, found.high) == pytest.approx((50.0, 50.0, 50.0))


def test_perplexity_counts_tokens_and_resamples_texts() -> None:
    texts = [[-1.0] * 9, [-2.0]]
    found = perplexity_of(texts, draws=500)
    assert found.estimate == pytest.approx(math.exp(1.1))  # not the mean of texts
    # With two texts a resample holds one of them twice about every other time.
    assert (found.low, found.high) == pytest.approx((math.e, math.e**2))
    rng = np.random.default_rng(0)
    many = [list(-rng.exponential(1.0, 10)) for _ in range(100)]
    narrow = perplexity_of(many, draws=500)
    assert narrow.low < math.e < narrow.high
    assert narrow.high - narrow.low < 0.4
    assert perplexity_of(many, seed=1, draws=50) == perplexity_of(many, seed=1, draws=50)


@pytest.mark.parametrize(
    "bad", [[], [float("nan")], [-math.inf], [0.5], [-1.0, float("nan"), -2.0]]
)
def test_numbers_that_are_no_log_probabilities_are_refused(bad: list[float]) -> None:
    with pytest.raises(SteeringError, match="text 1 has no tokens, or one whose"):
        perplexity_of([[-1.0], bad])
    with pytest.raises(SteeringError, match="text 0"):
        perplexities([bad])


def test_nothing_to_measure_is_refused() -> None:
    with pytest.raises(SteeringError, match="no texts to take the perplexity of"):
        perplexity_of([])
    with pytest.raises(SteeringError, match="no texts to count"):
        distinct([])
    for call in (repeated_share, lambda text, n: distinct([text], n)):
        with pytest.raises(SteeringError, match="n-grams of 0 words"):
            call("a b", 0)
