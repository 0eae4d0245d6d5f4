"""Each batch is encoded once, each answer given once, and a search that was killed goes on."""

from pathlib import Path
from typing import Any

import pytest
from tests.builders import build_vector

from shiftlens.core.errors import SteeringError
from shiftlens.core.progress import Silent
from shiftlens.data.sample import Sample
from shiftlens.models.model import Model
from shiftlens.steering.applying import steer
from shiftlens.steering.intervening import Intervention
from shiftlens.steering.responding import steer_responses
from shiftlens.steering.searching import asking
from shiftlens.steering.searching.asking import PLAIN, Asker, Questions
from shiftlens.steering.searching.ledger import FILE, Ledger

NEW = 6


def _arms(*lengths: float) -> dict[Any, Intervention | None]:
    return {PLAIN: None} | {at: Intervention(build_vector(length=at)) for at in lengths}


class _Seen:
    """Counts what is encoded and generated."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.encoded: list[int] = []
        self.generated: list[tuple[int, int]] = []
        encode, generate = asking.encode_turns, asking.generate

        def encoding(model: Any, turns: Any) -> Any:
            self.encoded.append(len(turns))
            return encode(model, turns)

        def generating(model: Any, inputs: Any, *, max_new_tokens: int) -> Any:
            self.generated.append((len(inputs), max_new_tokens))
            return generate(model, inputs, max_new_tokens=max_new_tokens)

        monkeypatch.setattr(asking, "encode_turns", encoding)
        monkeypatch.setattr(asking, "generate", generating)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> _Seen:
    return _Seen(monkeypatch)


@pytest.fixture
def asked(questions: list[Sample]) -> Questions:
    return Questions("some", tuple(questions), NEW)


def _asker(model: Model, folder: Path | None = None, progress: Any = None) -> Asker:
    return Asker(model, Ledger(folder), batch_size=4, progress=progress or Silent())


def test_answers_doses_and_divergences_are_those_of_steer_responses(
    brief: Model, asked: Questions
) -> None:
    asker, arms = _asker(brief), _arms(6.0, 60.0)
    asker.ask(asked, arms, 6, "all")
    plain = brief.respond(asked.samples, max_new_tokens=NEW, batch_size=4)
    assert asker.answers(PLAIN, asked).texts == [one.text for one in plain]
    assert asker.answers(PLAIN, asked).kl == [0.0] * 6
    for arm in (6.0, 60.0):
        one = arms[arm]
        assert one is not None
        said, receipt = steer_responses(
            brief, asked.samples, [one], max_new_tokens=NEW, batch_size=4, first_token_kl=True
        )
        mine, theirs = asker.answers(arm, asked), receipt.vectors[0]
        assert mine.texts == [r.text for r in said]
        assert receipt.first_token_kl is not None
        assert mine.kl == pytest.approx(list(receipt.first_token_kl), abs=1e-5)
        assert max(mine.kl) > 1e-3
        assert mine.dose == pytest.approx(theirs.dose, rel=1e-5)
        assert (mine.selected, mine.tokens, mine.touched) == (
            theirs.selected,
            theirs.tokens,
            theirs.touched,
        )


def test_each_batch_is_encoded_once_and_each_answer_given_once(
    brief: Model, asked: Questions, seen: _Seen
) -> None:
    asker, arms = _asker(brief), _arms(6.0, 30.0, 60.0)
    asker.ask(asked, arms, 2, "first")
    del arms[30.0]
    asker.ask(asked, arms, 6, "second")
    assert seen.encoded == [2, 4]
    assert seen.generated == [(2, NEW)] * 4 + [(4, NEW)] * 3
    assert asker.generated == 2 * 4 + 4 * 3
    assert [len(asker.answers(arm, asked).texts) for arm in (PLAIN, 6.0, 30.0)] == [6, 6, 2]
    asker.ask(asked, arms, 6, "again")
    assert len(seen.encoded) == 2


class _Killed:
    """Stops everything after some answers."""

    def __init__(self, after: int) -> None:
        self.left = after

    def start(self, label: str, total: int) -> None: ...

    def advance(self, n: int = 1) -> None:
        self.left -= n
        if self.left <= 0:
            raise KeyboardInterrupt

    def stop(self) -> None: ...


def test_what_was_answered_before_a_kill_is_not_asked_again(
    brief: Model, asked: Questions, tmp_path: Path, seen: _Seen
) -> None:
    arms = _arms(6.0, 60.0)
    with pytest.raises(KeyboardInterrupt):
        _asker(brief, tmp_path, _Killed(1)).ask(asked, arms, 6, "killed")
    file = tmp_path / FILE
    file.write_bytes(file.read_bytes()[:-7])  # and the last line was half written
    seen.generated.clear()
    second = _asker(brief, tmp_path)
    second.ask(asked, arms, 6, "second")
    # Of the first batch one arm and the unsteered first token, of the second everything.
    assert seen.generated == [(4, 1), (4, NEW), (2, NEW), (2, NEW), (2, NEW)]
    seen.generated.clear()
    third, whole = _asker(brief, tmp_path), _asker(brief)
    third.ask(asked, arms, 6, "third")
    assert seen.generated == []
    whole.ask(asked, arms, 6, "whole")
    for arm in arms:
        assert second.answers(arm, asked) == third.answers(arm, asked)
        assert third.answers(arm, asked) == whole.answers(arm, asked)


def test_answers_to_anything_else_are_never_taken(
    brief: Model, tiny: Model, asked: Questions, tmp_path: Path, seen: _Seen
) -> None:
    arms = _arms(6.0)
    _asker(brief, tmp_path).ask(asked, arms, 4, "first")
    turned = Questions("some", asked.samples[::-1], NEW)
    longer = Questions("some", asked.samples, NEW + 1)
    named = Questions("other", asked.samples, NEW)
    for model, questions, expected in (
        (tiny, asked, 2),
        (brief, turned, 2),
        (brief, longer, 2),
        (brief, named, 0),  # the same questions by another name are the same questions
    ):
        seen.generated.clear()
        _asker(model, tmp_path).ask(questions, arms, 4, "more")
        assert len(seen.generated) == expected
    seen.generated.clear()
    _asker(brief, tmp_path).ask(asked, _arms(7.0), 4, "another vector")
    assert seen.generated == [(4, 1), (4, NEW)]


def test_a_scope_that_selects_nothing_is_an_error(brief: Model, asked: Questions) -> None:
    arms = {PLAIN: None, "cats": Intervention(build_vector(), scope="words:zebra")}
    with pytest.raises(SteeringError, match="'words:zebra' selected no position in 6 samples"):
        _asker(brief).ask(asked, arms, 6, "none")


def test_a_batch_of_nothing_is_refused(brief: Model) -> None:
    with pytest.raises(SteeringError, match="a batch of 0 samples"):
        Asker(brief, Ledger(None), batch_size=0, progress=Silent())


def test_the_model_is_given_back_after_an_interruption(
    brief: Model, asked: Questions, tmp_path: Path
) -> None:
    before = brief.respond(asked.samples, max_new_tokens=NEW)
    with pytest.raises(KeyboardInterrupt):
        _asker(brief, tmp_path, _Killed(1)).ask(asked, _arms(60.0), 6, "killed")
    assert brief.respond(asked.samples, max_new_tokens=NEW) == before
    with steer(brief, build_vector(length=60.0)):
        assert brief.respond(asked.samples, max_new_tokens=NEW) != before
