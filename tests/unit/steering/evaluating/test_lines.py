"""Lines: paired changes, McNemar's counts, random controls, samples that share a picture."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from shiftlens.core.errors import SteeringError
from shiftlens.core.intervals import bootstrap_paired, mcnemar, paired_difference, wilson
from shiftlens.data.sample import Sample, Samples
from shiftlens.steering.arms import Arm
from shiftlens.steering.evaluating.judging import Judged
from shiftlens.steering.evaluating.lines import Line, line_of
from shiftlens.steering.evaluating.trials import Trial
from shiftlens.steering.tasks.task import Measure, Scores, Task

YES_NO = Measure("done", "answers that are done")
SOFT = Measure("soft", "soft accuracy", is_share=False, is_soft_share=True)
LENGTH = Measure("length", "length", is_share=False)
Column = Sequence[float | None]


@dataclass(frozen=True)
class _Nothing(Task):
    name = "nothing"
    measures = ()

    def score(
        self, samples: Sequence[Sample], before: Sequence[str], after: Sequence[str]
    ) -> Scores:
        return {}


def _trial(n: int, pictures: int | None = None) -> Trial:
    images = [(f"{i % pictures}.png",) if pictures else () for i in range(n)]
    samples = Samples([Sample(str(i), "?", image) for i, image in enumerate(images)])
    return Trial("trial", _Nothing(), samples)


def _line(
    measure: Measure, was: Column, now: Column, *random: Column, pictures: int | None = None
) -> Line:
    plain = Judged(Arm("unsteered"), [], None, {measure.name: was})
    one = Judged(Arm("steered"), [], None, {measure.name: now}, [{measure.name: r} for r in random])
    found = line_of(_trial(len(was), pictures), measure, one, plain)
    assert found is not None
    return found


def test_a_change_is_paired_by_sample() -> None:
    was: list[float | None] = [0, 0, 0, 1, 1, None]
    now: list[float | None] = [1, 1, 0, 1, 0, 1]
    line = _line(YES_NO, was, now)
    pairs = ([0, 0, 0, 1, 1], [1, 1, 0, 1, 0])
    assert line.n == 6
    assert line.value == wilson(4, 6)
    assert line.change == paired_difference(*pairs)
    assert line.test == mcnemar(*pairs)
    assert line.test is not None
    assert (line.test.lost, line.test.gained) == (1, 2)
    # Twin: the same scores of other samples are another change.
    assert _line(YES_NO, [1, 1, 0, 0, 0, None], now).change != line.change


def test_numbers_have_a_bootstrap_and_no_test() -> None:
    was, now = [1.0, 2.0, 3.0], [2.0, 2.5, 3.0]
    line = _line(LENGTH, was, now)
    assert line.change == bootstrap_paired(was, now)
    assert line.test is None


def test_soft_shares_that_are_whole_have_the_interval_of_a_share() -> None:
    same = _line(SOFT, [1.0] * 20, [1.0] * 20)
    assert same.value == wilson(20, 20)
    assert same.change is not None
    assert same.change.low < 0 < same.change.high  # nothing changed, and that is not certainty
    soft = _line(SOFT, [1.0] * 19 + [0.3], [1.0] * 20)
    assert soft.test is None
    assert _line(LENGTH, [1.0] * 20, [1.0] * 20).change == bootstrap_paired([1.0], [1.0])  # twin


def test_above_random_is_minus_the_mean_of_the_controls() -> None:
    now = [1.0, 1.0, 1.0, 0.0]
    line = _line(YES_NO, [0.0] * 4, now, [1, 0, 0, 0], [0, 0, 0, 0])
    assert line.random == (0.25, 0.0)
    assert line.above_random is not None
    assert line.above_random.estimate == pytest.approx(0.75 - 0.125)
    # Every pair differs alike: a bootstrap would be certain.
    certain = _line(YES_NO, [0.0] * 9, [1.0] * 9, [0.0] * 9)
    assert certain.above_random is not None
    assert certain.above_random.low < 1.0
    twin = _line(YES_NO, [0.0] * 4, now, now)
    assert twin.above_random is not None
    assert twin.above_random.estimate == 0.0


def test_above_random_is_of_samples_that_all_say_something_of() -> None:
    line = _line(LENGTH, [0.0] * 3, [5.0, 6.0, None], [1.0, None, 2.0], [3.0, 1.0, 1.0])
    assert line.above_random is not None
    assert line.above_random.estimate == 5.0 - 2.0
    assert line.random == (1.5, pytest.approx(5 / 3))
    assert _line(LENGTH, [0.0], [1.0], [None]).above_random is None


def test_samples_of_one_picture_are_not_independent() -> None:
    was, now = [0.0] * 12, [1.0] * 6 + [0.0] * 6
    apart = _line(YES_NO, was, now)
    shared = _line(YES_NO, was, [1.0, 0.0] * 6, pictures=2)
    assert apart.value.estimate == shared.value.estimate
    assert shared.value.high - shared.value.low > apart.value.high - apart.value.low
    assert apart.test is not None
    assert shared.test is not None
    assert (shared.test.gained, shared.test.lost) == (apart.test.gained, apart.test.lost)
    assert shared.test.p == 1.0  # one picture that votes proves nothing
    assert apart.test.p < 0.05


def test_a_measure_that_says_nothing_has_no_line() -> None:
    plain = Judged(Arm("unsteered"), [], None, {"done": [None, None]})
    assert line_of(_trial(2), YES_NO, plain, plain) is None
    assert line_of(_trial(2), LENGTH, plain, plain) is None
    before = _line(YES_NO, [None, None], [1, 0])
    assert (before.change, before.test, before.n) == (None, None, 2)


def test_the_unsteered_arm_is_not_compared_with_itself() -> None:
    plain = Judged(Arm("unsteered"), [], None, {"done": [1, 0]})
    line = line_of(_trial(2), YES_NO, plain, plain)
    assert line is not None
    assert (line.change, line.test, line.above_random, line.random) == (None, None, None, ())


def test_a_score_that_is_no_number_is_refused() -> None:
    with pytest.raises(SteeringError, match="no finite numbers"):
        _line(LENGTH, [0.0, 0.0], [1.0, float("nan")])
    with pytest.raises(SteeringError, match="neither 0 nor 1"):
        _line(YES_NO, [0.0, 0.0], [1.0, 0.5])


def test_a_line_is_read_as_it_was_written() -> None:
    line = _line(YES_NO, [0.0] * 4, [1.0] * 4, [0.0] * 4)
    assert Line.from_dict(line.to_dict()) == line
