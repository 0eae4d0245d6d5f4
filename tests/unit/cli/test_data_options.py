"""``--where`` and ``--columns``: the same rows as ``read`` gives, in every verb that has them."""

import csv
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from tests.builders import build_vector

from shiftlens.cli import main as cli
from shiftlens.cli.data_options import Rows, rows_option
from shiftlens.cli.diff_inputs import samples_of
from shiftlens.data.sample import Sample


@pytest.fixture
def data(pictures: list[Path], tmp_path: Path) -> Path:
    """A table with names of its own."""
    said = io.StringIO()
    rows = [(str(path), f"what {i} ?", "ab"[i % 2]) for i, path in enumerate(pictures)]
    csv.writer(said).writerows([("file_name", "question", "kind"), *rows])
    file = tmp_path / "rows.csv"
    file.write_text(said.getvalue())
    return file


def test_pairs_are_read() -> None:
    assert rows_option(None, "") == Rows()
    found = rows_option(["kind=a", "kind = b", "x=1=2"], " image=file_name, prompt=q ")
    assert found.where == {"kind": ["a", "b"], "x": ["1=2"]}
    assert found.columns == {"image": "file_name", "prompt": "q"}


@pytest.mark.parametrize(
    ("where", "columns", "message"),
    [
        (["kind"], "", "'kind' is no pair"),
        (["=a"], "", "'=a' is no pair"),
        (None, "image", "'image' is no pair"),
        (None, "image=a,image=b", "one of our names is there twice"),
    ],
)
def test_what_is_no_pair_is_refused(where: list[str] | None, columns: str, message: str) -> None:
    with pytest.raises(typer.BadParameter, match=message):
        rows_option(where, columns)


def test_a_choice_is_that_of_read(data: Path, tmp_path: Path) -> None:
    rows = rows_option(["kind=a"], "image=file_name,prompt=question")
    whole = samples_of(str(data), tmp_path, None, 0, None, rows)
    assert [s.prompt for s in whole] == ["what 0 ?", "what 2 ?", "what 4 ?"]
    assert list(samples_of(str(data), tmp_path, 2, 1, None, rows)) == list(whole.take(2, seed=1))


@pytest.mark.parametrize(
    "verb",
    [
        ["harvest", "BASE", "DATA"],
        ["diff", "BASE", "BASE", "DATA", "--margin", "1"],
        ["trajectory", "BASE", "BASE", "DATA", "--margin", "1", "--words", "dog"],
        ["placebo", "BASE", "DATA", "--like", "ADAPTER", "--rate", "1e-3"],
    ],
    ids=lambda verb: verb[0],
)
def test_verbs_read_what_is_asked_for(
    verb: list[str],
    data: Path,
    base_path: Path,
    adapter_path: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    paths = {"BASE": str(base_path), "DATA": str(data), "ADAPTER": str(adapter_path)}
    words = [paths.get(one, one) for one in verb]
    words += ["-o", str(tmp_path / "out"), "--dry-run", "--json"]
    words += ["--columns", "image=file_name,prompt=question"]
    assert cli.run_app([*words, "--where", "kind=a"]) == 0, capsys.readouterr().err
    assert json.loads(capsys.readouterr().out)["samples"] == 3
    assert cli.run_app([*words, "--where", "kind=c"]) == 2
    assert "no row of rows.csv is what where asks for" in capsys.readouterr().err


@pytest.fixture
def answered(pictures: list[Path], tmp_path: Path) -> Path:
    """The same table, with answers that can be judged."""
    rows = [f"{path},what {i} ?,{'ab'[i % 2]},dog" for i, path in enumerate(pictures)]
    file = tmp_path / "answered.csv"
    file.write_text("\n".join(["file_name,question,kind,answer", *rows]) + "\n")
    return file


@pytest.mark.parametrize("verb", ["evaluate", "search"])
def test_verbs_that_steer_read_what_is_asked_for(
    verb: str,
    answered: Path,
    tiny_path: Path,
    questions: list[Sample],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    build_vector(length=80.0).save(tmp_path / "vector")
    beside = tmp_path / "beside.jsonl"  # has names of its own, and no kind
    beside.write_text(
        "\n".join(
            json.dumps({"image": q.images[0], "prompt": q.prompt, "labels": {"answer": "dog"}})
            for q in questions
        )
    )
    words = [verb, str(tiny_path), str(answered), "-o", str(tmp_path / "out"), "--controls", "1"]
    words += ["--task", "style", *"--set words=unicorn --set max_new_tokens=2".split()]
    words += ["--vector", str(tmp_path / "vector"), "--off-target", str(beside), "--json"]
    words += ["--columns", "image=file_name,prompt=question"]
    assert cli.run_app([*words, "--where", "kind=a"]) == 0, capsys.readouterr().err
    about = json.loads(capsys.readouterr().out)["about"]
    if verb == "evaluate":
        assert [one["n"] for one in about["trials"].values()] == [3, 6]
    else:  # both halves of the target's three
        assert sum(next(iter(half.values())) for half in about["n"].values()) == 3
    assert cli.run_app([*words, "--where", "kind=c"]) == 2
    assert "no row of answered.csv is what where asks for" in capsys.readouterr().err


def test_pictures_of_a_table_go_into_the_run(
    pictures: list[Path], base_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"image": {"bytes": path.read_bytes(), "path": path.name}} for path in pictures]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    out = tmp_path / "run"
    words = ["harvest", str(base_path), str(tmp_path / "a.parquet"), "-o", str(out)]
    words += ["--prompt", "what ?", "--max-new-tokens", "4", "-n", "3", "--json"]
    assert cli.run_app(words) == 0, capsys.readouterr().err
    first = json.loads(capsys.readouterr().out)
    assert first["samples"]["matched"] == 3
    assert len(list((out / "data" / "pictures").iterdir())) == 3
    assert cli.run_app(words) == 0, "recognised"
    assert json.loads(capsys.readouterr().out)["fingerprint"] == first["fingerprint"]
