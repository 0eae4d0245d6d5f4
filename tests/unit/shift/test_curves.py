"""``Trajectory``: first steps, files, scalars."""

import json
import math
from pathlib import Path

import pytest

from shiftlens.core.errors import DataError, StoreError
from shiftlens.core.intervals import Interval
from shiftlens.shift.curves import ConceptCurve, Curve, Trajectory
from shiftlens.shift.margins import Margins
from shiftlens.shift.verdicts import CHANGED, STABLE, UNDECIDED, Verdict

XS = (0.0, 0.1, 0.5, 1.0)


def _points(*verdicts: str, high: float = 0.5) -> list[Verdict]:
    return [
        Verdict("moved", 0.1 * i, 0.0, high, 0.3, one, 20, None, "")
        for i, one in enumerate(verdicts)
    ]


def _curve(*verdicts: str) -> Curve:
    return Curve.of(_points(*verdicts), XS)


@pytest.fixture
def found() -> Trajectory:
    rising = _curve(STABLE, UNDECIDED, CHANGED, CHANGED)
    flat = Curve.of(_points(*[UNDECIDED] * 4, high=math.nan), XS)
    return Trajectory(
        axis="scale",
        xs=XS,
        names=("a",) * 4,
        concepts=(
            ConceptCurve(0, ("beach", "sand"), 20, 0.9, {"moved": rising, "own": flat}),
            ConceptCurve(1, ("snow", "sand"), 3, 0.1, {"moved": flat, "own": flat}),
        ),
        everything=tuple(Interval(x, x - 0.1, x + 0.1) for x in XS),
        answers=tuple(Interval(x, 0.0, 1.0) for x in XS),
        margins=Margins.none().to_dict(),
        about={"seed": 0},
    )


@pytest.mark.parametrize(
    ("verdicts", "first"),
    [
        ((STABLE, UNDECIDED, CHANGED, CHANGED), 0.5),
        ((CHANGED, STABLE, UNDECIDED, CHANGED), 1.0),
        ((CHANGED, CHANGED, CHANGED, CHANGED), 0.0),
        ((STABLE, CHANGED, CHANGED, UNDECIDED), None),
        ((STABLE, STABLE, STABLE, STABLE), None),
    ],
)
def test_the_first_step_is_that_from_which_it_stays_changed(
    verdicts: tuple[str, ...], first: float | None
) -> None:
    assert _curve(*verdicts).first_changed == first


def test_first_is_asked_by_number_or_by_a_word_of_one_concept(found: Trajectory) -> None:
    assert found.first(0) == found.first("beach") == 0.5
    assert found.first("beach", "own") is None
    assert found.first("snow") is None
    with pytest.raises(DataError, match="2 concepts list 'sand'") as caught:
        found.first("sand")
    assert "0: beach, sand; 1: snow, sand" in str(caught.value)
    with pytest.raises(DataError, match="no concept lists, or is, 7"):
        found.first(7)
    with pytest.raises(DataError, match="unknown statistic 'mooved'"):
        found.first(0, "mooved")


def test_a_file_gives_back_what_was_saved(found: Trajectory, tmp_path: Path) -> None:
    file = tmp_path / "t.json"
    found.save(file)
    again = Trajectory.load(file)
    assert again.to_dict() == found.to_dict()
    assert again.concepts[0] == ConceptCurve(
        0, ("beach", "sand"), 20, 0.9,
        {"moved": found.concepts[0].curves["moved"], "own": again.concepts[0].curves["own"]},
    )  # fmt: skip
    assert math.isnan(again.concepts[1].curves["moved"].points[0].high)
    assert math.isnan(again.margins["moved"])
    assert "NaN" not in file.read_text()
    assert again.answers == found.answers


def test_other_files_are_refused(found: Trajectory, tmp_path: Path) -> None:
    file = tmp_path / "t.json"
    with pytest.raises(StoreError, match="does not exist"):
        Trajectory.load(file)
    file.write_text('{"kind": "concepts", "schema": 1}')
    with pytest.raises(StoreError, match="holds 'concepts' of schema 1"):
        Trajectory.load(file)
    file.write_text("[]")
    with pytest.raises(StoreError, match="holds None"):
        Trajectory.load(file)
    found.save(file)
    broken = json.loads(file.read_text())
    del broken["concepts"][0]["moved"]
    file.write_text(json.dumps(broken))
    with pytest.raises(StoreError, match=r"damaged \(KeyError: 'moved'\)"):
        Trajectory.load(file)


class _Writer:
    def __init__(self) -> None:
        self.seen: list[tuple[str, float, int]] = []

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
        self.seen.append((tag, scalar_value, global_step))


def test_scalars_are_lines_and_go_to_a_writer(found: Trajectory, tmp_path: Path) -> None:
    found.save_scalars(tmp_path / "s.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "s.jsonl").read_text().splitlines()]
    assert {"tag": "drift/all", "step": 0.5, "value": 0.5} in lines
    tags = {line["tag"] for line in lines}
    assert {"drift/all/low", "drift/concept 0 (beach)", "answers changed/high"} <= tags
    assert {"own drift/concept 1 (snow)", "own drift/concept 1 (snow)/low"} <= tags
    assert "drift/concept 1 (snow)/high" not in tags, "what is unknown is not drawn"
    writer = _Writer()
    found.log(writer)
    assert len(writer.seen) == len(lines)
    steps = [step for tag, _, step in writer.seen if tag == "drift/all"]
    assert steps == [0, 100, 500, 1000]
    assert {type(step) for _, _, step in writer.seen} == {int}


def test_training_steps_are_the_writer_s_own(found: Trajectory) -> None:
    from dataclasses import replace

    writer = _Writer()
    replace(found, axis="step", xs=(100.0, 200.0, 300.0, 1000.0)).log(writer)
    assert [step for tag, _, step in writer.seen if tag == "drift/all"] == [100, 200, 300, 1000]
