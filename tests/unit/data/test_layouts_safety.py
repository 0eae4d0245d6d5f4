"""MM-SafetyBench: the question that goes with the pictures, the scenario and its group."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.data.layout_files import picture, safety, safety_row, write_json

from shiftlens.core.errors import DataError
from shiftlens.data.layouts import read_mm_safetybench
from shiftlens.data.layouts.mm_safetybench import SCENARIOS
from shiftlens.data.reading import read


def test_requests_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    samples = read_mm_safetybench(safety(tmp_path))
    names = ("01-Illegal_Activitiy", "08-Political_Lobbying")
    assert [s.id for s in samples] == [f"{name}/{n}" for name in names for n in (0, 2, 10)]
    assert samples[1].prompt == "at the bottom 2"
    assert samples[1].labels == {
        "scenario": "01-Illegal_Activitiy",
        "group": "generic",
        "dangerous": True,
        "question": "meant 2",
    }
    place = tmp_path.resolve() / "data" / "imgs" / names[1] / "SD_TYPO"
    assert samples[3].images == (str(place / "0.jpg"),)
    assert [Path(s.images[0]).is_file() for s in samples] == [True, False, False] * 2
    assert len(read_mm_safetybench(tmp_path, limit=4)) == 4


@pytest.mark.parametrize(
    ("images", "asks"),
    [("SD", "in the image 0"), ("TYPO", "at the bottom 0"), ("SD_TYPO", "at the bottom 0")],
)
def test_pictures_go_with_their_question(tmp_path: Path, images: Any, asks: str) -> None:
    first = read_mm_safetybench(safety(tmp_path), images)[0]
    assert first.prompt == asks
    assert Path(first.images[0]).parent.name == images


def test_other_kinds_of_pictures_are_refused(tmp_path: Path) -> None:
    for images in ("sd", "", "SD+TYPO"):
        with pytest.raises(DataError, match=r"no pictures are called .*\n  SD, TYPO, SD_TYPO"):
            read_mm_safetybench(safety(tmp_path), images)


def test_all_thirteen_scenarios_have_the_group_that_judges_them(tmp_path: Path) -> None:
    from shiftlens.steering.measures.refusal import DEFERENCE, NEUTRALITY, REFUSAL, rule_of

    samples = read(safety(tmp_path, *SCENARIOS))
    groups = {s.labels["scenario"]: s.labels["group"] for s in samples}
    assert sorted(int(name[:2]) for name in groups) == list(range(1, 14))
    rules = {"generic": REFUSAL, "political": NEUTRALITY, "professional advice": DEFERENCE}
    assert {name: rules[group] for name, group in groups.items()} == {
        name: rule_of(name) for name in groups
    }


def test_read_recognises_the_folder_and_its_data(tmp_path: Path) -> None:
    safety(tmp_path)
    whole = list(read_mm_safetybench(tmp_path))
    assert list(read(tmp_path)) == whole
    assert list(read(tmp_path / "data")) == whole
    assert {s.prompt for s in read(tmp_path, prompt="Do {question}")} >= {"Do at the bottom 10"}


@pytest.mark.parametrize("asked", ["01-Illegal_Activity", "01-Illegal_Activitiy"])
@pytest.mark.parametrize("shown", ["01-Illegal_Activity", "01-Illegal_Activitiy"])
def test_the_misspelt_scenario_may_be_mended(tmp_path: Path, asked: str, shown: str) -> None:
    write_json(tmp_path / "data" / "processed_questions" / f"{asked}.json", {"0": safety_row(0)})
    expected = picture(tmp_path / "data" / "imgs" / shown / "SD_TYPO" / "0.jpg").resolve()
    (sample,) = read(tmp_path)
    assert sample.id == "01-Illegal_Activitiy/0"
    assert Path(sample.images[0]) == expected


def test_pictures_elsewhere_are_named(tmp_path: Path) -> None:
    safety(tmp_path)
    (tmp_path / "data" / "imgs").rename(tmp_path / "pictures")
    with pytest.raises(DataError, match=r"no image folder at .*imgs"):
        read(tmp_path)
    samples = read_mm_safetybench(tmp_path, folder=tmp_path / "pictures")
    assert Path(samples[0].images[0]).is_file()


def test_an_unknown_scenario_is_named(tmp_path: Path) -> None:
    safety(tmp_path, "02-HateSpeech")
    unknown = tmp_path / "data" / "imgs" / "14-Gossip"
    unknown.mkdir()
    with pytest.raises(DataError, match="14-Gossip is no scenario") as caught:
        read(tmp_path)
    assert "13-Gov_Decision" in str(caught.value)
    unknown.rmdir()
    for leftover in ("__MACOSX", ".cache"):
        (tmp_path / "data" / "imgs" / leftover).mkdir()
    assert len(read(tmp_path)) == 3
    write_json(tmp_path / "data" / "processed_questions" / "03-HateSpeech.json", {})
    with pytest.raises(DataError, match=r"03-HateSpeech.json: 03-HateSpeech is no scenario"):
        read(tmp_path)


def test_a_scenario_under_both_spellings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Activity: 01-Illegal_Activity is there twice"):
        read(safety(tmp_path, "01-Illegal_Activity", "01-Illegal_Activitiy"))


def test_missing_pictures_are_named_by_their_folder(tmp_path: Path) -> None:
    safety(tmp_path)
    shutil.rmtree(tmp_path / "data" / "imgs" / "08-Political_Lobbying" / "SD")
    assert len(read(tmp_path)) == 6
    with pytest.raises(
        DataError, match=r"08-Political_Lobbying.json has no image folder"
    ) as caught:
        read_mm_safetybench(tmp_path, "SD")
    assert str(Path("08-Political_Lobbying") / "SD") in str(caught.value)
    for one in (tmp_path / "data" / "imgs").rglob("*.jpg"):
        one.unlink()
    with pytest.raises(DataError, match=r"no picture of 6 is in .*imgs"):
        read(tmp_path)


def _drop(key: str) -> Callable[[Any], object]:
    return lambda table: table["2"].pop(key)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_drop("Rephrased Question"), "row '2' of .*: 'Rephrased Question' is missing"),
        (_drop("Question"), "row '2' of .*: 'Question' is missing"),
        (lambda t: t.update({"2": []}), "row '2' of .* is not a numbered object"),
        (lambda t: t.update({"two": safety_row(2)}), "row 'two' of .* is not a numbered object"),
        (lambda t: t.update({"02": safety_row(2)}), "row '02' of .* is not a numbered object"),
        (lambda t: t["2"].update({"Rephrased Question": 5}), "row '2' .*'Rephrased Question' is 5"),
    ],
)
def test_a_bad_row_is_named_by_file_and_number(
    tmp_path: Path, spoil: Callable[[Any], Any], message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read(safety(tmp_path, "06-Fraud", spoil=spoil))
    assert "06-Fraud.json" in str(caught.value)


def test_twin_a_question_that_is_not_asked_may_be_missing(tmp_path: Path) -> None:
    safety(tmp_path, "06-Fraud", spoil=_drop("Rephrased Question(SD)"))
    assert len(read(tmp_path)) == 3
    with pytest.raises(DataError, match=r"row '2' of 06-Fraud.json: 'Rephrased Question\(SD\)'"):
        read_mm_safetybench(tmp_path, "SD")


def test_files_that_are_no_json_are_named(tmp_path: Path) -> None:
    file = safety(tmp_path, "06-Fraud") / "data" / "processed_questions" / "06-Fraud.json"
    for text, message in (("{", "is not JSON"), (json.dumps([1]), "does not hold a JSON object")):
        file.write_text(text)
        with pytest.raises(DataError, match=f"06-Fraud.json {message}"):
            read(tmp_path)
    file.write_text("{}")
    with pytest.raises(DataError, match="holds no samples"):
        read(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no questions of MM-SafetyBench"):
        read_mm_safetybench(tmp_path / "empty")
