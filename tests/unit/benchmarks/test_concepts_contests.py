"""Contenders in turns, and what is said of them."""

import math

import numpy as np
import pytest
import torch
from benchmarks.concepts.contests import (
    Contest,
    Turn,
    contest,
    installed,
    not_measured,
    on_threads,
    over_all,
    ratio,
)


def _turns(*objectives: float, wall: float = 1.0) -> list[Turn]:
    return [Turn(wall, wall, one) for one in objectives]


def test_every_contender_solves_every_problem_and_the_order_turns() -> None:
    calls: list[tuple[str, int]] = []

    def solve(name: str):
        return lambda problem, seed: calls.append((name, seed)) or problem

    found = contest(
        lambda at: 10 * at, {name: solve(name) for name in "abc"}, lambda p, s: p + s, 3
    )
    assert sorted(calls) == [(name, seed) for name in "abc" for seed in range(3)]
    firsts = [calls[3 * at][0] for at in range(3)]
    assert len(set(firsts)) > 1, "one contender always began"
    assert found.column("b", "objective").tolist() == [0, 20, 40]


def test_who_ends_worse_is_no_yardstick() -> None:
    found = Contest({"ours": _turns(100), "good": _turns(100.9), "bad": _turns(102)})
    assert found.as_good("ours", ["good", "bad"]) == ["good"]


def test_the_fastest_by_median() -> None:
    slow, fast = _turns(1, 1, wall=2), _turns(1, 1, wall=1)
    assert Contest({"slow": slow, "fast": fast}).fastest(["slow", "fast"], "wall") == "fast"


def test_a_ratio_has_an_interval_from_three_rounds_on() -> None:
    ours, theirs = np.asarray([1.0, 2, 3]), np.asarray([2.0, 2, 2])
    figure = ratio("x", ours, theirs, "<= 2", "")
    assert figure.value == 1
    assert (figure.low, figure.high) == (0.5, 1.5)
    assert figure.holds
    assert ratio("x", ours[:2], theirs[:2], "", "").low is None


def test_every_run_lies_within_the_interval_of_few() -> None:
    figure = over_all("x", [3.0, 1.0, 2.0], "s", "<= 2.5", "")
    assert (figure.value, figure.low, figure.high) == (2, 1, 3)
    assert figure.holds is False


def test_what_is_not_measured_says_why_and_neither_holds_nor_fails() -> None:
    figure = not_measured("x", "no faiss")
    assert math.isnan(figure.value)
    assert figure.holds is None
    assert "no faiss" in figure.how


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_are_given_back(threads: int) -> None:
    before = torch.get_num_threads()
    with on_threads(threads):
        assert torch.get_num_threads() == threads
    assert torch.get_num_threads() == before


def test_a_library_that_is_not_there() -> None:
    assert installed("numpy")
    assert not installed("no_library_of_this_name")
