"""What an error tells the user to run, or to import, exists."""

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import pytest
from tests.layout.sources import ROOT, SOURCE, files, texts, tree

# After these words "shiftlens" is the name of the program in a sentence, not a command.
_PROSE = r"(?<!of )(?<!that )(?<!needs )"
_COMMAND = re.compile(_PROSE + r"(?<![\w.'])shiftlens ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?")
_OPTION = re.compile(r"(?<![\w-])--([a-z][a-z-]*)")
_OF_OTHERS = re.compile(r"\b(?:ray|pip) [a-z]+(?: --[a-z-]+)+")
_MAKE = re.compile(r"(?:^|[:;,] |run |`)make ([a-z][a-z-]*)$")
_DOTTED = re.compile(r"(?<![\w/])shiftlens((?:\.[a-zA-Z_]+)+)")
_EXTRA = re.compile(r"shiftlens\[([a-z]+)\]")


@cache
def _commands() -> dict[tuple[str, ...], set[str]]:
    """Every command with the options that it takes."""
    from typer.main import get_command

    from shiftlens.cli.main import app

    found: dict[tuple[str, ...], set[str]] = {}

    def collect(command: Any, path: tuple[str, ...]) -> None:
        options = {one for param in command.params for one in getattr(param, "opts", ())}
        found[path] = {one.removeprefix("--") for one in options}
        for name, inner in getattr(command, "commands", {}).items():
            collect(inner, (*path, name))

    collect(get_command(app), ())
    return found


def _errors(module: ast.AST) -> Iterator[str]:
    """Texts of every error that a file makes."""
    for node in ast.walk(module):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if name.endswith("Error"):
                for part in (*node.args, *(one.value for one in node.keywords)):
                    yield from texts(part)


def _missing(text: str) -> list[str]:
    """What a text names and is not there."""
    return [*_missing_commands(text), *_missing_options(text), *_missing_places(text)]


def _missing_commands(text: str) -> list[str]:
    wrong: list[str] = []
    for verb, inner in _COMMAND.findall(text):
        nested = any(path[0] == verb and len(path) > 1 for path in _commands() if path)
        if (verb,) not in _commands() or (nested and inner and (verb, inner) not in _commands()):
            wrong.append(f"shiftlens {verb} {inner}".strip())
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    return wrong + [f"make {one}" for one in _MAKE.findall(text) if one not in targets]


def _missing_options(text: str) -> list[str]:
    known = {option for options in _commands().values() for option in options} | {"help"}
    ours = _OF_OTHERS.sub("", text)
    return [f"--{one}" for one in _OPTION.findall(ours) if one not in known]


def _missing_places(text: str) -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wrong = [f"shiftlens[{one}]" for one in _EXTRA.findall(text) if one not in extras]
    for dotted in _DOTTED.findall(text):
        if not _resolves("shiftlens" + dotted):
            wrong.append("shiftlens" + dotted)
    return wrong


def _resolves(name: str) -> bool:
    """Whether a dotted name leads somewhere: through modules, then through attributes."""
    found: Any = import_module("shiftlens")
    for part in name.split(".")[1:]:
        inner = f"{getattr(found, '__name__', '')}.{part}"
        if hasattr(found, part):
            found = getattr(found, part)
        elif hasattr(found, "__path__") and find_spec(inner) is not None:
            found = import_module(inner)
        else:
            return False
    return True


def test_errors_name_only_what_exists() -> None:
    wrong = {
        f"{path.relative_to(SOURCE)}: {text}": missing
        for path in files()
        for text in _errors(tree(path))
        if (missing := _missing(text))
    }
    assert wrong == {}


def test_examples_of_commands_are_commands() -> None:
    """``Example: shiftlens ...`` in the help of every command."""
    seen = 0
    for path in files(SOURCE / "cli"):
        for node in ast.walk(tree(path)):
            doc = ast.get_docstring(node) if isinstance(node, ast.FunctionDef) else None
            for line in re.findall(r"Example: (.*)", doc or ""):
                seen += 1
                assert line.startswith("shiftlens "), line
                assert _missing_commands(line) + _missing_options(line) == [], line
    assert seen >= 3


@pytest.mark.parametrize(
    "text",
    [
        "see every address: shiftlens doctr llava",
        "run shiftlens world trane",
        "pass --promt",
        "train it: make wrold",
        "make one: shiftlens.harvesting(...)",
        "needs a row in shiftlens.models.adress: please report it",
        "pip install 'shiftlens[pefft]'",
    ],
)
def test_twin_a_name_that_does_not_exist_is_found(text: str) -> None:
    assert len(_missing(text)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "this is a fault of shiftlens or of the machine",
        "train it: make world",
        "make one: shiftlens.harvest(...)",
        "run shiftlens world train --scale 0.01",
        "see: shiftlens --help",
    ],
)
def test_names_that_exist_are_not_reported(text: str) -> None:
    assert _missing(text) == []


def test_errors_are_one_sentence_without_a_full_stop() -> None:
    """What was given, what is allowed, what to do next: three parts, no full stop, no capital."""
    wrong = [
        f"{path.relative_to(SOURCE)}: {text}"
        for path in files()
        for text in _errors(tree(path))
        if text.endswith(".") and not text.endswith("...")
    ]
    assert wrong == []
