"""Reading a finished diff: what the survey wrote, whole and of one pair, without torch."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.study.check.builders import row, write_run

from shiftlens.activations import survey
from shiftlens.core.errors import DataError, MismatchError, StoreError
from shiftlens.core.manifest import read_json, write_json
from shiftlens.study.check.rows import Row, read_run

ROWS: list[Row] = [
    row(0, "a dög", "a cat", labels={"answer": "yes", "n": 3}, divergence=(0.5, 0.25)),
    row(1, " a dog\n", "a  dog", group="p0.png"),
    row(2, group=""),
]


def test_rows_are_what_the_survey_wrote(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path, ROWS))
    assert run.rows[:2] == (ROWS[0], ROWS[1])
    assert run.rows[2].group == "s2"
    assert run.pictures == 2
    assert run.models["tuned"]["adapter"] == "models/places"
    assert [one["index"] for one in run.concepts] == [0, 1]
    parts = sorted((tmp_path / "answers").glob("*.parquet"))
    theirs = [one for part in parts for one in survey._read(part)]
    for mine, other in zip(run.rows, theirs, strict=True):
        assert (mine.sample_id, mine.group, mine.prompt) == (
            other.sample_id,
            other.group,
            other.prompt,
        )
        assert (mine.base, mine.tuned) == (other.base.text, other.tuned.text)
        assert (dict(mine.labels), mine.divergence) == (other.labels, other.divergence)


def test_a_changed_answer_is_one_to_the_diff_as_well(tmp_path: Path) -> None:
    from shiftlens.study.check.kinds.answers import AnswersRule

    write_run(tmp_path, ROWS)
    theirs = [one for p in sorted((tmp_path / "answers").glob("*.parquet")) for one in
              survey._read(p)]  # fmt: skip
    measured = AnswersRule("r", 0.5).measure(read_run(tmp_path), _precision())
    assert measured.at(1.0).estimate == pytest.approx(sum(one.changed for one in theirs) / 3)


def _precision():
    from shiftlens.study.check.rules import Precision

    return Precision()


def test_a_diff_that_ended_after_the_answers_can_still_be_asked_about_them(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path, ROWS, document=False))
    assert run.document is None
    assert run.models["base"]["model"] == "models/base"
    with pytest.raises(DataError, match="no concepts"):
        run.concepts  # noqa: B018


@pytest.mark.parametrize("there", [False, True])
def test_another_directory_is_no_diff(tmp_path: Path, there: bool) -> None:
    if there:
        (tmp_path / "diff.json").write_text("{}")
    with pytest.raises(StoreError, match="is not the directory of a diff"):
        read_run(tmp_path if there else tmp_path / "none")


def test_a_damaged_or_missing_file_is_found(tmp_path: Path) -> None:
    write_run(tmp_path, ROWS)
    path = tmp_path / "answers" / "answers-00001.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"x")
    with pytest.raises(StoreError, match="is not what was written"):
        read_run(tmp_path)
    path.unlink()
    with pytest.raises(StoreError, match=r"answers-00001\.parquet is missing"):
        read_run(tmp_path)


def _edit(path: Path, **changes: object) -> None:
    write_json(path, {**read_json(path), **changes, "checksum": None})


def test_an_unfinished_or_foreign_survey_is_refused(tmp_path: Path) -> None:
    write_run(tmp_path, ROWS)
    manifest = tmp_path / "answers" / "manifest.json"
    before = read_json(manifest)
    _edit(manifest, n_parts=3)
    with pytest.raises(StoreError, match=r"has 2 of 3 parts\n.*same diff again"):
        read_run(tmp_path)
    write_json(manifest, {**before, "kind": "activations"})
    with pytest.raises(StoreError, match="not the manifest of a store of answers"):
        read_run(tmp_path)
    write_json(manifest, {**before, "identity": {}})
    with pytest.raises(StoreError, match="is damaged"):
        read_run(tmp_path)


def test_no_answers_at_all_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no answer that could be read"):
        read_run(write_run(tmp_path, []))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1]", "is not the result of a diff"),
        ('{"kind": "metrics"}', "is not the result of a diff"),
        ('{"kind": "diff", "schema": 2}', r"is of schema 2\n.*schema 1"),
        ('{"kind": "diff", "schema": 1}', "lacks 'models'"),
        ('{"kind": "diff"', "is not valid JSON"),
        (
            '{"kind": "diff", "schema": 1, "models": {}, "data": {}, "concepts": []}',
            "is damaged",
        ),
    ],
)
def test_a_diff_json_that_cannot_be_used_is_refused(
    tmp_path: Path, content: str, message: str
) -> None:
    write_run(tmp_path, ROWS)
    (tmp_path / "diff.json").write_text(content)
    with pytest.raises(StoreError, match=message):
        read_run(tmp_path)


def test_answers_and_concepts_of_different_models_are_not_mixed(tmp_path: Path) -> None:
    write_run(tmp_path, ROWS)
    models = read_json(tmp_path / "diff.json")["models"]
    models["tuned"]["adapter_weights"] = "another"
    _edit(tmp_path / "diff.json", models=models)
    with pytest.raises(MismatchError, match="tuned has other adapter_weights"):
        read_run(tmp_path)


def test_a_check_needs_no_torch(tmp_path: Path) -> None:
    write_run(tmp_path, [row(i) for i in range(40)])
    policy = tmp_path / "policy.toml"
    policy.write_text('[[rule]]\nname = "a"\nkind = "answers"\nmargin = 0.2\n')
    words = json.dumps(["check", str(tmp_path), "--policy", str(policy), "--quiet"])
    program = (
        "import sys\nfrom shiftlens.cli.main import run_app\n"
        f"assert run_app({words}) == 0\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
