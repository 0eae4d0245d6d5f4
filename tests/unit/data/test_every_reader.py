"""What every reader keeps to: one fingerprint for one content, and choices that agree."""

import csv
import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.unit.data.layout_files import captions, genome, pope, safety, vqav2, write_lines

from shiftlens.core.errors import DataError
from shiftlens.data.reading import read
from shiftlens.data.sample import Samples

_ROWS = [
    {"image": f"in/{i}.png", "question": f"what {i}, ä?", "kind": "ab"[i % 2]} for i in range(5)
]


def _pictures(root: Path) -> Path:
    for row in _ROWS:
        (root / row["image"]).parent.mkdir(parents=True, exist_ok=True)
        (root / row["image"]).write_bytes(row["image"].encode())
    return root


def _separated(mark: str) -> str:
    text = io.StringIO()
    lines = [list(_ROWS[0]), *(list(row.values()) for row in _ROWS)]
    csv.writer(text, delimiter=mark).writerows(lines)
    return text.getvalue()


def _csv(root: Path) -> Path:
    (root / "a.csv").write_text(_separated(","), encoding="utf-8")
    return _pictures(root) / "a.csv"


def _tsv(root: Path) -> Path:
    (root / "a.tsv").write_text(_separated("\t"), encoding="utf-8")
    return _pictures(root) / "a.tsv"


def _jsonl(root: Path) -> Path:
    return write_lines(_pictures(root) / "a.jsonl", list(_ROWS))


def _parquet(root: Path) -> Path:
    pq.write_table(pa.Table.from_pylist(_ROWS), root / "a.parquet")
    return _pictures(root) / "a.parquet"


def _arrow(root: Path) -> Path:
    table = pa.Table.from_pylist(_ROWS)
    with (
        pa.OSFile(str(root / "a.arrow"), "wb") as sink,
        pa.ipc.new_stream(sink, table.schema) as to,
    ):
        to.write_table(table)
    return _pictures(root) / "a.arrow"


def _shards(root: Path) -> Path:
    """Pictures stand in the table: those of a folder would make it a folder of pictures."""
    for at in range(2):
        rows = [
            {**row, "image": {"bytes": row["image"].encode(), "path": row["image"]}}
            for row in _ROWS[at::2]
        ]
        pq.write_table(pa.Table.from_pylist(rows), root / f"train-0000{at}-of-00002.parquet")
    return root


def _saved(root: Path) -> Path:
    datasets.Dataset.from_list(_ROWS).save_to_disk(root)
    return _pictures(root)


def _metadata(root: Path) -> Path:
    rows = [{"file_name": row["image"], **row} for row in _ROWS]
    for row in rows:
        del row["image"]
    write_lines(root / "metadata.jsonl", rows)
    return _pictures(root)


_COLUMNS = {"prompt": "question"}
_TABLES: dict[str, Callable[[Path], Path]] = {
    made.__name__.strip("_"): made
    for made in (_csv, _tsv, _jsonl, _parquet, _arrow, _shards, _saved, _metadata)
}
_OTHERS: dict[str, Callable[[Path], Path]] = {
    "pictures": _pictures,
    "captions": captions,
    "genome": genome,
    "pope": pope,
    "safety": safety,
    "vqav2": vqav2,
}
_EVERY = {**_TABLES, **_OTHERS}


def _read(name: str, path: Path, **more: Any) -> Samples:
    if name in _TABLES:
        whole = path if path.is_dir() else path.parent
        return read(path, columns=_COLUMNS, unpack=whole.parent / "unpacked", **more)
    return read(path, prompt="{question}", **more)


@pytest.fixture(params=sorted(_EVERY))
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def source(name: str, tmp_path: Path) -> Path:
    root = tmp_path / "first" / "set"
    root.mkdir(parents=True)
    return _EVERY[name](root)


def test_a_moved_and_touched_copy_is_the_same(name: str, source: Path, tmp_path: Path) -> None:
    whole = _read(name, source)
    root = tmp_path / "first" / "set"
    moved = tmp_path / "second" / "set"
    # Written in the other order, so that the disk lists it otherwise, and at another time.
    for file in sorted((one for one in root.rglob("*") if one.is_file()), reverse=True):
        to = moved / file.relative_to(root)
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, to)
        os.utime(to, (1, 1))
    again = _read(name, moved / source.relative_to(root))
    assert again.fingerprint == whole.fingerprint
    assert [s.id for s in again] == [s.id for s in whole]
    assert list(_read(name, source)) == list(whole)


def test_twin_a_replaced_picture_is_another_content(name: str, source: Path) -> None:
    samples = _read(name, source)
    before = samples.fingerprint
    picture = next(Path(s.images[0]) for s in samples if Path(s.images[0]).is_file())
    picture.write_bytes(b"x" * picture.stat().st_size)
    assert Samples(list(samples)).fingerprint != before


def test_choices_agree_with_the_whole(name: str, source: Path) -> None:
    whole = _read(name, source)
    assert list(_read(name, source, limit=2)) == list(whole.take(2))
    for seed in range(3):
        assert list(_read(name, source, limit=2, seed=seed)) == list(whole.take(2, seed=seed))
    assert list(_read(name, source, limit=99, seed=0)) == list(whole)
    if name in _TABLES:
        kept = whole.where(lambda s: s.labels["kind"] == "b")
        assert len(kept) == 2
        assert list(_read(name, source, where={"kind": "b"})) == list(kept)
        assert list(_read(name, source, where={"kind": "b"}, limit=1)) == list(kept.take(1))
    elif name != "pictures":
        kept = whole.where(lambda s: s.id == whole[1].id)
        assert list(_read(name, source, where={"id": whole[1].id})) == list(kept)


def test_every_id_is_its_own_and_every_label_json(name: str, source: Path) -> None:
    whole = _read(name, source)
    assert len({s.id for s in whole}) == len(whole) > 0
    assert all(json.loads(json.dumps(dict(s.labels))) == s.labels for s in whole)
    assert all(Path(ref).is_absolute() for s in whole for ref in s.images)


@pytest.mark.parametrize("name", sorted(_TABLES), indirect=True)
def test_two_rows_of_one_id_are_both_named(name: str, source: Path) -> None:
    with pytest.raises(
        DataError, match=r"two samples have the id 'a': (row|line) 1 .* and \w+ [23]"
    ):
        _read_ids(source)


def _read_ids(source: Path) -> Samples:
    whole = source if source.is_dir() else source.parent
    named = {"prompt": "question", "id": "kind"}
    return read(source, columns=named, unpack=whole.parent / "unpacked")
