"""Rows that stop at a limit of their own, or once enough was said."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from shiftlens.core.errors import DataError
from shiftlens.data.reading import read
from shiftlens.data.sample import Sample, Samples
from shiftlens.models.generation import generate
from shiftlens.models.model import Model
from shiftlens.models.prompts import encode


def test_each_row_stops_at_its_own_limit(tiny: Model, questions: list[Sample]) -> None:
    free = generate(tiny, encode(tiny, questions), max_new_tokens=6)
    limits = (1, 3, None, 6, 2, None)
    own = [replace(one, max_new_tokens=n) for one, n in zip(questions, limits, strict=True)]
    said = generate(tiny, encode(tiny, own), max_new_tokens=4)
    for one, whole, limit in zip(said, free, limits, strict=True):
        n = min(limit or 4, len(whole.token_ids))
        assert one.token_ids == whole.token_ids[:n]
        assert one.truncated == (n < len(whole.token_ids) or whole.truncated)


def test_without_limits_of_their_own_nothing_changes(tiny: Model, questions: list[Sample]) -> None:
    plain = generate(tiny, encode(tiny, questions), max_new_tokens=4)
    same = [replace(one, max_new_tokens=4) for one in questions]
    assert generate(tiny, encode(tiny, same), max_new_tokens=9) == plain


def test_a_row_that_has_said_enough_stops_alone(tiny: Model, questions: list[Sample]) -> None:
    free = generate(tiny, encode(tiny, questions), max_new_tokens=6)
    wanted = free[0].token_ids[2]
    said = generate(
        tiny, encode(tiny, questions), max_new_tokens=6, enough=lambda ids: wanted in ids
    )
    assert said[0].token_ids == free[0].token_ids[: free[0].token_ids.index(wanted) + 1]
    assert said[0].truncated
    for one, whole in zip(said, free, strict=True):
        if wanted not in whole.token_ids:
            assert one == whole


def test_limits_come_from_the_data(tmp_path: Path) -> None:
    file = tmp_path / "data.jsonl"
    file.write_text('{"prompt": "a", "max_new_tokens": 3, "system": "b"}\n{"prompt": "c"}\n')
    first, second = read(file)
    assert (first.max_new_tokens, first.system) == (3, "b")
    assert (second.max_new_tokens, second.system) == (None, None)
    assert [one.system for one in read(file, system="be brief")] == ["be brief"] * 2
    for bad in ('{"prompt": "a", "max_new_tokens": 0}', '{"prompt": "a", "max_new_tokens": true}'):
        file.write_text(bad)
        with pytest.raises(DataError, match="max_new_tokens must be a whole number from 1 up"):
            read(file)
    file.write_text('{"prompt": "a", "system": 3}')
    with pytest.raises(DataError, match="system must be a text"):
        read(file)


def test_what_is_asked_changes_the_fingerprint_and_nothing_else_does() -> None:
    plain = Samples([Sample("a", "what")])
    assert plain.fingerprint == Samples([Sample("a", "what", system=None)]).fingerprint
    others = [replace(plain[0], system="s"), replace(plain[0], max_new_tokens=3)]
    prints = {Samples([one]).fingerprint for one in others} | {plain.fingerprint}
    assert len(prints) == 3


def test_who_listens_hears_the_text_grow_and_changes_nothing(
    tiny: Model, questions: list[Sample]
) -> None:
    asked = questions[0]
    heard: list[str] = []
    said = tiny.generate(asked.images[0], asked.prompt, max_new_tokens=6, heard=heard.append)
    assert said == tiny.generate(asked.images[0], asked.prompt, max_new_tokens=6)
    assert len(heard) >= 2
    assert heard[-1].strip() == said
    assert all(later.startswith(earlier) for earlier, later in pairwise(heard))


def test_what_a_listener_raises_ends_the_answer_and_gives_the_model_back(
    tiny: Model, questions: list[Sample]
) -> None:
    def leave(text: str) -> None:
        raise KeyError(text)

    with pytest.raises(KeyError):
        tiny.generate(questions[0].images[0], questions[0].prompt, heard=leave)
    with tiny.active():
        pass
