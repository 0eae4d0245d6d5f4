"""Every skip has a line with its reason in ``tests/SKIPPED.md``, and every line has its skip."""

import ast
import re
from pathlib import Path

from tests.layout.sources import TESTS, files, tree

_MARKS = {"skip", "skipif", "xfail"}
_CALLS = {"skip", "xfail", "importorskip"}


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Call):
        return _dotted(node.func)
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return getattr(node, "id", "")


def _skips(module: ast.Module, name: str) -> set[str]:
    """Keys of everything that a test file skips."""
    found: set[str] = set()

    def visit(node: ast.AST, key: str) -> None:
        for child in ast.iter_child_nodes(node):
            inner = key
            if isinstance(child, ast.FunctionDef | ast.ClassDef):
                inner = f"{key}::{child.name}"
            if isinstance(child, ast.Attribute):
                dotted = _dotted(child)
                mark, call = dotted.removeprefix("pytest.mark."), dotted.removeprefix("pytest.")
                if (mark != dotted and mark in _MARKS) or (call != dotted and call in _CALLS):
                    found.add(inner)
            visit(child, inner)

    visit(module, name)
    return found


def _lines(text: str) -> dict[str, str]:
    """Keys and reasons of the list."""
    return dict(re.findall(r"^- `(tests/[^`]+)`: (\S.*)$", text, re.MULTILINE))


def _found() -> set[str]:
    return {
        key
        for path in files(TESTS)
        for key in _skips(tree(path), path.relative_to(TESTS.parent).as_posix())
    }


def test_skips_and_their_list_agree() -> None:
    assert set(_lines((TESTS / "SKIPPED.md").read_text(encoding="utf-8"))) == _found()


def test_twin_skips_of_every_form_are_found() -> None:
    source = Path(__file__).with_name("skips.txt").read_text(encoding="utf-8")
    keys = _skips(ast.parse(source), "tests/t.py")
    names = ("::test_a", "::test_b", "::test_c", "::test_d", "::Test::test_e", "")
    assert keys == {f"tests/t.py{name}" for name in names}


def test_twin_a_line_without_a_reason_does_not_count() -> None:
    assert _lines("- `tests/a.py::test_a`: \n- `tests/b.py::test_b`: slow disk\n") == {
        "tests/b.py::test_b": "slow disk"
    }
