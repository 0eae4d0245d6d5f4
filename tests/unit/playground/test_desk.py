"""One model, many visitors: nobody is steered by somebody else's direction."""

import itertools
import threading
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from tests.unit.playground.builders import build_run

from shiftlens.core.errors import ShiftLensError
from shiftlens.models.model import Model
from shiftlens.playground.desk import Desk, Moment
from shiftlens.playground.library import Direction, Library
from shiftlens.playground.lines import Line
from shiftlens.playground.setting import Setting


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, _tiny: Model) -> Path:
    return build_run(tmp_path_factory.mktemp("run"), _tiny)


def _direction(run: Path, title: str = "louder") -> Direction:
    return next(one for one in Library.open(run).directions.values() if title in one.title)


def _setting(run: Path, **more: Any) -> Setting:
    longest = more.pop("max_new_tokens", 8)
    line = Line(_direction(run), 3, run, **more)
    return Setting("tiny", "describe the picture .", (line,), max_new_tokens=longest)


def _last(desk: Desk, setting: Setting) -> Moment:
    return list(desk.answers(setting, None))[-1]


def test_answers_come_word_by_word_and_end_with_the_receipt(tiny: Model, run: Path) -> None:
    setting = _setting(run, strength=4.0)
    moments = list(Desk(tiny).answers(setting, None))
    growing = [one.unsteered for one in moments if one.steered is None]
    assert len(growing) >= 4
    assert all(len(a) <= len(b) for a, b in itertools.pairwise(growing))
    assert all(one.receipt is None for one in moments[:-1])
    last = moments[-1]
    assert last.unsteered == tiny.generate(None, setting.prompt, max_new_tokens=8)
    assert last.steered not in ("", last.unsteered)
    assert last.receipt.vectors[0].layer == 3
    assert last.receipt.tokens > 0


def test_two_visitors_who_steer_opposite_ways_do_not_mix(tiny: Model, run: Path) -> None:
    desk = Desk(tiny)
    settings = [_setting(run, strength=strength) for strength in (4.0, -4.0)]
    alone = [_last(desk, one) for one in settings]
    assert alone[0].steered != alone[1].steered
    seen: dict[int, list[Moment]] = {0: [], 1: []}
    together = threading.Barrier(2)

    def visit(who: int) -> None:
        together.wait()
        for _ in range(6):
            seen[who].append(_last(desk, settings[who]))

    visitors = [threading.Thread(target=visit, args=(who,)) for who in (0, 1)]
    for one in visitors:
        one.start()
    for one in visitors:
        one.join(60)
    for who in (0, 1):
        assert [one.steered for one in seen[who]] == [alone[who].steered] * 6
        assert {one.unsteered for one in seen[who]} == {alone[who].unsteered}
        strengths = {one.receipt.vectors[0].strength for one in seen[who]}
        assert strengths == {settings[who].lines[0].said().strength}


def test_twin_without_turns_visitors_meet_in_the_model(tiny: Model, run: Path) -> None:
    """The model itself refuses a second thread: without turns somebody would get an error."""
    with tiny.active():  # somebody is being answered
        going = Desk(tiny, turn=nullcontext()).answers(_setting(run), None)
        with pytest.raises(ShiftLensError, match="in use by another thread"):
            list(going)


def test_who_leaves_frees_the_model_at_once(tiny: Model, run: Path) -> None:
    desk = Desk(tiny)
    going = desk.answers(_setting(run, max_new_tokens=400, strength=4.0), None)
    next(going)
    going.close()
    heard = list(desk.answers(_setting(run), None))
    assert heard[-1].unsteered == tiny.generate(None, "describe the picture .", max_new_tokens=8)


def test_who_leaves_the_queue_is_never_answered(tiny: Model, run: Path) -> None:
    turn = threading.Lock()
    desk = Desk(tiny, turn)
    with turn:
        worker = threading.Thread(target=lambda: list(desk.answers(_setting(run), None)))
        worker.start()
    worker.join(60)
    assert not worker.is_alive()
    assert turn.acquire(timeout=10)


def test_errors_reach_the_visitor_who_made_them(tiny: Model, run: Path) -> None:
    desk = Desk(tiny)
    with pytest.raises(ShiftLensError, match="nosuch"):
        list(desk.answers(_setting(run, scope="nosuch"), None))
    assert _last(desk, _setting(run)).receipt is not None


def test_directions_of_other_models_are_told(tiny: Model, run: Path) -> None:
    desk = Desk(tiny)
    stranger = _direction(run, "stranger")
    assert desk.fits(_direction(run).vectors[3]) == ""
    assert desk.fits(stranger.vectors[1])
