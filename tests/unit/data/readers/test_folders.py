"""Folders that are tables, the hub, and pictures that stand in a table."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from shiftlens.core.errors import DataError
from shiftlens.data.images import open_image
from shiftlens.data.reading import read


def _png(colour: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (3, 2), (colour, 0, 0)).save(stream, "PNG")
    return stream.getvalue()


def _rows(*numbers: int) -> list[dict[str, Any]]:
    """As ``push_to_hub`` writes them: a picture's bytes and the name that it once had."""
    return [
        {"image": {"bytes": _png(i), "path": f"../../{i}.png"}, "question": f"q{i}", "kind": i % 2}
        for i in numbers
    ]


def _shards(root: Path, *names: str, kind: str = "parquet") -> Path:
    for at, name in enumerate(names):
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        table = pa.Table.from_pylist(_rows(2 * at, 2 * at + 1))
        if kind == "parquet":
            pq.write_table(table, file)
        else:
            with pa.OSFile(str(file), "wb") as sink, _WRITERS[kind](sink, table.schema) as writer:
                writer.write_table(table)
    return root


_WRITERS: dict[str, Any] = {"stream": pa.ipc.new_stream, "file": pa.ipc.new_file}
_NAMES = {"prompt": "question"}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / ".datasets")


@pytest.mark.parametrize("kind", ["parquet", "stream", "file"])
def test_shards_are_one_table(tmp_path: Path, kind: str) -> None:
    suffix = "parquet" if kind == "parquet" else "arrow"
    names = [f"data/train-0000{i}-of-00003.{suffix}" for i in range(3)]
    root = _shards(tmp_path / "set", *names, kind=kind)
    (root / "README.md").write_text("# a card")
    out = tmp_path / "pictures"
    samples = read(root, columns=_NAMES, unpack=out)
    assert [s.id for s in samples] == [str(i) for i in range(1, 7)]
    assert [s.prompt for s in samples] == [f"q{i}" for i in range(6)]
    assert samples[5].labels == {"kind": 1}
    assert [open_image(s.images[0]).getpixel((0, 0)) for s in samples] == [
        (i, 0, 0) for i in range(6)
    ]
    assert {Path(s.images[0]).parent for s in samples} == {out.resolve()}
    again = read(root, columns=_NAMES, unpack=tmp_path / "elsewhere")
    assert again.fingerprint == samples.fingerprint, "wherever the pictures go"
    drawn = read(root, columns=_NAMES, unpack=tmp_path / "few", limit=2, seed=1)
    assert [s.id for s in drawn] == [s.id for s in samples.take(2, seed=1)]
    assert len(list((tmp_path / "few").iterdir())) == 2, "only what is kept is written"


def test_one_file_or_one_row_with_a_picture(tmp_path: Path) -> None:
    root = _shards(tmp_path, "a.parquet")
    with pytest.raises(DataError, match=r"row 1 of a.parquet: the picture stands in the table"):
        read(root / "a.parquet", columns=_NAMES)
    (sample, _) = read(root / "a.parquet", columns=_NAMES, unpack=tmp_path / "p")
    assert Path(sample.images[0]).suffix == ".png"
    before = Path(sample.images[0]).stat()
    Path(sample.images[0]).write_bytes(b"cut")
    read(root / "a.parquet", columns=_NAMES, unpack=tmp_path / "p")
    assert Path(sample.images[0]).stat().st_size == before.st_size, "a cut one is written anew"
    (found,) = read(_rows(7), columns=_NAMES, unpack=tmp_path / "p")
    assert open_image(found.images[0]).getpixel((0, 0)) == (7, 0, 0)
    several = [{"images": [row["image"] for row in _rows(1, 2)], "prompt": "p"}]
    assert len(read(several, unpack=tmp_path / "p")[0].images) == 2
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"file.p, which is no folder"):
        read(several, unpack=tmp_path / "file" / "p")


