"""``shiftlens check``: exit codes, the table, JSON and JUnit."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from tests.unit.study.check.builders import row, write_run

from shiftlens.cli.main import run_app

_RULE = '[[rule]]\nname = "{name}"\nkind = "{kind}"\nmargin = {margin}\n'


def _policy(tmp_path: Path, *rules: str) -> str:
    path = tmp_path / "policy.toml"
    path.write_text("\n".join(rules), encoding="utf-8")
    return str(path)


def _rule(name: str, margin: float, kind: str = "answers") -> str:
    return _RULE.format(name=name, kind=kind, margin=margin)


PASSES, OPEN, FAILS = _rule("loose", 0.5), _rule("close", 0.1), _rule("strict", 0.02)


@pytest.fixture
def run(tmp_path: Path) -> str:
    """200 pictures, 16 changed answers."""
    rows = [row(i, tuned="a cat" if i < 16 else None) for i in range(200)]
    return str(write_run(tmp_path / "run", rows))


@pytest.mark.parametrize(
    ("rules", "code", "says"),
    [
        ([PASSES], 0, "the rule passes"),
        ([PASSES, _rule("looser", 0.6)], 0, "all 2 rules pass"),
        ([PASSES, OPEN], 4, "1 of 2 rules cannot be decided by these data: the most demanding"),
        ([PASSES, OPEN, FAILS], 1, "1 of 3 rules failed: strict; 1 undecided"),
        ([FAILS], 1, "the rule failed: strict"),
        ([OPEN], 4, "the rule cannot be decided by these data"),
    ],
)
def test_the_exit_code_is_the_verdict(
    tmp_path: Path,
    run: str,
    capsys: pytest.CaptureFixture[str],
    rules: list[str],
    code: int,
    says: str,
) -> None:
    arguments = ["check", run, "--policy", _policy(tmp_path, *rules)]
    assert run_app(arguments) == code
    shown = capsys.readouterr()
    assert says in " ".join(shown.out.split())
    assert run_app([*arguments, "--quiet"]) == code
    assert capsys.readouterr() == ("", "")


def test_the_table_names_models_data_and_numbers_in_eighty_columns(
    tmp_path: Path, run: str, capsys: pytest.CaptureFixture[str]
) -> None:
    long = _rule("a rule with a [bold]long[/bold] name that goes on and on and on and on", 0.05)
    concept = _rule("concepts", 0.5, "concept")
    assert run_app(["check", run, "-p", _policy(tmp_path, OPEN, long, concept)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    assert "tuned   models/places" in text
    assert "200 samples, 200 pictures, dddddddddddd" in text
    assert "3 rules, each at 95 %" in text
    assert "[bold]long[/bold]" in text
    assert "0.08 [0.05, 0.13]   < 0.1" in text
    close = next(line for line in lines if line.startswith("close"))
    assert close.split()[-2:] == ["undecided", "~870"]


def test_json_has_every_documented_key(
    tmp_path: Path, run: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["check", run, "--json", "--policy", _policy(tmp_path, "seed = 3", PASSES, OPEN)]
    assert run_app(arguments) == 4
    found = json.loads(capsys.readouterr().out)
    assert (found["schema"], found["kind"], found["exit_code"]) == (1, "check", 4)
    assert (found["verdict"], found["finished"]) == ("undecided", True)
    assert found["policy"]["seed"] == 3
    assert found["data"] == {"fingerprint": "d" * 64, "samples": 200, "pictures": 200}
    keys = {
        *("name", "kind", "estimate", "low", "high", "margin", "allowed", "verdict", "needs"),
        *("n", "pictures", "how", "note"),
    }
    assert all(set(rule) == keys for rule in found["rules"])
    text = (Path(__file__).parents[3] / "docs" / "formats" / "policy.md").read_text("utf-8")
    for key in {*keys, *found, *found["policy"], *found["data"]}:
        assert f"`{key}`" in text, key


def test_junit_shows_every_rule_as_a_test(tmp_path: Path, run: str) -> None:
    policy = _policy(tmp_path, PASSES, OPEN, _rule("a <strict> & \\u0001 rule", 0.02))
    out = tmp_path / "deep" / "check.xml"
    assert run_app(["check", run, "--policy", policy, "--junit", str(out), "--quiet"]) == 1
    suite = ElementTree.parse(out).getroot()[0]
    assert (suite.get("tests"), suite.get("failures")) == ("3", "2")
    cases = list(suite)
    assert [case.get("name") for case in cases] == ["loose", "close", "a <strict> & � rule"]
    failures = [case.find("failure") for case in cases]
    assert failures[0] is None
    assert [one.get("type") for one in failures[1:] if one is not None] == ["undecided", "fail"]
    assert failures[1] is not None
    assert "needs about 870 pictures" in str(failures[1].get("message"))


def test_a_diff_that_did_not_finish_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(tmp_path / "run", [row(i) for i in range(40)], document=False)
    assert run_app(["check", str(run), "--policy", _policy(tmp_path, PASSES)]) == 0
    assert "there are answers, but no concepts" in capsys.readouterr().out
    concept = _policy(tmp_path, _rule("concepts", 0.5, "concept"))
    assert run_app(["check", str(run), "--policy", concept]) == 2
    assert "its diff did not finish" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ("", "has no rules"),
        (_rule("a", 0.1, "magic"), "kinds: answers, concept"),
        (PASSES + 'where = { place = "beach" }', "no sample has the label 'place'"),
    ],
)
def test_a_bad_policy_is_the_user_s_to_mend(
    tmp_path: Path, run: str, capsys: pytest.CaptureFixture[str], rules: str, says: str
) -> None:
    assert run_app(["check", run, "--policy", _policy(tmp_path, rules)]) == 2
    said = capsys.readouterr()
    assert says in said.err
    assert said.out == ""


def test_a_bad_run_is_the_user_s_to_mend(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = _policy(tmp_path, PASSES)
    assert run_app(["check", str(tmp_path / "none"), "--policy", policy]) == 2
    assert "is not the directory of a diff" in capsys.readouterr().err
    assert run_app(["check", str(tmp_path)]) == 2
    assert "--policy" in capsys.readouterr().err
