"""CSV, TSV, Parquet and JSONL with columns of any name, and how they can be wrong."""

import json
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shiftlens.core.errors import DataError
from shiftlens.data.images import open_image
from shiftlens.data.readers.lines import lines_of
from shiftlens.data.reading import read
from shiftlens.data.sample import Samples

_NAMES = {"image": "file", "prompt": "question", "id": "key"}
_ROWS = [
    {"key": f"k{i}", "file": f"im/{i}.png", "question": f"q{i}, ä?", "kind": "ab"[i % 2]}
    for i in range(9)
]


def _write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def _table(folder: Path, kind: str) -> Path:
    path = folder / f"rows.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(_ROWS), path)
        return path
    if kind == "jsonl":
        return _write(path, "".join(json.dumps(row) + "\n" for row in _ROWS))
    mark = "," if kind == "csv" else "\t"
    lines = [list(_ROWS[0]), *(list(row.values()) for row in _ROWS)]
    return _write(path, "".join(mark.join(f'"{one}"' for one in row) + "\n" for row in lines))


@pytest.mark.parametrize("kind", ["csv", "tsv", "parquet", "jsonl"])
def test_every_kind_of_table_gives_the_same_samples(tmp_path: Path, kind: str) -> None:
    path = _table(tmp_path, kind)
    samples = read(path, columns=_NAMES)
    assert [s.id for s in samples] == [f"k{i}" for i in range(9)]
    assert (samples[1].prompt, samples[1].labels) == ("q1, ä?", {"kind": "b"})
    assert samples[1].images == (str(tmp_path.resolve() / "im" / "1.png"),)
    assert samples[0].response is None
    some = read(path, columns=_NAMES, where={"kind": "b"}, limit=3)
    assert [s.id for s in some] == ["k1", "k3", "k5"], "what where leaves out is not counted"
    both = read(path, columns=_NAMES, where={"kind": ["a", "b"], "key": ("k2", "k3")})
    assert [s.id for s in both] == ["k2", "k3"]
    for seed in range(4):
        drawn = read(path, columns=_NAMES, limit=4, seed=seed)
        assert list(drawn) == list(samples.take(4, seed=seed))
    assert read(path, columns=_NAMES, prompt="{question} Now.")[0].prompt == "q0, ä? Now."
    with pytest.raises(DataError, match=r"columns names fiel.*rows(?s:.)*key, file, question"):
        read(path, columns={**_NAMES, "image": "fiel"})
    with pytest.raises(DataError, match=r"where names knid.*rows(?s:.)*question, kind"):
        read(path, columns=_NAMES, where={"knid": "a"})
    with pytest.raises(DataError, match=r"no row of rows.* is what where asks for"):
        read(path, columns=_NAMES, where={"kind": "c"})


def test_a_csv_of_a_spreadsheet(tmp_path: Path) -> None:
    """A byte order mark, CRLF, a line end within quotes, empty cells and an unnamed index."""
    text = (
        "\ufeff,image,prompt,response,max_new_tokens,images_left\r\n"
        '0,a.png,"two\r\nlines",,5,x\r\n\r\n1,,p,said,,\r\n'
    )
    samples = read(_write(tmp_path / "a.csv", text))
    assert [s.id for s in samples] == ["1", "2"], "rows are numbered, lines are not"
    assert samples[0].prompt == "two\r\nlines"
    assert (samples[0].response, samples[0].max_new_tokens) == (None, 5)
    assert samples[0].labels == {"images_left": "x"}
    assert (samples[1].images, samples[1].response) == ((), "said")


