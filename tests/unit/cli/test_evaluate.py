"""``shiftlens evaluate``: arms in a table, transitions under it, and what is refused."""

import json
from pathlib import Path

import pytest
from tests.builders import build_vector

from shiftlens.cli import evaluate as verb
from shiftlens.cli import main as cli
from shiftlens.cli.evaluate_summary import print_evaluation
from shiftlens.core.intervals import Interval, McNemar
from shiftlens.data.sample import Sample
from shiftlens.steering.evaluating import Evaluation, Line

FAST = "--task vqa --set source=yes --set target=no --set max_new_tokens=2".split()


@pytest.fixture
def words(tiny_path: Path, questions: list[Sample], tmp_path: Path) -> list[str]:
    build_vector(length=80.0).save(tmp_path / "vector")
    rows = [
        {"image": s.images[0], "prompt": s.prompt, "labels": {"answer": "dog"}} for s in questions
    ]
    (tmp_path / "asked.jsonl").write_text("\n".join(map(json.dumps, rows)))
    asked = str(tmp_path / "asked.jsonl")
    return ["evaluate", str(tiny_path), asked, *FAST, "-o", str(tmp_path / "out")]


def test_arms_stand_side_by_side(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["-v", str(tmp_path / "vector"), "--controls", "1", "--instruction", "what is red ?"]
    assert cli.run_app([*words, *more, "--off-target", f"{tmp_path / 'asked.jsonl'}:accuracy"]) == 0
    said = capsys.readouterr().out
    assert "asked-1: task vqa, 6 samples" in said
    assert "asked-2: task accuracy, 6 samples" in said
    assert "above random" in said
    assert "unsteered answers in rows" in said
    assert "6 of 6 samples" in said
    assert f"page: {tmp_path / 'out' / 'report.html'}" in said
    assert (tmp_path / "out" / "report.html").stat().st_size > 10_000
    found = Evaluation.load(tmp_path / "out" / "evaluation.json")
    assert [x.arm for x in found.lines if x.measure == "surprise"][:3] == [
        "unsteered",
        "steered",
        "instruction",
    ]
    assert found.find("steered", "asked-2", "accuracy").above_random is not None
    vectors = found.about["arms"]["steered"]["vectors"]
    assert [one["name"] for one in vectors] == ["random 0"]


def test_an_adapter_is_an_arm_and_programs_can_read_it(
    words: list[str],
    tiny_adapter_path: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.run_app([*words, "--tuned", str(tiny_adapter_path), "-n", "4", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert told["about"]["trials"]["asked"]["n"] == 4
    assert set(told["about"]["arms"]) == {"tuned"}
    assert told["about"]["arms"]["tuned"]["model"]["adapter_weights"]


def test_quiet_says_nothing(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run_app([*words, "--instruction", "what", "--no-fluency", "--quiet"]) == 0
    assert capsys.readouterr().out == ""


def test_the_cost_is_said_and_nothing_is_done(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*words, "-v", "v", "--controls", "1", "--instruction", "what", "-n", "40"]
    words += ["--off-target", "world:number"]
    assert cli.run_app([*words, "--dry-run"]) == 0
    assert "2 data sets, at most 40 samples of each" in capsys.readouterr().out
    assert cli.run_app([*words, "--dry-run", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    # Two batches; unsteered, steered, told and one random direction; three are read again.
    passes = 2 * (4 * (2 + 16) + 3 * 2)
    assert told == {"trials": 2, "samples": 40, "answers": 40 * 2 * 4, "passes": passes}
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("world:number", ("world:number", "vqa")),
        ("world:requests:safety", ("world:requests", "safety")),
        ("folder/asked.jsonl", ("folder/asked.jsonl", "vqa")),
        ("folder/asked.jsonl:accuracy", ("folder/asked.jsonl", "accuracy")),
        ("C:/folder", ("C:/folder", "vqa")),
    ],
)
def test_off_target_data_may_name_their_task(text: str, expected: tuple[str, str]) -> None:
    assert verb._split(text) == expected


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([], "nothing to evaluate"),
        (["--instruction", " "], "nothing to evaluate"),
        (["--instruction", "a", "--task", "beauty"], "unknown task 'beauty'"),
        (["--instruction", "a", "--set", "goal"], "'goal' is no key=value"),
        (["--instruction", "a", "--set", "goal=1"], "has no setting 'goal'"),
        (["--instruction", "a", "--off-target", "x:answers"], "needs source, target"),
        (["--instruction", "a", "-n", "0"], "at least one sample"),
        (["--instruction", "a", "--controls", "-1"], "0 or more random directions"),
        (["--instruction", "a", "--layers", "first"], "'first' is no list of layers"),
        (["-v", "nowhere/vector"], "nowhere/vector.json"),
    ],
)
def test_mistakes_are_one_message(
    words: list[str], more: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run_app([*words, *more]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said


def test_tables_fit_in_eighty_columns(capsys: pytest.CaptureFixture[str]) -> None:
    wide = Interval(-0.444, -0.555, -0.333)
    long = "a very long name of an arm"
    line = Line("steered", "t", "m", "changed [so]", "effect", True, 9, wide, wide, wide,
                McNemar(1, 2, 0.0001))  # fmt: skip
    plain = Line("unsteered", "t", "m", "changed [so]", "effect", True, 8, Interval(0, 0, 0))
    named = Line(long, "t", "m", "changed [so]", "effect", True, 9, wide, wide, None,
                 McNemar(1, 2, 1.0))  # fmt: skip
    still = Line("steered", "t", "s", "speed", "side effect", True, 9, wide, Interval(0, 0, 0))
    moved = {f"a rather long answer {i}": {"no": 5 + i} for i in range(9)} | {"": {"[x]": 99}}
    found = Evaluation(
        (plain, line, named, still),
        {"t": {"steered": {"transitions": {"(no type)": moved, "same": {"a": {"a": 3}}}}}},
        {"t": {}},
        {},
        {"trials": {"t": {"task": "vqa", "n": 9}}, "notes": ["mind this"]},
    )
    print_evaluation(found, Path("x.json"))
    said = capsys.readouterr().out
    assert all(len(row) <= 80 for row in said.splitlines())
    assert "changed [so] (n = 8 to 9)" in said
    assert "<.001" in said
    assert "the same in every arm: speed" in said
    assert "(silence)" in said
    assert "(other)" in said
    assert "[x]" in said
    assert "(same)" not in said
    assert "NOTE mind this" in said
    assert f"  {long}\n" in said


def test_random_directions_without_a_vector_are_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Typed at its default too: there is nothing that they could stand beside."""
    words = ["evaluate", "world:base", "world:yesno", "--instruction", "Say no."]
    assert cli.run_app([*words, "--controls", "3"]) == 2
    assert "there is none: name one with --vector" in " ".join(capsys.readouterr().err.split())
    assert cli.run_app([*words, "--set", "source=yes", "--set", "target=no", "--dry-run"]) == 0, (
        "twin"
    )
