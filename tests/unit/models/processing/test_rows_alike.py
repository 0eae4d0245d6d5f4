"""Families that number pictures across the rows of a batch are given one such row at a time."""

from functools import wraps
from typing import Any

import pytest
import torch
from tests.builders import build_qwen2_vl

from shiftlens.core.errors import DataError
from shiftlens.data.sample import Sample
from shiftlens.models.loading import load_model
from shiftlens.models.model import Model
from shiftlens.models.prompts import encode


@pytest.fixture
def counting(tmp_path: Any) -> Model:
    """A family that counts its own positions; what it counts a test may replace."""
    return load_model(build_qwen2_vl(tmp_path / "qwen"))


def _across_rows(model: Model) -> Any:
    """Positions as a family counts them that does not begin anew in each row."""
    count = model.hf.model.get_rope_index

    @wraps(count)
    def wrong(*given: Any, **named: Any) -> Any:
        positions, more = count(*given, **named)
        return positions + torch.arange(positions.shape[1])[None, :, None], more

    return wrong


def test_rows_that_are_counted_alike_may_stand_together(
    counting: Model, questions: list[Sample]
) -> None:
    assert len(encode(counting, questions[:3])) == 3


def test_rows_that_are_not_are_refused_together_and_read_alone(
    counting: Model, questions: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting.hf.model, "get_rope_index", _across_rows(counting))
    assert len(encode(counting, questions[:1])) == 1
    blind = Sample("blind", "what")
    assert len(encode(counting, [questions[0], blind])) == 2, "one picture alone is first anyway"
    with pytest.raises(DataError, match="numbers pictures across the rows") as caught:
        encode(counting, questions[:2])
    assert caught.value.remedy == "batch_size=1"
    assert len(counting.respond(questions[:3], max_new_tokens=1)) == 3, "in batches of one"