def test_parquet_has_lists_and_moments_and_no_bytes(tmp_path: Path) -> None:
    import datetime

    row: dict[str, Any] = {
        "images": ["a.png", "b.png"],
        "prompt": "p",
        "day": datetime.date(2020, 1, 2),
        "count": 3,
        "raw": b"x",
    }
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "a.parquet")
    sample = read(tmp_path / "a.parquet", where={"count": 3})[0]
    assert [Path(ref).name for ref in sample.images] == ["a.png", "b.png"]
    assert sample.labels == {"day": "2020-01-02", "count": 3}
    _write(tmp_path / "c.parquet", "no table")
    with pytest.raises(DataError, match=r"c.parquet is not a Parquet file"):
        read(tmp_path / "c.parquet")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prompt,a\nx\n", r"row 1 of a.csv .* has 1 cells\n.*prompt, a"),
        ("prompt,prompt\nx,y\n", "a.csv has two columns 'prompt'"),
        ('prompt\n"open\n', "a.csv: unexpected end of data"),
        ("prompt\n" + "x" * 200_000 + "\n", "line 2 of a.csv: field larger than"),
        ("a,b\n1,2\n", r"row 1 of a.csv .*has no prompt\n.*a, b\n.*columns=\{"),
        ("prompt\n\n", "a.csv holds no samples"),
        ("", "a.csv holds no samples"),
        ("prompt\nfine\n\xe4\n".encode("latin-1"), "line 3 of a.csv is not UTF-8"),
        ("id,prompt\na,p\nb,p\na,q\n", r"'a': row 1 of a.csv .*and row 3 of a.csv"),
        ("prompt,max_new_tokens\np,five\n", "max_new_tokens: 'five' is not JSON"),
        ("prompt,labels\np,[1]\n", "labels must be an object"),
        ("prompt,images\np,[1]\n", "images a list of paths"),
        ("prompt,image\np,../../etc/passwd\n", r"'../../etc/passwd' leads out of"),
        ("prompt,image\np,a/../../b.png\n", r"'a/../../b.png' leads out of"),
        ("prompt,image\np,a\0b\n", r"'a.x00b', which is no path"),
    ],
)
def test_a_bad_table_is_named(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(_write(tmp_path / "a.csv", text))


def test_paths_that_stay_inside_are_fine(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    path = _write(tmp_path / "a.csv", "prompt,image\np,a/../b.png\np,/far/c.png\n")
    assert [s.images[0] for s in read(path)] == [str(tmp_path.resolve() / "b.png"), "/far/c.png"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [({"picture": "file"}, "no place for picture"), ({"id": "a", "prompt": "a"}, "'a' twice")],
)
def test_a_mapping_of_nothing_is_refused(
    tmp_path: Path, columns: dict[str, str], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read(_table(tmp_path, "csv"), columns=columns)
    with pytest.raises(DataError, match="where names no value of kind"):
        read(_table(tmp_path, "csv"), columns=_NAMES, where={"kind": []})


def test_jsonl_is_strict_until_columns_are_named(tmp_path: Path) -> None:
    text = '\ufeff{"q": "one", "x": 1, "labels": {"y": 2}}\r\n\r\n{"q": "two", "x": true}\r\n'
    path = _write(tmp_path / "a.jsonl", text)
    with pytest.raises(DataError, match=r"line 1 of a.jsonl has unknown keys: q, x"):
        read(path)
    samples = read(path, columns={"prompt": "q"})
    assert [(s.id, s.labels) for s in samples] == [("1", {"x": 1, "y": 2}), ("3", {"x": True})]
    assert [s.id for s in read(path, columns={"prompt": "q"}, where={"x": True})] == ["3"]
    assert [s.id for s in read(path, columns={"prompt": "q"}, where={"y": "2"})] == ["1"]


def test_a_line_without_end_is_refused_before_it_is_held(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.jsonl", b"{}\n" + b"x" * 50)
    assert [number for number, _ in lines_of(path, longest=50)] == [1, 2]
    with pytest.raises(DataError, match=r"line 2 of a.jsonl is longer than 49 bytes"):
        list(lines_of(path, longest=49))
    with pytest.raises(DataError, match="cannot be read"):
        list(lines_of(tmp_path))


def test_links_that_run_in_circles_are_survived(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "self.png").symlink_to(tmp_path / "self.png")
    assert [s.id for s in read(tmp_path, prompt="?")] == ["a.png"]
    with pytest.raises(DataError, match="does not exist"):
        read(tmp_path / "self.png", prompt="?")
    path = _write(tmp_path / "b.csv", "prompt,image\np,self.png\n")
    (sample,) = read(path)
    with pytest.raises(DataError, match=r"self.png"):  # where a harvest sets it aside
        open_image(sample.images[0])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"prompt": "p", "prompt": "q"}', "the key 'prompt' stands twice"),
        ('[{"prompt": "p"},', "without a list around them"),
        ('{"prompt": "half \\ud800"}', r"line 1 of a.jsonl: the prompt .*no text that UTF-8"),
        ('{"prompt": "p", "id": "\\udc00"}', "the id .*no text that UTF-8"),
        ('{"prompt": "p", "id": [1]}', r"id is \[1\]"),
        ('{"prompt": "p", "id": true}', "id is True"),
        ('{"prompt": "p", "image": ""}', "the path of a picture is empty"),
        ('{"prompt": "p", "image": "a\\u0000b"}', "'a.x00b', which is no path"),
        ('{"prompt": "p", "images": [null]}', "images a list of paths"),
        ('{"prompt": "p", "images": [{"bytes": null, "path": null}]}', "neither bytes nor a path"),
        ('{"prompt": "p", "image": "a", "images": ["b"]}', "has image and images"),
    ],
)
def test_a_bad_row_of_jsonl_is_named(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(_write(tmp_path / "a.jsonl", row + "\n"))


def test_what_is_null_is_as_good_as_absent(tmp_path: Path) -> None:
    keys = ("id", "image", "images", "response", "labels", "system", "max_new_tokens")
    given = {**dict.fromkeys(keys), "prompt": "p"}
    path = _write(tmp_path / "a.jsonl", json.dumps(given) + "\n" + json.dumps({"prompt": "p"}))
    first, second = read(path)
    assert (first.id, second.id) == ("1", "2")
    assert replace(first, id="2") == second


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image;prompt\na;b\n", r"a.csv seems to be separated by semicolons: .*'image;prompt'"),
        ("image\tprompt\na\tb\n", r"separated by tabs(?s:.)*rename it to .tsv"),
        ("image,prompt\ra,b\r", "lines end in a lone carriage return"),
        ("image,prompt\na,b\n".encode("utf-16"), "not UTF-8 text but UTF-16"),
    ],
)
def test_what_spreadsheets_write_is_said(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(_write(tmp_path / "a.csv", text))
    assert [s.prompt for s in read(_write(tmp_path / "b.csv", "prompt\na;b\n"))] == ["a;b"]


def test_two_columns_of_pictures_need_a_choice(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.csv", 'prompt,image,images\np,a.png,"[""b.png""]"\n')
    with pytest.raises(DataError, match="has image and images"):
        read(path)
    assert Path(read(path, columns={"images": "images"})[0].images[0]).name == "b.png"
    sample = read(path, columns={"image": "image"})[0]
    assert (Path(sample.images[0]).name, sample.labels) == ("a.png", {"images": '["b.png"]'})
    with pytest.raises(DataError, match="columns names image and images"):
        read(path, columns={"image": "images", "images": "image"})


def test_an_address_is_left_as_it_is(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.csv", "prompt,image\np,https://x.org/a/../../b.png\n")
    (sample,) = read(path)
    assert sample.images == ("https://x.org/a/../../b.png",)
    other = replace(sample, images=("https://x.org/c.png",))
    assert Samples([sample]).fingerprint != Samples([other]).fingerprint


def test_a_condition_that_nothing_fulfils_shows_a_row(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.csv", "prompt,x\na,1.0\n")
    with pytest.raises(DataError, match=r"no row of a.csv is .*\n  its first row has x '1.0'"):
        read(path, where={"x": 1})


def test_memory_is_flat_in_the_rows(tmp_path: Path) -> None:
    """10 of 800 rows of 50,000 letters: a list of them would hold 40 MB."""
    row = json.dumps({"prompt": "p" * 50_000, "labels": {"x": 1}}) + "\n"
    path = _write(tmp_path / "a.jsonl", row * 800)
    tracemalloc.start()
    try:
        assert len(read(path, limit=10, seed=1, where={"x": 1})) == 10
        highest = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert highest < 4e6
