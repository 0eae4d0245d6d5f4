"""Reasoning segments: told by the marks of the vocabulary, whoever opens and closes them."""

from typing import Any

import pytest

from shiftlens.models.processing.reasoning import ReasoningMarks

OPEN, CLOSE = 90, 91


class _Vocabulary:
    def __init__(self, **added: int) -> None:
        self._added = added

    def get_added_vocab(self) -> dict[str, int]:
        return self._added


def _marks(**added: int) -> ReasoningMarks:
    tokenizer: Any = _Vocabulary(**added)
    return ReasoningMarks.of(tokenizer)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("<think>", "</think>"),
        ("[THINK]", "[/THINK]"),
        ("<|begin_of_thought|>", "<|end_of_thought|>"),
        ("◁think▷", "◁/think▷"),
        ("<|START_THINKING|>", "<|END_THINKING|>"),
    ],
)
def test_marks_of_families(first: str, second: str) -> None:
    found = _marks(**{first: OPEN, second: CLOSE, "<image>": 4})
    assert found == ReasoningMarks(frozenset({OPEN}), frozenset({CLOSE}))


def test_a_lone_mark_marks_nothing() -> None:
    assert _marks(**{"<think>": OPEN}) == ReasoningMarks()
    assert _marks(**{"<image>": 4, "thinking": 5}) == ReasoningMarks()
    assert ReasoningMarks().length([1], [2, 3]) == 0


@pytest.mark.parametrize(
    ("prompt", "response", "length"),
    [
        ([1], [OPEN, 5, CLOSE, 6], 3),
        ([1, OPEN], [5, CLOSE, 6], 2),
        ([1, OPEN], [5, 6], 2),
        ([1, OPEN, CLOSE], [5, 6], 0),
        ([1], [5, 6], 0),
        ([1], [OPEN, 5], 2),
        ([OPEN, 5, CLOSE, 1], [6], 0),
        ([1], [], 0),
    ],
    ids=["both said", "template opens", "never closed", "switched off by the template", "none",
         "cut off", "of an earlier turn", "nothing"],
)  # fmt: skip
def test_how_much_of_a_response_is_reasoning(
    prompt: list[int], response: list[int], length: int
) -> None:
    marks = ReasoningMarks(frozenset({OPEN}), frozenset({CLOSE}))
    assert marks.length(prompt, response) == length
