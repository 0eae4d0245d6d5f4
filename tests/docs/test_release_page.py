"""docs/release.md is true: what the wheel holds, which extras there are, one version everywhere."""

import fnmatch
import re
import tomllib
from pathlib import Path

import pytest

from shiftlens import __version__

_ROOT = Path(__file__).parents[2]
_PAGE = (_ROOT / "docs" / "release.md").read_text(encoding="utf-8")
_PROJECT = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))
_INNER = {"dev", "bench", "docs"}
"""Extras for those who work on the package."""


def left_behind(files: list[str], packaged: dict[str, list[str]]) -> list[str]:
    """Files that are no Python and that no pattern of the package data takes into the wheel."""
    taken = [
        f"{package.replace('.', '/')}/{pattern.replace('**/', '')}"  # here a star passes folders
        for package, patterns in packaged.items()
        for pattern in patterns
    ]
    return [one for one in files if not any(fnmatch.fnmatch(one, pattern) for pattern in taken)]


def test_every_file_of_the_package_goes_into_the_wheel() -> None:
    source = _ROOT / "src"
    files = [
        path.relative_to(source).as_posix()
        for path in (source / "shiftlens").rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    ]
    assert len(files) > 20
    assert left_behind(files, _PROJECT["tool"]["setuptools"]["package-data"]) == []


def test_a_file_that_is_left_behind_is_found() -> None:
    assert left_behind(["a/b.css", "a/c.js"], {"a": ["*.css"]}) == ["a/c.js"]


def test_one_version_stands_everywhere() -> None:
    citation = (_ROOT / "CITATION.cff").read_text(encoding="utf-8")
    cited = re.search(r"(?m)^version: \"?([\d.]+)", citation)
    assert cited is not None
    assert _PROJECT["project"]["version"] == __version__ == cited[1]
    assert f"shiftlens-{__version__}-py3-none-any.whl" in _PAGE


def test_every_extra_is_told_of() -> None:
    extras = set(_PROJECT["project"]["optional-dependencies"]) - _INNER
    assert set(re.findall(r"(?m)^\| `(\w+)` \| ", _PAGE)) == extras


@pytest.mark.parametrize("page", ["docs/release.md", "docs/index.md", "README.md"])
def test_torch_is_named_with_the_version_that_was_tested(page: str) -> None:
    tested = (_ROOT / "constraints.txt").read_text(encoding="utf-8")
    named = re.search(r"torch==[\d.]+", (_ROOT / page).read_text(encoding="utf-8"))
    assert named is not None
    assert re.search(rf"(?m)^{re.escape(named[0])}$", tested)
