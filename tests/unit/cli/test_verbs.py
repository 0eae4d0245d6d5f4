"""Every verb, taken from the program itself: help, ``--quiet``, ``--json``, usage errors, width."""

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command

from shiftlens.cli.help_pages import in_a_line, laid_out
from shiftlens.cli.main import app, run_app

_WIDTH = 80


def _walk(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    below = getattr(command, "commands", None)
    if below is None:
        yield path, command
    for name, one in (below or {}).items():
        yield from _walk(one, (*path, name))


_VERBS = dict(_walk(get_command(app)))
_GROUPS = sorted({path[:-1] for path in _VERBS})


def _help(path: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> str:
    assert run_app([*path, "--help"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    return said.out


def _options(command: Any) -> dict[str, Any]:
    return {name: one for one in command.params for name in getattr(one, "opts", ())}


@pytest.mark.parametrize("path", _VERBS, ids=" ".join)
def test_help_fits_and_its_example_can_be_pasted(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    text = _help(path, capsys)
    assert max(map(len, text.splitlines())) <= _WIDTH
    assert "\x1b" not in text
    pasted = text.partition("Example:\n")[2].partition("\n\n")[0].replace("\\\n", "")
    told = re.search(r"Example: ([^\n]*(?:\n\s*\S[^\n]*)*)", _VERBS[path].callback.__doc__)
    assert told is not None
    assert shlex.split(pasted) == shlex.split(told[1])
    assert shlex.split(pasted)[: len(path) + 1] == ["shiftlens", *path]


@pytest.mark.parametrize("path", _VERBS, ids=" ".join)
def test_flags_show_no_type_and_lists_that_of_each(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert not re.search(r"<bool>|--\S+ <list", _help(path, capsys))


@pytest.mark.parametrize("path", _VERBS, ids=" ".join)
def test_quiet_and_json_mean_the_same_everywhere(path: tuple[str, ...]) -> None:
    options = _options(_VERBS[path])
    for name in ("--quiet", "--json"):
        assert name in options, f"{' '.join(path)} has no {name}"
        assert options[name].is_flag
    assert options["--quiet"].help == "Print errors only."


@pytest.mark.parametrize("path", _VERBS, ids=" ".join)
def test_a_usage_error_leads_to_the_verb_s_own_help(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_app([*path, "--nonsense"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    first, last = said.err.splitlines()[0], said.err.splitlines()[-1]
    assert first.startswith("usage: no such option: --nonsense")
    assert last == f"  see: shiftlens {' '.join(path)} --help"


@pytest.mark.parametrize("path", _GROUPS, ids=lambda path: " ".join(("shiftlens", *path)))
def test_the_list_of_verbs_is_short_complete_and_no_error(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    text = _help(path, capsys)
    assert max(map(len, text.splitlines())) <= _WIDTH
    for verb in {one[len(path)] for one in _VERBS if one[: len(path)] == path}:
        assert re.search(rf"(?m)^  {verb} +\S", text)
    assert run_app(list(path)) == 2
    said = capsys.readouterr()
    assert (said.out.strip(), said.err) == (text.strip(), "")


def test_verbs_that_belong_together_stand_together(capsys: pytest.CaptureFixture[str]) -> None:
    text = _help((), capsys)
    heads = ["Begin:", "States and concepts:", "What fine-tuning did:", "Steering:", "Looking:"]
    places = [text.index(head) for head in heads]
    assert places == sorted(places)
    assert places[1] < text.index("  harvest ") < text.index("  learn ") < places[2]


def test_a_verb_that_does_not_exist_leads_to_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(["lern"]) == 2
    assert capsys.readouterr().err == (
        "usage: no such command 'lern'. Did you mean 'learn'?\n  see: shiftlens --help\n"
    )


def test_the_line_of_a_verb_ends_with_its_first_clause() -> None:
    assert in_a_line("Learn concepts; with several k, choose.\n\nMore.") == "Learn concepts"
    assert in_a_line("Say so.") == "Say so"
    long = f"Say {'much ' * 12}of it, and of that"
    assert in_a_line(long) == long.rpartition(", ")[0]


def test_a_long_example_is_broken_before_options_alone() -> None:
    told = 'Example: shiftlens x "a - b" ' + " ".join(f"--option-{i} some-value" for i in range(6))
    lines = laid_out(f"Text.\n\n{told}").splitlines()
    assert lines[:5] == ["Text.", "", "\b", "Example:", lines[4]]
    assert all(line.strip().startswith("--option") for line in lines[5:])
    assert all(line.endswith(" \\") for line in lines[4:-1])
    assert max(map(len, lines)) <= 78
