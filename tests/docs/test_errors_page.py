"""docs/errors.md is true: every class and exit code stands there, every message is one of ours."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from shiftlens.core import errors
from shiftlens.core.errors import ShiftLensError
from shiftlens.models.model import Model

_ROOT = Path(__file__).parents[2]
_PAGE = (_ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
_GAP = "…"


def _rows(heading: str) -> list[list[str]]:
    """The rows of the table under a heading, without its head."""
    part = _PAGE.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line for line in part.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]
    return [row for row in cells if row[0].startswith("`") or row[0].isdigit()]


def _classes() -> list[type[ShiftLensError]]:
    found = [one for one in vars(errors).values() if isinstance(one, type)]
    return [one for one in found if issubclass(one, ShiftLensError) and one is not ShiftLensError]


def test_every_class_stands_there_with_its_builtin_and_its_exit_code() -> None:
    told = {row[0].strip("`"): (row[1].strip("`"), int(row[3])) for row in _rows("Classes")}
    real = {one.__name__: (one.__bases__[1].__name__, one.exit_code) for one in _classes()}
    assert told == real


def test_every_exit_code_stands_there() -> None:
    from shiftlens.cli import main

    told = {int(row[0]) for row in _rows("Exit codes")}
    named = {int(one) for one in re.findall(r"(?<=[:;] )(\d+)(?= )", main.__doc__ or "")}
    assert named == told == {0, 1, 2, 3, 4, 130}


def _templates() -> Iterator[str]:
    """Every text in the code, with a gap where a value is put in."""
    for path in sorted((_ROOT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
            elif isinstance(node, ast.JoinedStr):
                yield "".join(
                    str(part.value) if isinstance(part, ast.Constant) else _GAP
                    for part in node.values
                )


def is_said(message: str, templates: list[str]) -> bool:
    """Whether some text of the code can say a message, whatever stands in its gaps."""
    pieces = [re.escape(piece) for piece in message.split(_GAP)]
    wanted = re.compile(".*".join(pieces), re.DOTALL)
    return any(wanted.search(text) for text in templates)


_MESSAGES = re.findall(r"(?m)^\| `([^`]+)` \| [A-Z]", _PAGE.split("## The commonest messages")[1])


@pytest.fixture(scope="module")
def templates() -> list[str]:
    return list(_templates())


def test_every_message_is_one_that_the_code_says(templates: list[str]) -> None:
    assert len(_MESSAGES) > 20
    assert [one for one in _MESSAGES if not is_said(one, templates)] == []


def test_a_message_that_nobody_says_is_found(templates: list[str]) -> None:
    assert not is_said("none of … pictures is pretty", templates)
    assert not is_said("the disk is empty while writing …", templates)


def test_the_example_is_what_is_said(base: Model) -> None:
    shown = _PAGE.split("```text\n", 1)[1].split("```", 1)[0].strip()
    with pytest.raises(errors.SiteError) as raised:
        base.address.layer(40, "world:base")
    assert shown == f"SiteError: {raised.value}"
