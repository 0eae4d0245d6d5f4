"""What the benchmark of the readers writes is what it says, and it reads what was written."""

from pathlib import Path

import pytest
from benchmarks.readers import running
from benchmarks.readers.inputs import write_features, write_long_line, write_table
from benchmarks.readers.reading import here

from shiftlens.data.reading import read


def test_a_long_line_is_refused_and_takes_no_room(tmp_path: Path) -> None:
    file = write_long_line(tmp_path / "line.jsonl", 300_000_000)
    assert file.stat().st_size > 300_000_000
    assert file.stat().st_blocks * 512 < 1_000_000
    assert "line 2 of line.jsonl is longer than" in here("line", file)["said"]


@pytest.mark.parametrize("way", ["first", "drawn"])
def test_of_a_table_so_many_rows_are_kept(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, rows = write_table(tmp_path / "table.jsonl", 20_000)
    assert 20_000 <= file.stat().st_size < 20_200
    wanted = read(file, where={"kind": "wanted"})
    assert (len(read(file)), len(wanted)) == (rows, rows // 10)
    monkeypatch.setattr("benchmarks.readers.reading.LIMIT", 5)
    found = here(way, file)
    assert (found["rows"], found["said"]) == (5, "")
    assert found["most_mb"] > 1


def test_every_state_of_a_features_file_is_imported(tmp_path: Path) -> None:
    file, rows = write_features(tmp_path / "features.pth", 2_200_000)
    assert here("features", file)["rows"] == rows == 128


def test_a_line_that_is_not_refused_is_an_error_and_no_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = {"said": "", "idle_mb": 1.0, "most_mb": 2.0, "seconds": 1.0}
    monkeypatch.setattr(running, "_apart", lambda *_: sound)
    with pytest.raises(RuntimeError, match="was not refused"):
        running._line(tmp_path, 1000)
