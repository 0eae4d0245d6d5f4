"""Many draws: the same in any batches, and pictures that cannot be read are named."""

from pathlib import Path

import pytest

from shiftlens.core.errors import DataError
from shiftlens.data.sample import Sample, Samples
from shiftlens.models.model import Model
from shiftlens.models.sampling import draw_responses


@pytest.fixture
def samples(questions: list[Sample]) -> Samples:
    return Samples(questions)


def test_drawing_is_the_same_in_any_batches(tiny: Model, samples: Samples) -> None:
    whole = draw_responses(tiny, samples, n=2, max_new_tokens=8)
    parts = draw_responses(tiny, samples, n=2, max_new_tokens=8, batch_size=5)
    assert whole == parts
    assert (
        draw_responses(tiny, samples[2:4], n=2, max_new_tokens=8).responses
        == (whole.responses[4:8])
    )
    assert draw_responses(tiny, samples, n=2, max_new_tokens=8, seed=1) != whole


def test_unreadable_pictures_are_named_and_left_out(
    tiny: Model, samples: Samples, tmp_path: Path
) -> None:
    gone = Sample("gone", "what", (str(tmp_path / "gone.png"),))
    drawn = draw_responses(tiny, [gone, *samples], n=2, max_new_tokens=8, batch_size=3)
    assert drawn.unreadable.keys() == {"gone"}
    assert "does not exist" in drawn.unreadable["gone"]
    whole = draw_responses(tiny, samples, n=2, max_new_tokens=8)
    assert (drawn.samples, drawn.responses) == (whole.samples, whole.responses)


@pytest.mark.parametrize(
    ("n", "batch_size", "temperature", "words"),
    [
        (0, 1, 1.0, "cannot draw 0 responses to each of 6 samples"),
        (1, 0, 1.0, "0 at once"),
        (1, 1, -1.0, "a temperature of -1.0"),
    ],
)
def test_impossible_draws(
    tiny: Model, samples: Samples, n: int, batch_size: int, temperature: float, words: str
) -> None:
    with pytest.raises(DataError, match=words):
        draw_responses(tiny, samples, n=n, batch_size=batch_size, temperature=temperature)


def test_no_samples_are_not_drawn(tiny: Model) -> None:
    with pytest.raises(DataError, match="each of 0 samples"):
        draw_responses(tiny, [])