def test_splits_of_shards_keep_their_rows_apart(tmp_path: Path) -> None:
    names = ("data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet")
    root = _shards(tmp_path / "hub", *names)
    options: dict[str, Any] = {"columns": _NAMES, "unpack": tmp_path / "p"}
    assert [s.id for s in read(root, **options)] == ["test/1", "test/2", "train/1", "train/2"]
    only = read(root, **options, where={"split": "train"})
    assert [s.prompt for s in only] == ["q0", "q1"]
    for way in (("train/0000.parquet", "test/0000.parquet"), ("train.parquet", "test.parquet")):
        other = _shards(tmp_path / way[0].replace("/", "-"), *way)
        assert [s.id for s in read(other, **options)] == [s.id for s in read(root, **options)]
    cached = _shards(tmp_path / "c", "set-train.arrow", "set-test.arrow", kind="stream")
    (cached / "cache-0123.arrow").write_bytes(b"no table")
    (cached / ".cache").mkdir()
    (cached / ".cache" / "x.parquet").write_bytes(b"no table")
    assert len(read(cached, **options)) == 4


def test_files_that_do_not_belong_together_are_not_joined(tmp_path: Path) -> None:
    root = _shards(tmp_path / "set", "a.parquet")
    pq.write_table(pa.table({"answer": ["x"]}), root / "b.parquet")
    with pytest.raises(DataError, match=r"b.parquet has other columns than a.parquet") as caught:
        read(root, columns=_NAMES, unpack=tmp_path / "p")
    assert "image, kind, question" in str(caught.value)
    pq.write_table(pa.table([pa.array([1]), pa.array([2])], names=["x", "x"]), root / "b.parquet")
    with pytest.raises(DataError, match="two columns 'x'"):
        read(root / "b.parquet")


def test_pictures_are_not_unpacked_into_what_is_read(tmp_path: Path) -> None:
    """It would be a folder of pictures the next time."""
    root = _shards(tmp_path / "set", "a.parquet")
    with pytest.raises(DataError, match=r"row 1 of a.parquet: .*inside the folder that is read"):
        read(root, columns=_NAMES, unpack=root / "run" / "pictures")
    assert not (root / "run").exists()
    assert len(read(root, columns=_NAMES, unpack=tmp_path / "settings")) == 2


def test_pictures_come_before_shards(tmp_path: Path) -> None:
    root = _shards(tmp_path, "a.parquet")
    (root / "a.png").write_bytes(_png(1))
    assert [s.id for s in read(root, prompt="?")] == ["a.png"]


def _pictures(folder: Path, *names: str) -> Path:
    for at, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(_png(at))
    return folder


_META = [{"file_name": "in/a.png", "question": "one?"}, {"file_name": "b.png", "question": "two?"}]


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_pictures_with_metadata(tmp_path: Path, kind: str) -> None:
    _pictures(tmp_path, "in/a.png", "b.png", "unused.png")
    file = tmp_path / f"metadata.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(_META), file)
    elif kind == "jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in _META))
    else:
        file.write_text("file_name,question\nin/a.png,one?\nb.png,two?\n")
    samples = read(tmp_path, columns=_NAMES)
    assert [s.prompt for s in samples] == ["one?", "two?"]
    assert [Path(s.images[0]).relative_to(tmp_path.resolve()).as_posix() for s in samples] == [
        "in/a.png",
        "b.png",
    ]
    assert {str(s.labels["file_name"]) for s in samples} == {"in/a.png", "b.png"}
    named = read(tmp_path, columns={**_NAMES, "image": "file_name"})
    assert [(s.images, s.labels) for s in named] == [(s.images, {}) for s in samples]
    assert len(read(tmp_path, prompt="?", where={"file_name": "b.png"})) == 1


def test_datasets_reads_pictures_with_metadata_as_we_do(tmp_path: Path) -> None:
    _pictures(tmp_path, "in/a.png", "b.png", "unused.png")
    lines = "".join(json.dumps(row) + "\n" for row in _META)
    (tmp_path / "metadata.jsonl").write_text(lines)
    found = read(f"hf:{tmp_path}?split=train", columns=_NAMES)
    ours = read(tmp_path, columns=_NAMES)
    assert [(s.id, s.prompt, s.images) for s in found] == [(s.id, s.prompt, s.images) for s in ours]


