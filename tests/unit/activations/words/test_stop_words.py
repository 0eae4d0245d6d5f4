"""Words of grammar by language."""

import pytest

from shiftlens.activations.words.stop_words import LANGUAGES, STOP_WORDS, stop_words_of
from shiftlens.core.errors import DataError


def test_a_language_has_its_own_words_and_all_together_are_the_table() -> None:
    assert "the" in stop_words_of("en")
    assert "und" not in stop_words_of("en")
    assert {"the", "und"} <= stop_words_of("en", "de")
    assert stop_words_of() == STOP_WORDS == stop_words_of(*LANGUAGES)


def test_an_unknown_language_is_refused_with_the_known_ones() -> None:
    with pytest.raises(DataError, match="no stop words for 'xx'") as caught:
        stop_words_of("en", "xx")
    assert "en, de" in str(caught.value)
