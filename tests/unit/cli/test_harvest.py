"""``shiftlens harvest``: what is kept, where, and the command that comes next."""

import json
import re
import shlex
from pathlib import Path

import pytest
import typer

from shiftlens.activations.store import ActivationStore
from shiftlens.cli import main as cli
from shiftlens.cli.token_choice import NAMES, token_choice
from shiftlens.world.source import materialise


@pytest.fixture(scope="module")
def asked(base_path: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A model and a few pictures."""
    data = materialise("people", tmp_path_factory.mktemp("harvest") / "data", n=12, seed=3).parent
    return ["harvest", str(base_path), str(data), "--max-new-tokens", "12"]


def test_states_of_a_word(
    asked: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "states"
    words = [*asked, "-o", str(out), "--words", "person, man,woman", "--layers", "2,-1"]
    assert cli.run_app(words) == 0
    said = capsys.readouterr().out
    store = ActivationStore.open(out)
    assert store.layers == (2, 5)
    assert store.site.tokens.describe()["words"] == ["person", "man", "woman"]
    assert re.search(rf"(?m)^states +{len(store)} +{store.counts['matched']} ", said)
    assert "states at “person” or “man” or “woman”, after blocks 2, 5" in said
    follow = next(line for line in said.splitlines() if line.startswith("  next"))
    assert shlex.split(follow)[1:4] == ["shiftlens", "learn", str(out)]
    assert "--layer 5" in follow
    most = max(map(int, shlex.split(follow)[shlex.split(follow).index("--k") + 1].split(",")))
    assert 2 * most <= len(store), "half of the states are kept to judge by"
    kept = [line for line in said.splitlines() if str(out) not in line]
    assert max(map(len, kept)) <= 80
    # A finished run is recognised; a different one is refused.
    assert cli.run_app([*words, "--quiet"]) == 0
    assert cli.run_app([*words, "--batch-size", "5"]) == 2
    assert "holds a store with another options.batch_size" in capsys.readouterr().err


def test_the_last_prompt_token_by_default_and_json(
    asked: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run_app([*asked, "-o", str(tmp_path / "s"), "--samples", "5", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["site"]["tokens"]["kind"] == "last prompt"
    assert document["samples"] == {"matched": 5, "missed": 0, "failed": 0}
    assert document["rows"] == 5
    assert document["bytes"] > 5 * 160 * 4
    assert document["fingerprint"] == ActivationStore.open(tmp_path / "s").fingerprint


def test_a_pair_gives_two_stores(
    asked: list[str], adapter_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*asked, "-o", str(tmp_path / "s"), "--tuned", str(adapter_path), "-n", "4"]
    assert cli.run_app([*words, "--response", "base", "--json"]) == 0
    stores = json.loads(capsys.readouterr().out)["stores"]
    assert [Path(one["store"]).name for one in stores] == ["base", "tuned"]
    assert stores[0]["adapter"] is None
    assert stores[1]["adapter"] is not None


def test_the_cost_is_said_and_nothing_is_done(
    asked: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dry = [*asked, "-o", str(tmp_path / "s"), "--dry-run", "--batch-size", "5", "--layers", "all"]
    assert cli.run_app([*dry, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "samples": 12,
        "answers": 12,
        "passes": 3 * 13,
        "rows": 12,
        "layers": 6,
        "bytes": 12 * 6 * 160 * 4,
    }
    assert cli.run_app([*dry, "--tokens", "image", "--dtype", "float16"]) == 0
    assert "at most 768 rows of states, 1.5 MB" in capsys.readouterr().out
    assert cli.run_app([*dry, "--tokens", "prompt"]) == 0
    assert "as many rows as there are tokens" in capsys.readouterr().out
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--words", "man", "--tokens", "image"], "give one of them"),
        (["--tokens", "sky"], "there are no tokens 'sky'; there are last-prompt"),
        (["--tokens", "mean-last-prompt"], "no tokens 'mean-last-prompt'"),
        (["--words", " , "], "names no word"),
        (["--every"], "only words have occurrences"),
        (["--alignment", "read"], "the last prompt token has no alignment"),
        (["--tokens", "image", "--alignment", "before"], "no alignment 'before'"),
        (["--layers", "0,x"], "no list of layers"),
        (["--layers", "6"], "layer 6"),
        (["--samples", "0"], "at least one sample"),
        (["--response", "theirs"], "no text 'theirs'"),
        (["--response", "base"], "name it"),
        (["--adapter", "a", "--tuned", "b"], "give one of them"),
        (["--words", "unicorn"], "commonest words said"),
    ],
)
def test_mistakes_are_one_message(
    asked: list[str],
    more: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.run_app([*asked, "-o", str(tmp_path / "s"), *more]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said


def test_every_name_of_tokens_is_a_selection() -> None:
    kinds = [found.kind for name in NAMES if (found := token_choice("", name, ""))]
    assert len(kinds) == len(NAMES)
    assert len(set(map(str, kinds))) >= len(NAMES) - 4  # text tokens of three parts share a class
    assert token_choice("", "", "") is None
    aligned = token_choice("", "mean-image", "predict")
    assert aligned is not None
    assert "predict" in json.dumps(aligned.describe())
    with pytest.raises(typer.BadParameter, match="no alignment"):
        token_choice("", "end-response", "read")


def test_shares_of_a_run_make_one_store(
    asked: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, words = tmp_path / "s", [*asked, "--samples", "5"]
    assert cli.run_app([*words, "-o", str(out), "--part", "2/2"]) == 0
    assert "share 2/2 is done" in (said := capsys.readouterr().out)
    assert "share 2/2 had nothing to do: 5 samples are 1 part(s) of 256" in said
    assert "--part-size 2, in all shares" in said
    assert "run the other shares" in said
    assert cli.run_app([*words, "-o", str(out), "--part", "1/2", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["complete"], document["parts"], document["rows"]) == (True, [1, 1], 5)
    assert cli.run_app([*words, "-o", str(tmp_path / "whole"), "--quiet"]) == 0
    whole = ActivationStore.open(tmp_path / "whole")
    assert document["fingerprint"] == whole.fingerprint


def test_smaller_parts_give_every_share_something(
    asked: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = [*asked, "--samples", "5", "--part-size", "2"]
    for part, done in (("3/3", 1), ("1/3", 2), ("2/3", 3)):
        assert cli.run_app([*small, "-o", str(tmp_path / "s"), "--part", part, "--json"]) == 0
        document = json.loads(capsys.readouterr().out)
        assert document["parts"] == [done, 3]
    assert cli.run_app([*small, "-o", str(tmp_path / "whole"), "--quiet"]) == 0
    assert document["fingerprint"] == ActivationStore.open(tmp_path / "whole").fingerprint
    assert cli.run_app([*small, "-o", str(tmp_path / "whole"), "--quiet"]) == 0, "recognised"
    assert cli.run_app([*asked, "--samples", "5", "-o", str(tmp_path / "s")]) == 2
    assert "another options.part_size" in capsys.readouterr().err
    assert cli.run_app([*small[:-1], "0", "-o", str(tmp_path / "n")]) == 2
    assert "at least one sample in a part" in capsys.readouterr().err


@pytest.mark.parametrize("part", ["0/2", "3/2", "2", "1/0", "a/b", "-1/2", "1/2/3", "1.0/2"])
def test_a_share_that_does_not_exist_is_a_mistake(
    asked: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], part: str
) -> None:
    assert cli.run_app([*asked, "-o", str(tmp_path / "s"), f"--part={part}"]) == 2
    assert "is not a share of a run: 1/8 to 8/8 are" in capsys.readouterr().err
    assert not (tmp_path / "s").exists()
