"""Data sets that ``save_to_disk`` wrote, and rows that Python already has."""

import json
import shutil
import sys
from pathlib import Path
from types import ModuleType

import datasets
import pandas
import pytest

from shiftlens.core.errors import DataError
from shiftlens.data.reading import read
from shiftlens.data.sample import Sample

_ROWS = [{"file": f"{i}.png", "question": f"q{i}", "kind": "ab"[i % 2]} for i in range(7)]
_NAMES = {"image": "file", "prompt": "question"}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    datasets.Dataset.from_list(_ROWS).save_to_disk(tmp_path / "saved", num_shards=2)
    return tmp_path / "saved"


def test_a_saved_data_set_is_a_table(saved: Path) -> None:
    samples = read(saved, columns=_NAMES)
    assert [s.prompt for s in samples] == [f"q{i}" for i in range(7)]
    assert [s.id for s in samples] == [str(i) for i in range(1, 8)], "over all of its files"
    assert samples[0].images == (str(saved.resolve() / "0.png"),)
    drawn = read(saved, columns=_NAMES, where={"kind": "a"}, limit=2, seed=3)
    assert list(drawn) == list(samples.where(lambda s: s.labels["kind"] == "a").take(2, seed=3))
    with pytest.raises(DataError, match=r"columns names q(?s:.)*file, question, kind"):
        read(saved, columns={"prompt": "q"})


def test_a_shuffled_one_is_read_in_its_order(tmp_path: Path) -> None:
    shuffled = datasets.Dataset.from_list(_ROWS).shuffle(seed=1)
    shuffled.save_to_disk(tmp_path / "s")
    assert [s.prompt for s in read(tmp_path / "s", columns=_NAMES)] == shuffled["question"][:]


def test_splits_keep_their_rows_apart(tmp_path: Path) -> None:
    both = {name: datasets.Dataset.from_list(_ROWS[:2]) for name in ("train", "test")}
    datasets.DatasetDict(**both).save_to_disk(tmp_path / "d")
    samples = read(tmp_path / "d", columns=_NAMES)
    assert [s.id for s in samples] == ["train/1", "train/2", "test/1", "test/2"]
    assert len(read(tmp_path / "d", columns=_NAMES, where={"split": "test"})) == 2
    given = read(datasets.DatasetDict(**both), columns=_NAMES)
    assert [(s.id, s.labels) for s in given] == [(s.id, s.labels) for s in samples]


def test_a_damaged_one_names_its_file(saved: Path, tmp_path: Path) -> None:
    state = json.loads((saved / "state.json").read_text())
    file = saved / state["_data_files"][1]["filename"]
    whole = file.read_bytes()
    for content in (b"", whole[: len(whole) // 2], b"x" * 64):
        file.write_bytes(content)
        with pytest.raises(DataError, match=rf"{file.name} is not an Arrow file"):
            read(saved, columns=_NAMES)
    file.unlink()
    with pytest.raises(DataError, match=rf"{file.name} is not an Arrow file"):
        read(saved, columns=_NAMES)
    state["_data_files"][0]["filename"] = "../../x.arrow"
    (saved / "state.json").write_text(json.dumps(state))
    with pytest.raises(DataError, match=r"state.json: '../../x.arrow' is no file of that"):
        read(saved, columns=_NAMES)
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "dataset_dict.json").write_text('{"splits": ["../saved"]}')
    with pytest.raises(DataError, match=r"'../saved' is no name of a split"):
        read(tmp_path / "d")
    shutil.rmtree(tmp_path / "d")


def test_rows_at_hand(tmp_path: Path) -> None:
    table = datasets.Dataset.from_list(_ROWS)
    for rows in (_ROWS, iter(_ROWS), (row for row in _ROWS), table):
        drawn = read(rows, columns=_NAMES, limit=3, seed=1)
        assert list(drawn) == list(read(_ROWS, columns=_NAMES).take(3, seed=1))
    path = str(tmp_path.resolve() / "a.png")
    mine = [Sample("x", "p", (path,), "r", {"k": 1}, "s", 5), Sample("y", "q")]
    assert list(read(mine)) == mine
    assert [s.id for s in read(mine, where={"k": 1})] == ["x"]
    with pytest.raises(DataError, match="row 2 is a int"):
        read([_ROWS[0], 3], columns=_NAMES)
    with pytest.raises(DataError, match="there are no rows"):
        read([])
    with pytest.raises(DataError, match="two samples have the id 'x': row 1 and row 2"):
        read([mine[0], mine[0]])


def test_opened_pictures_are_refused_by_name(pictures: list[Path]) -> None:
    from PIL import Image

    with Image.open(pictures[0]) as opened:
        rows = [{"image": opened, "prompt": "p"}]
        with pytest.raises(DataError, match="row 1: image is an opened picture"):
            read(rows)


def test_a_data_frame_is_told_how(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pandas.DataFrame({"prompt": ["p", "q"], "kind": [1, 2]})
    with pytest.raises(DataError, match=r"row 1 is a str\n(?s:.)*to_dict\(.records.\)"):
        read(frame)
    # A module of somebody's own that is called datasets is in nobody's way.
    monkeypatch.setitem(sys.modules, "datasets", ModuleType("datasets"))
    rows = frame.to_dict("records")
    assert [s.labels for s in read(rows, where={"kind": 2})] == [{"kind": 2}]
