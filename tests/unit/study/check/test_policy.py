"""The policy file: every key is known and possible, or the reader hears which are."""

from pathlib import Path

import pytest
import yaml
from tests.layout.sources import ROOT
from tests.unit.study.check.builders import concept, row, run

from shiftlens.core.errors import DataError
from shiftlens.study.check.judging import check
from shiftlens.study.check.kinds.answers import AnswersRule
from shiftlens.study.check.policy import load_policy
from shiftlens.study.check.rules import RULES

_GOOD = """
title = "t"
simultaneous = true
draws = 500
[[rule]]
name = "answers"
kind = "answers"
margin = 0.05
where = { place = ["beach", "street"], n = 3 }
[[rule]]
name = "words"
kind = "words"
margin = 0.05
words = ["man"]
[[rule]]
name = "concept"
kind = "concept"
concept = 3
margin = 1
"""


def _write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "policy.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_good_file_becomes_its_rules(tmp_path: Path) -> None:
    policy = load_policy(_write(tmp_path, _GOOD))
    assert policy.head.simultaneous
    assert policy.rules[0] == AnswersRule(
        "answers", 0.05, where={"place": ["beach", "street"], "n": 3}
    )
    assert [rule.name for rule in policy.rules] == ["answers", "words", "concept"]
    assert policy.name == "policy.toml"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('title = "t"', 'titel = "t"', r"policy.toml has an unknown key 'titel'\n.*simultaneous"),
        ("simultaneous = true", "simultaneous = 1", "simultaneous = 1 is not of the right type"),
        ("draws = 500", "draws = 50", "draws = 50 is too few"),
        ("draws = 500", "seed = -1", "seed = -1 is below 0"),
        ('kind = "answers"\n', "", r"\[\[rule\]\] 1 has the kind None\n.*answers, concept, div"),
        ('kind = "words"', 'kind = "magic"', r"\[\[rule\]\] 2 has the kind 'magic'"),
        ('kind = "words"', "kind = [1]", r"has the kind \[1\]"),
        ('name = "answers"\n', "", r"\[\[rule\]\] 1 lacks the key 'name'"),
        ('name = "answers"', 'name = " "', "empty name"),
        ('name = "answers"', 'name = "words"', "the name 'words' to two rules"),
        ("margin = 0.05\nwhere", "where", "lacks the key 'margin'"),
        ("margin = 0.05\nwhere", "margin = 0\nwhere", "'answers' has the margin 0"),
        ("margin = 0.05\nwhere", "margin = nan\nwhere", "has the margin nan"),
        ("margin = 0.05\nwhere", "margin = 1.0\nwhere", "above 0 and below 1"),
        ("margin = 0.05\nwords", "margin = 1.5\nwords", "above 0 and below 1"),
        ("margin = 1\n", "margin = inf\n", "has the margin inf"),
        ("n = 3", "n = { a = 1 }", "where = .* is not of the right type"),
        ("where", "by = 'mood'\nwhere", r"by = 'mood'\n.*text, first_word, correct"),
        ("where", "quantile = 0.5\nwhere", "unknown key 'quantile'"),
        ('words = ["man"]', "words = []", r"has words = \[\]"),
        ('words = ["man"]', 'words = [""]', "none of them empty"),
        ('words = ["man"]', "", r"has words = \[\]"),
        ('words = ["man"]', 'words = ["a"]\nmode = "gap"', r"has against = \[\]"),
        ('words = ["man"]', 'words = ["a"]\nagainst = ["b"]', "only with mode gap"),
        ('words = ["man"]', 'words = ["a"]\nmode = "up"', "rate, swap, gap"),
        ('words = ["man"]', 'words = ["a"]\nat = "end"', "anywhere, start"),
        ('words = ["man"]', 'words = ["a"]\ndirection = "up"', "both, more, less"),
        (
            'words = ["man"]',
            'words=["a"]\nmode="swap"\ndirection="more"',
            "a swap has no direction",
        ),
        ("concept = 3", "concept = 3.5", "concept = 3.5 is not of the right type"),
        ("concept = 3", 'effect = "felt"', "moved, own"),
        ("concept = 3", 'prompt_contains = "a"', "a concept has its own samples"),
        ("[[rule]]", "[rules]", "policy.toml"),
        ("margin = 1\n", "margin = \n", "not valid TOML"),
    ],
)
def test_a_bad_file_says_where_and_what_is_allowed(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in _GOOD
    with pytest.raises(DataError, match=message):
        load_policy(_write(tmp_path, _GOOD.replace(old, new, 1)))


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("quantile = 1.0", "has quantile = 1.0"),
        ("largest = 0.0", "has largest = 0.0"),
        ("largest = inf", "has largest = inf"),
    ],
)
def test_an_impossible_divergence_is_refused(tmp_path: Path, rule: str, message: str) -> None:
    text = f'[[rule]]\nname = "d"\nkind = "divergence"\nmargin = 0.1\n{rule}\n'
    with pytest.raises(DataError, match=message):
        load_policy(_write(tmp_path, text))


