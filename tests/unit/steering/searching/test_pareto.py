"""The front: nobody on it is beaten, everybody off it is."""

import itertools

import numpy as np

from shiftlens.core.intervals import Interval
from shiftlens.steering.searching.measured import Measured
from shiftlens.steering.searching.pareto import front


def cell(effect: float, loss: float, dose: float = 1.0, dropped: str = "") -> Measured:
    costs = {"loss:a": Interval(loss, loss, loss)}
    return Measured("x", 9, 9, Interval(effect, 0, 1), costs, dose=dose, dropped=dropped)


def _beats(one: Measured, other: Measured) -> bool:
    a, b = one.merit, other.merit
    c, d = one.worst("loss"), other.worst("loss")
    assert a is not None
    assert b is not None
    assert c is not None
    assert d is not None
    better = a.estimate > b.estimate or c.estimate < d.estimate
    return a.estimate >= b.estimate and c.estimate <= d.estimate and better


def test_nobody_on_the_front_is_beaten_and_everybody_off_it_is() -> None:
    rng = np.random.default_rng(0)
    cells = [cell(*rng.integers(0, 8, 2).tolist()) for _ in range(40)]
    edge = front(cells, "loss")
    assert 1 < len(edge) < 40
    for one, other in itertools.product(cells, edge):
        assert not _beats(one, other)
    on = {id(one) for one in edge}
    tied = {(m.merit.estimate, m.costs["loss:a"].estimate) for m in edge if m.merit}
    for one in cells:
        assert one.merit is not None
        alike = (one.merit.estimate, one.costs["loss:a"].estimate) in tied
        assert id(one) in on or alike or any(_beats(other, one) for other in edge)


def test_it_goes_from_the_cheapest_to_the_dearest() -> None:
    edge = front([cell(3, 3), cell(1, 1), cell(2, 2), cell(1, 3)], "loss")
    assert [one.costs["loss:a"].estimate for one in edge] == [1, 2, 3]


def test_of_equals_the_smaller_dose_stands() -> None:
    (one,) = front([cell(1, 1, dose=2.0), cell(1, 1, dose=1.0)], "loss")
    assert one.dose == 1.0
    assert [one.dose for one in front([cell(1, 0, 2.0), cell(2, 0, 3.0)], "dose")] == [2.0, 3.0]


def test_dropped_and_unknown_cells_take_no_part() -> None:
    unknown = Measured("x", 9, 0, None, {"loss:a": Interval(0, 0, 0)})
    kept = cell(1, 1)
    assert front([cell(9, 0, dropped="breaks loss <= 0"), unknown, kept], "loss") == (kept,)
    assert front([kept], "fluency") == ()
