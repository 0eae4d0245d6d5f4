"""The documents are true: links lead somewhere, commands exist, the example runs."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from shiftlens.cli.main import app
from shiftlens.data.sample import Samples

_ROOT = Path(__file__).parents[2]
_PAGES = sorted([*_ROOT.glob("*.md"), *(_ROOT / "docs").rglob("*.md")])
_LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    targets = [link for link in _LINK.findall(text) if "://" not in link]
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert not missing


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.name)
def test_every_command_exists(page: Path) -> None:
    from typer.main import get_command

    known = set(get_command(app).commands)  # pyright: ignore[reportAttributeAccessIssue]
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r"(?m)^(?:\$ )?shiftlens ([a-z]+)|`shiftlens ([a-z]+)", text))
    assert {one or other for one, other in named} <= known


def _block_below(marker: str) -> str:
    lines = (_ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    start = lines.index(marker) + 1
    assert lines[start].startswith("```")
    return "\n".join(lines[start + 1 : lines.index("```", start + 1)])


@pytest.mark.parametrize("name", ["demo", "test"])
def test_the_two_commands_are_one_line_each_and_are_targets(name: str) -> None:
    assert _block_below(f"<!-- {name} -->") == f"make {name}"
    assert re.search(rf"(?m)^{name}:", (_ROOT / "Makefile").read_text(encoding="utf-8"))


def test_the_readme_s_python_runs(
    tmp_path: Path,
    base_path: Path,
    adapter_path: Path,
    samples: Samples,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As written, with the reader's own model, adapter and pictures in place."""
    text = (_ROOT / "README.md").read_text(encoding="utf-8")
    code = text.split("```python\n", 1)[1].split("```", 1)[0]
    monkeypatch.chdir(tmp_path)
    Path("path/to").mkdir(parents=True)
    shutil.copytree(base_path, "path/to/model")
    shutil.copytree(adapter_path, "path/to/adapter")
    Path("photos").mkdir()
    for number, sample in enumerate(samples):
        shutil.copy(sample.images[0], f"photos/{number:03}.png")
    shutil.copy(samples[0].images[0], "photos/one.png")
    # A real reader has more dogs than a test has time for.
    exec(compile(code.replace("KMeans(k=12)", "KMeans(k=2)"), "README.md", "exec"), {})
    assert "tokens in 1 of 1 samples" in capsys.readouterr().out
    assert Path("runs/dog/report.html").stat().st_size > 10_000


@pytest.fixture
def samples(tmp_path: Path) -> Samples:
    from shiftlens.data.reading import read
    from shiftlens.world.source import materialise

    return read(materialise("dog", tmp_path / "dogs", n=60, seed=3))


@pytest.mark.parametrize("example", sorted((_ROOT / "examples").glob("*.py")), ids=lambda p: p.name)
def test_every_example_runs(example: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, example],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=250,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip()
