"""``shiftlens learn``: a table over k, a rule, a page, concepts; and what it refuses."""

import json
import shlex
from pathlib import Path

import pytest
import torch
import typer
from tests.builders import build_store

from shiftlens.cli import main as cli
from shiftlens.cli.learner_options import known_learners, learner_with
from shiftlens.concepts.concepts import Concepts
from shiftlens.world.source import materialise


def _blobs(k: int, n: int = 120, d: int = 16) -> torch.Tensor:
    random = torch.Generator().manual_seed(0)
    centres = torch.randn(k, d, generator=random) * 4
    return centres[torch.arange(n) % k] + torch.randn(n, d, generator=random)


@pytest.fixture
def planted(tmp_path: Path) -> list[str]:
    """A store of four groups at layer 5, and noise at layer 3."""
    noise = torch.randn(120, 16, generator=torch.Generator().manual_seed(1))
    build_store(tmp_path / "s", {3: noise, 5: _blobs(4)})
    return ["learn", str(tmp_path / "s"), "-o", str(tmp_path / "c"), "--seeds", "2"]


@pytest.fixture(scope="module")
def harvested(base_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """States of the world's people."""
    folder = tmp_path_factory.mktemp("learn")
    data = materialise("people", folder / "data", n=24, seed=3).parent
    words = f"harvest {base_path} {data} -o {folder / 's'} --words person,man,woman --quiet"
    assert cli.run_app([*words.split(), "--max-new-tokens", "12"]) == 0
    return folder / "s"


def test_several_k_give_a_table_a_rule_and_the_chosen_concepts(
    planted: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run_app([*planted, "--k", "8,2,4,4", "--layer", "5"]) == 0
    said = capsys.readouterr().out
    lines = said.splitlines()
    ks = [line.split()[0] for line in lines if line[:2].strip().isdigit() and "[" in line]
    assert ks == ["2", "4", "8"]
    assert next(line for line in lines if line.lstrip().startswith("4 ")).endswith("chosen")
    assert "rule: Stable is a k" in said
    assert "chosen: 4 concepts" in said
    assert max(len(line) for line in lines if str(tmp_path) not in line) <= 80
    concepts = Concepts.load(tmp_path / "c" / "concepts")
    assert (concepts.k, concepts.site.layer, concepts.sizes) == (4, 5, (30, 30, 30, 30))
    choice = json.loads((tmp_path / "c" / "choice.json").read_text())
    assert choice["chosen"] == 4
    assert "How many concepts?" in (tmp_path / "c" / "choice.html").read_text()


def test_noise_chooses_nothing_and_says_so(
    planted: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run_app([*planted, "--k", "2,4", "--layer", "3"]) == 4
    said = capsys.readouterr().out
    assert "no k chosen: undecided" in said
    assert not (tmp_path / "c" / "concepts.json").exists()
    assert (tmp_path / "c" / "choice.html").exists()
    assert cli.run_app([*planted, "--k", "2,4", "--layer", "3", "--json"]) == 4
    document = json.loads(capsys.readouterr().out)
    assert document["concepts"] is None
    assert document["choice"]["chosen"] is None


def test_one_k_just_learns(
    planted: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run_app([*planted, "--k", "3", "--layer", "-1", "--set", "n_starts=2"]) == 0
    said = capsys.readouterr().out
    assert "3 concepts by kmeans after block 5, converged" in said
    assert "fewer than 10 states" not in said
    assert not (tmp_path / "c" / "choice.json").exists()
    concepts = Concepts.load(tmp_path / "c" / "concepts")
    assert (concepts.learner["k"], concepts.learner["n_starts"]) == (3, 2)
    assert cli.run_app([*planted, "--k", "3", "--layer", "5", "--quiet"]) == 0
    assert capsys.readouterr().out == ""


def test_one_k_that_is_too_large_is_told(
    planted: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run_app([*planted, "--k", "30", "--layer", "5"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "concepts have fewer than 10 states, and nobody judged" in said


def test_files_of_an_earlier_run_are_not_taken_for_this_one(
    planted: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run_app([*planted, "--k", "2,4", "--layer", "5"]) == 0
    assert "earlier run" not in capsys.readouterr().out
    assert cli.run_app([*planted, "--k", "3", "--layer", "5"]) == 0
    assert "choice.json in" in (said := " ".join(capsys.readouterr().out.split()))
    assert "is of an earlier run, not of these concepts" in said
    assert cli.run_app([*planted, "--k", "2,4", "--layer", "3"]) == 4
    assert "is of an earlier run: this one chose none" in " ".join(capsys.readouterr().out.split())


def test_the_next_command_can_be_run_as_it_is(
    planted: list[str], harvested: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It repeats the options without which the store or the learner would be another one."""

    def told() -> list[str]:
        lines = capsys.readouterr().out.splitlines()
        return shlex.split(next(one for one in lines if one.startswith("  next")))[2:]

    options = ["--learner", "sparse-coding", "--penalty", "2", "--set", "halved=true"]
    assert cli.run_app([*planted, "--k", "2,4", "--layer", "3", *options]) == 4
    again = told()
    assert cli.run_app([*again, "--quiet"]) == 0
    found = Concepts.load(tmp_path / "c" / "concepts")
    assert (found.k, found.site.layer, found.learner["name"]) == (2, 3, "sparse-coding")
    assert (found.learner["penalty"], found.learner["halved"]) == (2.0, True)
    assert cli.run_app(["learn", str(harvested), "--k", "2", "-o", str(tmp_path / "h")]) == 0
    assert cli.run_app([*told(), "--quiet"]) == 0
    assert len(Concepts.load(tmp_path / "h" / "concepts").words) == 2


def test_options_go_to_the_learner(
    planted: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["--layer", "5", "--learner", "sparse-coding", "--penalty", "2", "--space", "centred"]
    assert cli.run_app([*planted, "--k", "3", *more, "--json"]) == 0
    learner = json.loads(capsys.readouterr().out)["concepts"]["learner"]
    assert (learner["name"], learner["penalty"], learner["space"]) == (
        "sparse-coding",
        2.0,
        "centred",
    )


def test_a_dominant_dimension_is_said_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wide = torch.cat([_blobs(4, d=63), 900 * torch.randn(120, 1)], dim=1)
    build_store(tmp_path / "s", wide)
    words = ["learn", str(tmp_path / "s"), "-o", str(tmp_path / "c"), "--k", "4"]
    assert cli.run_app(words) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert said.count("dimension 63 carries") == 1
    assert "--space standard" in said
    assert cli.run_app([*words, "--space", "standard"]) == 0
    assert "carries" not in capsys.readouterr().out


def test_concepts_without_variance_are_said_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flat = torch.cat([torch.randn(60, 3), torch.zeros(60, 5)], dim=1)
    build_store(tmp_path / "s", flat)
    words = ["learn", str(tmp_path / "s"), "-o", str(tmp_path / "c"), "--learner", "pca"]
    assert cli.run_app([*words, "--k", "5"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert said.count("the states vary in 3 directions: concepts from 3 on") == 1
    assert cli.run_app([*words, "--k", "3"]) == 0  # twin
    assert "arbitrary" not in capsys.readouterr().out


def test_the_cost_is_said_and_nothing_is_done(
    planted: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dry = [*planted, "--k", "2,4,8", "--layer", "5", "--dry-run"]
    assert cli.run_app(dry) == 0
    assert "12 fits on 60 states each" in capsys.readouterr().out
    assert cli.run_app([*dry, "--json", "--most-rows", "50"]) == 0
    assert json.loads(capsys.readouterr().out)["rows_of_a_fit"] == 25
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--k", "5,x"], "no list of whole numbers"),
        (["--k", ""], "at least one concept"),
        (["--k", "0,5"], "at least one concept"),
        (["--k", "1,5"], "one concept tells nothing apart"),
        (["--k", "4,61"], "k = 61 with a half of 60 rows"),
        (["--k", "121"], "cannot learn 121 concepts from 120 rows"),
        (["--layer", "4"], "layer 4 is not in"),
        (["--layer", "-3"], "layer -3 is not in"),
        (["--learner", "kmean"], "there is no learner 'kmean'; there are"),
        (["--set", "n_start=2"], "kmeans has no option 'n_start'; it has n_starts"),
        (["--set", "k=2"], "no option 'k'"),
        (["--set", "n_starts=two"], "n_starts of kmeans is a whole number, not 'two'"),
        (["--set", "n_starts"], "no key=value"),
        (["--penalty", "2"], "--penalty: kmeans has no option 'penalty'"),
        (["--space", "wide"], "there is no space 'wide'"),
        (["--adapter", "places"], "an adapter is of a model"),
        (["--stop-words", "xx", "--model", "m"], "no file and no language"),
        (["--seeds", "1", "--k", "2,4"], "1 seeds do not tell"),
    ],
)
def test_mistakes_are_one_message(
    planted: list[str], more: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    named = [] if "--layer" in more else ["--layer", "5"]
    assert cli.run_app([*planted, *named, *more]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert message in said
    assert "Traceback" not in said


def test_a_store_of_several_layers_wants_one_named(
    planted: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run_app([*planted, "--k", "2"]) == 2
    assert "holds blocks 3, 5: name one of them" in (said := capsys.readouterr().err)
    assert "None" not in said
    assert cli.run_app(["learn", "nowhere", "--k", "2"]) == 2
    assert "nowhere" in capsys.readouterr().err


def test_with_the_model_concepts_have_words(
    harvested: Path, base_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["learn", str(harvested), "-o", str(tmp_path / "c"), "--model", str(base_path)]
    code = cli.run_app([*words, "--k", "2,3", "--seeds", "2", "--n-words", "4"])
    said = capsys.readouterr().out
    assert code in (0, 4)  # so few pictures may decide nothing
    assert "words shared" in said
    assert cli.run_app([*words, "--k", "2", "--n-words", "4", "--n-images", "3"]) == 0
    said = capsys.readouterr().out
    assert "words that it says more than the others do" in said
    concepts = Concepts.load(tmp_path / "c" / "concepts")
    assert [len(one) for one in concepts.words] == [4, 4]
    assert concepts.decoded_with
    assert all(1 <= len(one) <= 3 for one in concepts.images)


def test_another_model_s_head_is_refused(
    harvested: Path,
    base_path: Path,
    adapter_path: Path,
    tiny_path: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["learn", str(harvested), "-o", str(tmp_path / "c"), "--k", "2", "--model"]
    for other in ([str(tiny_path)], [str(base_path), "--adapter", str(adapter_path)]):
        assert cli.run_app([*words, *other]) == 2
        said = capsys.readouterr().err
        assert "MismatchError" in said
        assert "did not come from" in said
    assert not (tmp_path / "c").exists()


def test_every_learner_is_known_by_its_name() -> None:
    names = known_learners().names()
    assert {"kmeans", "pca", "semi-nmf", "sparse-coding", "random-samples"} <= set(names)
    for name in names:
        made = learner_with(name, 3, 7, {})
        assert (made.k, made.seed, made.name) == (3, 7, name)
    assert learner_with("kmeans", 3, 0, {"tol": 1}).options()["tol"] == 1.0
    with pytest.raises(typer.BadParameter, match="a number, not True"):
        learner_with("kmeans", 3, 0, {"tol": True})
