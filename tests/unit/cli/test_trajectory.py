"""``shiftlens trajectory``: the page, the numbers of steps, and what is refused."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from tests.builders import build_adapter

from shiftlens.cli.main import run_app
from shiftlens.cli.trajectory import step_numbers
from shiftlens.cli.trajectory_page import print_trajectory, spark
from shiftlens.core.intervals import Interval
from shiftlens.shift.curves import ConceptCurve, Curve, Trajectory
from shiftlens.shift.margins import Margins
from shiftlens.shift.verdicts import Verdict


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        (["run/checkpoint-100", "run/checkpoint-2500/"], [100, 2500]),
        (["me/lora-7", "me/lora-9"], [7, 9]),
        (["early", "late"], [1, 2]),
        (["checkpoint-500", "final"], [1, 2]),
    ],
)
def test_steps_are_the_numbers_that_end_the_names(names: list[str], numbers: list[int]) -> None:
    assert step_numbers(names) == numbers


def test_numbers_are_blocks() -> None:
    assert spark([0.0, 0.5, 1.0], 1.0) == "▁▅█"
    assert spark([-1.0, math.nan, 2.0], 1.0) == "▁·█"
    assert spark([0.0, 0.0], 0.0) == "▁▁"
    many = spark([x / 99 for x in range(100)], 1.0)
    assert len(many) == 12
    assert (many[0], many[-1], sorted(many)) == ("▁", "█", list(many))


def _found(n: int, margins: Margins, *, axis: str = "step") -> Trajectory:
    xs = tuple(float(500 * (1 + i)) for i in range(n))
    points = [
        Verdict("moved", 0.1 * i, 0.1 * i - 0.05, 0.1 * i + 0.05, 0.3, "changed", 40)
        for i in range(n)
    ]
    first, never = (
        Curve.of(points, xs),
        Curve.of([replace(p, verdict="stable") for p in points], xs),
    )
    return Trajectory(
        axis=axis,
        xs=xs,
        names=("a",) * n,
        concepts=(
            ConceptCurve(0, ("a [bold] word", "another", "w" * 40), 40, 0.9,
                         {"moved": first, "own": never}),
            ConceptCurve(1, (), 1234, 0.9, {"moved": never, "own": never}),
        ),
        everything=tuple(Interval(0.1, 0.0, 0.2) for _ in xs),
        answers=tuple(Interval(0.5, 0.4, 0.6) for _ in xs),
        margins=margins.to_dict(),
        about={"pictures": {"estimation": 100, "judging": 101}, "site": {"layer": 5}},
    )  # fmt: skip


@pytest.mark.parametrize("n", [1, 5, 40])
def test_the_page_fits_eighty_columns(n: int, capsys: pytest.CaptureFixture[str]) -> None:
    print_trajectory(_found(n, Margins.named(0.3)), Path("runs/trajectory"))
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 80
    assert "a [bold] word" in said
    assert "step 500" in said
    assert "stable" in said
    assert "block 5, 2 concepts from 100 pictures, judged on 101 others" in said
    assert "of 0.30 that you named" in said


def test_the_page_says_where_the_margin_comes_from(capsys: pytest.CaptureFixture[str]) -> None:
    print_trajectory(_found(3, Margins.none()), Path("o"))
    said = capsys.readouterr().out
    assert "nothing is judged: name a margin" in said
    assert "no margin" in said
    placebos = Margins({"moved": 0.25, "own": 0.1}, "placebos", ({}, {}, {}))
    print_trajectory(_found(3, placebos), Path("o"))
    assert "of 0.25 of 3 placebos" in capsys.readouterr().out


@pytest.fixture
def data(pictures: list[Path], tmp_path: Path) -> Path:
    file = tmp_path / "data.jsonl"
    rows = [
        {"image": str(pictures[i % 6]), "prompt": "what " * (i % 4 + 1), "id": f"s{i}"}
        for i in range(24)
    ]
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return file


def test_checkpoints_are_followed(
    tiny_path: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = [build_adapter(tiny_path, tmp_path / f"checkpoint-{s}", seed=s) for s in (10, 20)]
    out = tmp_path / "o"
    words = ["trajectory", str(tiny_path), *map(str, steps), str(data), "-o", str(out), "--k", "2",
             "--draws", "20", "--max-new-tokens", "3", "--margin", ".3"]  # fmt: skip
    assert run_app([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["axis"] == "step"
    assert [step["x"] for step in found["steps"]] == [10, 20]
    assert found == json.loads((out / "trajectory.json").read_text())
    assert "From when on has it changed?" in (out / "report.html").read_text("utf-8")
    assert run_app([*words, "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    assert run_app([*words[:3], *words[4:], "--scales", "0,1", "-o", str(tmp_path / "s")]) == 0
    assert "scales 0, 1" in capsys.readouterr().out


def test_a_dry_run_says_what_it_would_cost(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = {*tmp_path.iterdir()}
    words = ["trajectory", "no-model", "no-adapter", str(data), "--dry-run"]
    assert run_app([*words, "--json", "--answers"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "samples": 24, "steps": 5, "answers": 24 * 6, "passes": 6, "rows": 24 * 6, "refits": 200,
    }  # fmt: skip
    assert run_app(["trajectory", "a", "b", "world:dog", "--dry-run", "--scales", "0,.5"]) == 0
    assert "600 samples at 2 steps" in capsys.readouterr().out
    assert {*tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a", "b", "c", "d", "--scales", "0,1"], "scales are of one adapter"),
        (["a", "b", "d", "--scales", "0,x"], "'0,x' is no list of numbers"),
        (["a", "b", "d", "--margin", ".3", "--placebo", "p"], "give one of them"),
        (["a", "b"], "missing argument"),
    ],
)
def test_impossible_commands_are_usage_errors(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_app(["trajectory", *words]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_scales_outside_are_the_user_s_to_mend(
    tiny_path: Path, tiny_adapter_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["trajectory", str(tiny_path), str(tiny_adapter_path), str(data), "--scales", "0,2"]
    assert run_app(words) == 2
    assert "adapter scale 2 lies outside [0, 1]" in capsys.readouterr().err
