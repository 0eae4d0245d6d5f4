"""``ConceptShift``: what it tells of its concepts, also where a list of them is empty."""

from dataclasses import replace

import pytest
from tests.drawn import small_shift

from shiftlens.core.errors import GroundingError
from shiftlens.shift.concept_shift import ConceptShift

_WORDS = (("beach", "sand"), ("snow", "ice"), ("kitchen",))


def _without(name: str) -> ConceptShift:
    """The small shift, its concepts of both sides without one of their lists."""
    whole = small_shift(_WORDS)
    base, tuned = (replace(side, **{name: ()}) for side in (whole.base, whole.tuned))
    return replace(whole, base=base, tuned=tuned)


def test_concepts_without_pictures_have_none() -> None:
    changes = _without("images").changes()
    assert [one.images_base for one in changes] == [(), (), ()]
    assert [one.words_base for one in changes] == list(_WORDS)


def test_concepts_with_pictures_have_them() -> None:
    assert [one.images_base for one in small_shift(_WORDS).changes()] == [("s0",), ("s1",), ("s2",)]


def test_concepts_without_words_say_what_to_do() -> None:
    with pytest.raises(GroundingError, match="ground it first"):
        _without("words").changes()
