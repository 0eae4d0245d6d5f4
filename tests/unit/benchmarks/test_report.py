"""The benchmark of the report runs on small pictures, and every picture is one of its own."""

from pathlib import Path

import pytest
from benchmarks import report


def test_every_place_has_a_picture_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(report, "EDGE", 16)
    monkeypatch.setattr(report, "K", 4)
    changes = report._document(tmp_path)["toi"]["person"]["changes"]
    paths = [one["path"] for c in changes for one in (*c["images_base"], *c["images_tuned"])]
    assert len(paths) == len(set(paths)) == 4 * 2 * report.EACH
    assert len({(tmp_path / path).read_bytes() for path in paths}) == len(paths)


@pytest.mark.slow
@pytest.mark.browser
def test_its_figures_are_all_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "EDGE", 32)
    monkeypatch.setattr(report, "K", 4)
    monkeypatch.setenv("SHIFTLENS_BENCH_SHORT", "1")
    figures = {one.name: one for one in report.measure()}
    assert set(figures) == {"report built", "report", "first paint"}
    assert all(one.value > 0 for one in figures.values())
