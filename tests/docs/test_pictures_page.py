"""docs/pictures.md is true: its Python runs, its numbers are those of the code."""

import re
from pathlib import Path

import pytest
from PIL import Image

import shiftlens
from shiftlens.data.images import MAX_PIXELS
from shiftlens.data.remote import MAX_BYTES, SECONDS
from shiftlens.data.sample import Sample, Samples
from shiftlens.models.model import Model

_TEXT = (Path(__file__).parents[2] / "docs" / "pictures.md").read_text(encoding="utf-8")


def test_the_page_runs_as_it_stands(
    tiny: Model,
    questions: list[Sample],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    samples = Samples([*questions[:3], Sample("gone", "what ?", (str(tmp_path / "gone.png"),))])
    site = shiftlens.Site(0)
    space = {"shiftlens": shiftlens, "model": tiny, "samples": samples, "site": site}
    blocks = re.findall(r"(?ms)^```python\n(.*?)^```$", _TEXT)
    assert len(blocks) == 2
    for code in blocks:
        exec(compile(code, "docs/pictures.md", "exec"), space)
    store = space["store"]
    assert isinstance(store, shiftlens.ActivationStore)
    assert [one["id"] for one in store.quarantine] == ["gone"]
    said = capsys.readouterr().out.splitlines()
    assert len([line for line in said if line.startswith("q")]) == 3
    assert any("gone" in line and "does not exist" in line for line in said)


def test_its_numbers_are_those_of_the_code() -> None:
    assert f"{MAX_PIXELS:,} pixels ({MAX_PIXELS * 3 // 2**20 + 1} MiB in RGB" in _TEXT
    assert f"no more than {MAX_BYTES // 2**20} MiB and {SECONDS:g} seconds" in _TEXT
    assert Image.MAX_IMAGE_PIXELS == MAX_PIXELS, "the number from which Pillow warns"
