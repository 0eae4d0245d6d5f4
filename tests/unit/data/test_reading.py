"""``read``: folders and JSONL files, and every way in which they can be wrong."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from shiftlens.core.errors import DataError
from shiftlens.data.reading import read


def _jsonl(tmp_path: Path, *rows: Any) -> Path:
    path = tmp_path / "data.jsonl"
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_folder_is_read_in_a_stable_order(tmp_path: Path) -> None:
    for name in ("b.png", "a.JPG", "deep/er/c.webp", "note.txt", "d.jsonl"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    samples = read(tmp_path, prompt="what ?")
    assert [s.id for s in samples] == ["a.JPG", "b.png", str(Path("deep/er/c.webp"))]
    assert all(Path(s.images[0]).is_absolute() for s in samples)
    assert {s.prompt for s in samples} == {"what ?"}
    assert samples.root == tmp_path.resolve()
    assert len(read(tmp_path, prompt="what ?", limit=2)) == 2


def test_a_folder_asks_for_a_prompt(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no samples"):
        read(tmp_path)
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(DataError, match="without questions") as caught:
        read(tmp_path)
    assert "read(path, prompt=" in str(caught.value)


@pytest.mark.parametrize("name", ["nothing here", "note.txt"])
def test_an_empty_folder_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(DataError, match="holds no samples") as caught:
        read(tmp_path, prompt="what ?")
    assert ".png" in str(caught.value)


def test_a_row_becomes_a_sample(tmp_path: Path) -> None:
    path = _jsonl(
        tmp_path,
        {"image": "a.png", "prompt": "p"},
        "",
        {
            "id": 7,
            "images": ["a.png", "../b.png"],
            "prompt": "ä",
            "response": "r",
            "labels": {"x": 1},
        },
        {"prompt": "no picture"},
    )
    samples = read(path)
    assert [s.id for s in samples] == ["1", "7", "4"], "by default the number of the line"
    assert samples[0].images == (str(tmp_path.resolve() / "a.png"),)
    assert samples[1].images[1] == str(tmp_path.resolve().parent / "b.png")
    assert (samples[1].prompt, samples[1].response, samples[1].labels) == ("ä", "r", {"x": 1})
    assert samples[2].images == ()
    assert {s.prompt for s in read(path, prompt="other")} == {"other"}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"prompt": ', "is not JSON"),
        ("[1, 2]", "is not a JSON object"),
        ({"prompt": "p", "imgae": "a.png"}, "has unknown keys: imgae"),
        ({"image": "a.png"}, "has no prompt"),
        ({"prompt": 3}, "has no prompt"),
        ({"prompt": "p", "image": 3}, "image must be a path"),
        ({"prompt": "p", "images": "a.png"}, "images a list of paths"),
        ({"prompt": "p", "labels": [1]}, "labels must be an object"),
        ({"prompt": "p", "response": 1}, "response a text"),
    ],
)
def test_a_malformed_row_is_named_by_its_line(tmp_path: Path, row: Any, message: str) -> None:
    path = _jsonl(tmp_path, {"prompt": "fine"}, "", row)
    with pytest.raises(DataError, match=rf"line 3 of data.jsonl:? {message}|line 3.*{message}"):
        read(path)


def test_two_rows_of_one_id_are_refused(tmp_path: Path) -> None:
    path = _jsonl(tmp_path, {"id": "a", "prompt": "p"}, {"id": "a", "prompt": "q"})
    with pytest.raises(DataError, match="two samples have the id 'a'"):
        read(path)


def test_a_separator_of_unicode_is_no_end_of_a_line(tmp_path: Path) -> None:
    """JSON may hold U+2028 and U+0085 unescaped inside a text."""
    path = tmp_path / "data.jsonl"
    rows = [{"prompt": "one\u2028two\x85three"}, {"prompt": "last"}]
    text = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_text(text, encoding="utf-8")
    assert [s.prompt for s in read(path)] == ["one\u2028two\x85three", "last"]


def test_other_sources_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        read(tmp_path / "nowhere")
    other = tmp_path / "data.xlsx"
    other.write_text("a,b")
    with pytest.raises(DataError, match="not something that can be read"):
        read(other)
    latin = tmp_path / "latin.jsonl"
    latin.write_bytes('{"prompt": "ä"}'.encode("latin-1"))
    with pytest.raises(DataError, match="not UTF-8"):
        read(latin)
    with pytest.raises(DataError, match="limit 0"):
        read(_jsonl(tmp_path, {"prompt": "p"}), limit=0)
    with pytest.raises(DataError, match="holds no samples"):
        read(_jsonl(tmp_path, ""))
    with pytest.raises(DataError, match="is no table"):
        read(other.parent / "data.xlsx", columns={"image": "file"})


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", "'' does not exist"),
        ("a" * 5000, "cannot be looked up"),
        ("a\0b", "does not exist|cannot be looked up"),
        ("https://x.org/a.jsonl", "does not exist on this machine(?s:.)*fetch it first"),
        (b"bytes", "a bytes is not something that can be read"),
    ],
)
def test_what_is_no_source_is_said(source: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(source, prompt="?")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limit": True}, "limit is True"),
        ({"seed": False, "limit": 1}, "seed is False"),
        ({"columns": {"file": "image"}}, "no place for file(?s:.)*our name comes first"),
    ],
)
def test_settings_of_the_wrong_kind_are_refused(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read(_jsonl(tmp_path, {"prompt": "p"}), **options)


def test_names_that_no_text_can_hold_are_refused(tmp_path: Path) -> None:
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/b\xe4.png")).write_bytes(b"")
    except OSError:  # a file system that takes UTF-8 only has no such names
        return
    with pytest.raises(DataError, match=r"b.*udce4.png.* is no text that UTF-8(?s:.)*rename"):
        read(tmp_path, prompt="?")


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    with pytest.raises(DataError, match="neither a file nor a folder"):
        read(tmp_path / "pipe.jsonl")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(DataError, match="holds no samples"):
        read(tmp_path, prompt="?")
    samples = read(_jsonl(tmp_path, {"image": "pipe.png", "prompt": "p"}))
    assert len(samples.fingerprint) == 64


def test_a_folder_of_tables_alone_names_them(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("prompt\np\n")
    with pytest.raises(DataError, match=r"holds no samples\n.*there is a.csv: read one file"):
        read(tmp_path, prompt="?")


def test_a_model_given_as_data_is_told(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(DataError, match="holds no samples") as caught:
        read(tmp_path, prompt="What?")
    assert "name the model first" in caught.value.remedy
