"""docs/plots.md is true: its Python runs in the order of the page, and every kind is told of."""

import re
from pathlib import Path

import pytest
from tests.drawn import small_search, small_shift, small_trajectory

from shiftlens.shift.plots.kinds import KINDS

_PAGE = (Path(__file__).parents[2] / "docs" / "plots.md").read_text(encoding="utf-8")


def test_the_page_runs_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from shiftlens.world.source import materialise

    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo/words/person").mkdir(parents=True)
    small_shift().save("demo/words/person/shift")
    materialise("people", Path("demo/data/people"), n=2, seed=0)
    (tmp_path / "runs/t").mkdir(parents=True)
    small_trajectory().save("runs/t/trajectory.json")
    small_search(gate="probe").save("runs/search")
    names: dict[str, object] = {}
    for code in re.findall(r"```python\n(.*?)```", _PAGE, re.DOTALL):
        exec(compile(code, "docs/plots.md", "exec"), names)
    assert Path("recovery.png").stat().st_size > 10_000
    assert capsys.readouterr().out.startswith("ConceptShift(3 concepts, after block 2, ")


def test_every_kind_is_told_of() -> None:
    assert tuple(re.findall(r"(?m)^\| `(\w+)` \| ", _PAGE)) == KINDS
