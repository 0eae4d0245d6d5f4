"""Texts that say the same again and again."""

import pytest

from shiftlens.steering.searching.repeating import repeats


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("black black", True),
        ("Black, black!", True),
        ("a dog on a dog on the beach", True),
        ("one two three four one two three four", True),
        ("a man and a woman", False),
        ("one two three four five one two three four five", False),
        ("yes", False),
        ("", False),
    ],
)
def test_repetition_is_right_behind_itself(text: str, said: bool) -> None:
    assert repeats(text) is said