@pytest.mark.parametrize("text", ["", 'title = "t"', "rule = []", "[rule]\nname = 'a'"])
def test_a_file_without_rules_holds_nothing_back(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError, match=r"has no rules\n.*\[\[rule\]\]"):
        load_policy(_write(tmp_path, text))


def test_a_rule_that_is_no_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="must be a table, not 3"):
        load_policy(_write(tmp_path, "rule = [3]"))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.toml does not exist"):
        load_policy(tmp_path / "none.toml")
    with pytest.raises(DataError, match="cannot be read"):
        load_policy(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b'title = "\xe9"')
    with pytest.raises(DataError, match="not valid TOML"):
        load_policy(tmp_path / "latin.toml")


def test_the_example_uses_every_kind_and_can_be_held_against_the_world_s_captions() -> None:
    policy = load_policy(ROOT / "examples" / "policy.toml")
    kinds = {name for name in RULES.names() for r in policy.rules if isinstance(r, RULES.get(name))}
    assert kinds == set(RULES.names())
    subjects = ("man", "woman", "dog")
    rows = [row(i, labels={"subject": subjects[i % 3]}) for i in range(600)]
    found = check(run(rows, [concept(0, ["dog"], 0.0)]), policy)
    assert found.exit_code == 0


def test_the_documented_keys_are_those_that_exist() -> None:
    from dataclasses import fields

    text = (ROOT / "docs" / "formats" / "policy.md").read_text(encoding="utf-8")
    for kind in RULES.names():
        assert f"`{kind}`" in text
        for entry in fields(RULES.get(kind)):
            assert f"`{entry.name}`" in text, entry.name


def _workflow() -> dict:
    text = (ROOT / "examples" / "github-actions-check.yml").read_text(encoding="utf-8")
    return yaml.safe_load(text)


def test_the_workflow_runs_our_commands_with_options_that_exist() -> None:
    from tests.layout.test_error_texts import _commands

    steps = _workflow()["jobs"]["check"]["steps"]
    script = "\n".join(step.get("run", "") for step in steps)
    assert "shiftlens diff" in script
    assert "shiftlens check runs/diff --policy" in script
    assert {"policy", "junit"} <= _commands()[("check",)]
    assert any("report.html" in step.get("with", {}).get("path", "") for step in steps)


@pytest.mark.parametrize(
    ("code", "leaves", "says"),
    [
        (0, 0, "Policy kept"),
        (1, 1, "a rule fails"),
        (4, 4, "too few to say that all pass"),
        (2, 2, "could not be used"),
    ],
)
def test_the_workflow_s_scripts_do_what_they_say(
    tmp_path: Path, code: int, leaves: int, says: str
) -> None:
    """Run as the service does (``bash -e``), with a ``shiftlens`` that leaves with each code."""
    import os
    import subprocess

    (tmp_path / "runs").mkdir()
    program = tmp_path / "shiftlens"
    program.write_text(f"#!/bin/sh\necho the table\nexit {code}\n")
    program.chmod(0o755)
    named = {step.get("name"): step.get("run") for step in _workflow()["jobs"]["check"]["steps"]}
    env = {
        **os.environ,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "POLICY": "policy.toml",
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
    }

    def bash(script: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-e", "-c", script], cwd=tmp_path, env={**env, **more},
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    checked = bash(named["Hold the comparison against the policy"])
    assert checked.returncode == 0
    assert "the table" in (tmp_path / "summary").read_text()
    assert (tmp_path / "output").read_text() == f"code={code}\n"
    decided = bash(named["Decide"], CODE=str(code))
    assert decided.returncode == leaves
    assert says in decided.stdout
