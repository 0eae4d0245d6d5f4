"""A stage is computed again when, and only when, something that decides it changed."""

from pathlib import Path

import pytest

from shiftlens.core.errors import ShiftLensError
from shiftlens.core.goals import meets
from shiftlens.study.cache import StageCache


def _stage(root: Path, inputs: object) -> tuple[StageCache, dict[str, object]]:
    cache = StageCache(root)
    return cache, cache.run("learn-dog", inputs, lambda: {"k": 3})


def test_the_same_inputs_are_computed_once(tmp_path: Path) -> None:
    first, result = _stage(tmp_path, {"seed": 0})
    second, again = _stage(tmp_path, {"seed": 0})
    assert (first.computed, second.reused) == (["learn-dog"], ["learn-dog"])
    assert result == again
    assert second.seconds("learn") == pytest.approx(first.seconds("learn"))


def test_other_inputs_are_computed_again(tmp_path: Path) -> None:
    _stage(tmp_path, {"seed": 0})
    assert _stage(tmp_path, {"seed": 1})[0].computed == ["learn-dog"]


def test_a_damaged_entry_is_worth_no_more_than_a_missing_one(tmp_path: Path) -> None:
    _stage(tmp_path, 0)
    (tmp_path / "stages" / "learn-dog.json").write_text('{"key": ', encoding="utf-8")
    assert _stage(tmp_path, 0)[0].computed == ["learn-dog"]


def test_a_stage_that_fails_leaves_no_entry(tmp_path: Path) -> None:
    def fail() -> dict[str, object]:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        StageCache(tmp_path).run("learn-dog", 0, fail)
    assert not (tmp_path / "stages" / "learn-dog.json").exists()


@pytest.mark.parametrize(
    ("value", "goal", "met"),
    [(0.8, ">= 0.8", True), (0.79, ">= 0.8", False), (0.03, "<= 0.03", True), (1, "< 1", False)],
)
def test_goals_are_read_as_written(value: float, goal: str, met: bool) -> None:
    assert meets(value, goal) is met


def test_a_goal_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(ShiftLensError, match="sign and a number"):
        meets(1, "about 3")
