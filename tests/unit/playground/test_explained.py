"""Bars over the words of an answer."""

from types import SimpleNamespace
from typing import Any

import torch

from shiftlens.playground.explained import _along


def _bars(*values: float) -> str:
    words: list[Any] = [
        SimpleNamespace(text=f"<b>{at}", where="inside", note="") for at in range(len(values))
    ]
    found = SimpleNamespace(words=words, activations=torch.tensor([values]).T)
    return str(_along(found, 0, words[0]))


def test_the_word_of_an_answer_of_one_word_has_a_bar() -> None:
    assert "height:100%" in _bars(0.3)


def test_bars_go_from_the_least_to_the_most() -> None:
    page = _bars(1.0, 3.0, 2.0, float("nan"))
    assert [f"height:{one}%" in page for one in (0, 100, 50)] == [True, True, True]
    assert "<b>0" not in page
