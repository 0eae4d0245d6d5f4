"""Generation options: passed on where they keep one greedy token a step, refused elsewhere."""

from collections.abc import Mapping
from typing import Any

import pytest

from shiftlens.core.errors import DataError
from shiftlens.data.sample import Sample
from shiftlens.models.decoding import ALLOWED, check_options
from shiftlens.models.generation import generate
from shiftlens.models.model import Model
from shiftlens.models.prompts import encode


def _say(model: Model, questions: list[Sample], options: Mapping[str, Any]) -> list[list[int]]:
    said = generate(model, encode(model, questions), max_new_tokens=6, options=options)
    return [list(one.token_ids) for one in said]


def test_an_option_reaches_the_model(tiny: Model, questions: list[Sample]) -> None:
    plain = _say(tiny, questions, {})
    barred = plain[0][0]
    without = _say(tiny, questions, {"suppress_tokens": [barred]})
    assert all(barred not in row for row in without)
    assert any(barred in row for row in plain)
    picture = tiny.hf.config.image_token_id
    again = _say(tiny, questions, {"no_repeat_ngram_size": 1})
    assert all(len(set(row)) == len(row) for row in again), "no token twice"
    assert all(picture not in row for row in without), "what is barred always stays barred"


def test_options_do_not_stay(tiny: Model, questions: list[Sample]) -> None:
    plain = _say(tiny, questions, {})
    _say(tiny, questions, {"suppress_tokens": [plain[0][0]]})
    assert _say(tiny, questions, {}) == plain


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("num_beams", "a beam's states belong to several texts"),
        ("do_sample", "responses are greedy"),
        ("max_length", "use max_new_tokens"),
        ("guidance_scale", "every step twice"),
        ("repetition_penality", "did you mean repetition_penalty"),
        ("zebra", "not known here"),
    ],
)
def test_an_option_that_would_break_the_states_is_refused(name: str, why: str) -> None:
    with pytest.raises(DataError, match=why) as caught:
        check_options({name: 1})
    assert "repetition_penalty" in caught.value.allowed


@pytest.mark.parametrize(
    "options",
    [
        {"suppress_tokens": 5},
        {"suppress_tokens": "x"},
        {"bad_words_ids": 5},
        {"bad_words_ids": [5]},
        {"repetition_penalty": "a"},
        {"repetition_penalty": 0},
        {"eos_token_id": "a"},
        {"no_repeat_ngram_size": 1.5},
        {"min_new_tokens": -1},
        {"renormalize_logits": 1},
        {"forced_bos_token_id": [3]},
    ],
    ids=str,
)
def test_values_of_another_kind_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=next(iter(options))) as caught:
        check_options(options)
    assert caught.value.allowed


def test_several_ends_end_a_response(tiny: Model, questions: list[Sample]) -> None:
    first = _say(tiny, questions, {})[0]
    for ends in ((first[2],), [first[2]], first[2]):
        said = _say(tiny, questions, {"eos_token_id": ends})
        assert said[0] == first[: first.index(first[2])]


def test_every_allowed_option_is_one_of_transformers() -> None:
    from transformers import GenerationConfig

    assert set(vars(GenerationConfig())) >= ALLOWED