def test_metadata_in_each_split(tmp_path: Path) -> None:
    for split in ("train", "test"):
        _pictures(tmp_path / split, "a.png")
        (tmp_path / split / "metadata.csv").write_text("file_name,prompt\na.png,p\n")
    samples = read(tmp_path)
    assert [s.id for s in samples] == ["test/1", "train/1"]
    assert samples[1].images == (str(tmp_path.resolve() / "train" / "a.png"),)
    assert [s.id for s in read(tmp_path, where={"split": "train"})] == ["train/1"]
    (tmp_path / "cards").mkdir()
    assert len(read(tmp_path)) == 2
    _pictures(tmp_path / "more", "in/b.png")
    with pytest.raises(DataError, match=r"test has metadata.csv, .*more has pictures and none"):
        read(tmp_path)


def test_metadata_that_names_no_picture_is_named(tmp_path: Path) -> None:
    _pictures(tmp_path, "a.png")
    file = tmp_path / "metadata.csv"
    file.write_text("picture,prompt\na.png,p\n")
    with pytest.raises(DataError, match=r"row 1 of metadata.csv .*has no file_name") as caught:
        read(tmp_path)
    assert "picture, prompt" in str(caught.value)
    assert len(read(tmp_path, columns={"image": "picture"})[0].images) == 1
    file.write_text("file_name,prompt\n../../etc/passwd,p\n")
    with pytest.raises(DataError, match="leads out of"):
        read(tmp_path)
    (tmp_path / "metadata.jsonl").write_text("")
    with pytest.raises(DataError, match=r"has metadata.jsonl and metadata.csv"):
        read(tmp_path)


def test_a_name_of_the_hub_goes_through_datasets(tmp_path: Path) -> None:
    """A folder stands in for the hub: the same call, without a network."""
    names = ("data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet")
    root = _shards(tmp_path / "set", *names)
    options: dict[str, Any] = {"columns": _NAMES, "unpack": tmp_path / "p"}
    samples = read(f"hf:{root}", **options)
    assert sorted(s.id for s in samples) == ["test/1", "test/2", "train/1", "train/2"]
    one = read(f"hf:{root}?split=test", **options)
    assert [(s.id, s.prompt) for s in one] == [("1", "q2"), ("2", "q3")]
    assert open_image(one[0].images[0]).getpixel((0, 0)) == (2, 0, 0)
    with pytest.raises(DataError, match=r"datasets cannot load .*set \(.*nosplit"):
        read(f"hf:{root}?split=nosplit", **options)
    with pytest.raises(DataError, match=r"says splitt\n  hf:owner/name\?config="):
        read(f"hf:{root}?splitt=test", **options)
    with pytest.raises(DataError, match="names no data set"):
        read("hf:")


def test_a_hub_that_cannot_be_reached_is_said_to_be_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match="datasets cannot load nobody/nothing") as caught:
        read("hf:nobody/nothing")
    assert "save_to_disk" in str(caught.value)
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match="the package datasets, which is not installed") as caught:
        read("hf:nobody/nothing")
    assert 'pip install "shiftlens[datasets]"' in str(caught.value)


def test_pictures_of_a_data_set_in_memory_are_not_decoded(tmp_path: Path) -> None:
    table = datasets.Dataset.from_list(_rows(1, 2, 3)).cast_column("image", datasets.Image())
    for given in (table, table.to_iterable_dataset(), datasets.DatasetDict({"a": table})):
        samples = read(given, columns=_NAMES, unpack=tmp_path / "p")
        assert [Path(s.images[0]).read_bytes() for s in samples] == [_png(i) for i in (1, 2, 3)]
    shuffled = table.shuffle(seed=1)
    assert [s.prompt for s in read(shuffled, columns=_NAMES, unpack=tmp_path / "p")] == list(
        shuffled["question"]
    )
    made = datasets.IterableDataset.from_generator(lambda: iter([{"prompt": "p"}]))
    assert [s.prompt for s in read(made)] == ["p"]
    table.save_to_disk(tmp_path / "saved")
    saved = read(tmp_path / "saved", columns=_NAMES, unpack=tmp_path / "p", limit=2, seed=0)
    assert len(saved) == 2
