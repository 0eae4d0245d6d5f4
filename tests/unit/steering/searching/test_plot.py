"""``Search.plot``: every setting, the front, the choice and its held-out half."""

from typing import Any

import pytest
from tests.drawn import HOSTILE, small_search

from shiftlens.core.errors import SteeringError
from shiftlens.steering.searching.found import Search


def _dots(axes: Any) -> dict[str, list[list[float]]]:
    return {
        one.get_label(): [list(map(float, place)) for place in one.get_offsets()]
        for one in axes.collections
    }


def _places(found: Any, cost: str) -> list[list[float]]:
    return [[one.worst(cost).estimate, one.effect.estimate] for one in found]


@pytest.mark.parametrize("cost", ["loss", "first_token_kl", "dose"])
def test_every_setting_is_drawn_where_it_was_measured(cost: str) -> None:
    search = small_search()
    (axes,) = search.plot(cost).axes
    drawn, front = _dots(axes), search.front(cost)
    assert drawn["chosen"] == _places([search.chosen], cost)
    assert drawn["chosen, held out"] == _places([search.held_out], cost)
    assert drawn["random direction, held out"] == _places(search.controls, cost)
    assert drawn["front"] == _places([one for one in front if one is not search.chosen], cost)
    assert drawn["dropped"] == _places([one for one in search.cells if one.dropped], cost)
    others = {"chosen", "front", "asked", "dropped"}
    both = sum(len(places) for name, places in drawn.items() if name in others)
    assert both == len(search.cells)
    (stairs,) = (one for one in axes.get_lines() if one.get_label() == "_stairs")
    assert [list(map(float, xy)) for xy in stairs.get_xydata()] == _places(front, cost)


def test_the_budget_is_drawn_where_it_limits_this_cost() -> None:
    def budget(search: Search, cost: str) -> list[float]:
        (axes,) = search.plot(cost).axes
        lines = [one for one in axes.get_lines() if one.get_label() == "budget"]
        return [float(one.get_xdata()[0]) for one in lines]

    assert budget(small_search(), "loss") == [0.012]
    assert budget(small_search(), "dose") == []


def test_the_cost_is_the_search_s_own_unless_named() -> None:
    (axes,) = small_search().plot().axes
    assert axes.get_xlabel() == "loss off target"


def test_an_unknown_cost_is_one_sentence() -> None:
    with pytest.raises(SteeringError, match="no cost is called 'los'"):
        small_search().plot("los")


@pytest.mark.parametrize("label", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_label_is_text(label: str, tmp_path) -> None:
    small_search(label).plot().savefig(tmp_path / "a.png")
