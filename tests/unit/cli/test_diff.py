"""``shiftlens diff``: options become settings, what was done is read back, the page fits."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rich.text import Text
from tests.unit.reporting.diff_builders import build_diff, without_margin

from shiftlens.cli.diff_inputs import cost, placebo_paths, samples_of
from shiftlens.cli.diff_page import page_lines
from shiftlens.cli.main import run_app
from shiftlens.core.errors import DataError
from shiftlens.core.manifest import read_json, write_json
from shiftlens.study.diff.describing import without_pictures
from shiftlens.study.diff.settings import DiffSettings

_HOSTILE = "[bold red]x[/] \x1b[2J\u202e </script> \N{CJK UNIFIED IDEOGRAPH-732B}"


@dataclass
class Calls:
    """What the command asked for."""

    loaded: list[Any]
    run: list[Any]
    document: dict[str, Any]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with two pictures and their questions."""
    document = build_diff(tmp_path / "pictures")
    folder = tmp_path / "asked"
    folder.mkdir()
    names = [one["image"] for one in document["answers"]["examples"][:2]]
    rows = [{"id": f"q{i}", "image": str(tmp_path / "pictures" / name), "prompt": "What?"}
            for i, name in enumerate(names)]  # fmt: skip
    (folder / "data.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return folder


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Calls:
    """No model is loaded and nothing is computed; what would be is written down."""
    found = Calls([], [], build_diff(tmp_path / "pictures"))

    def load(base: str, tuned: list[str], **options: Any) -> tuple[str, ...]:
        found.loaded.append((base, tuned, options))
        return (base, *tuned)

    @dataclass
    class Done:
        document: dict[str, Any]

    def run(base: str, tuned: str, samples: Any, out: Path, **options: Any) -> Done:
        found.run.append((base, tuned, len(samples), options))
        (out / "answers").mkdir(parents=True, exist_ok=True)
        shown = options["settings"].images
        document = found.document if shown else without_pictures(found.document)
        write_json(out / "diff.json", document)
        return Done(read_json(out / "diff.json"))

    monkeypatch.setattr("shiftlens.models.variants.load_variants", load)
    monkeypatch.setattr("shiftlens.study.diff.running.diff", run)
    return found


def _adapters(root: Path, n: int) -> Path:
    for number in range(n):
        (root / f"placebo-{number}").mkdir(parents=True)
        (root / f"placebo-{number}" / "adapter_config.json").write_text("{}")
    return root


def test_every_option_reaches_what_it_is_about(
    tmp_path: Path, data: Path, calls: Calls, capsys: pytest.CaptureFixture[str]
) -> None:
    options = (
        "--words man,woman --layer -2 --k 7 --topic beach,,sand --stop-words a,the --seed 3 "
        "--draws 40 --max-new-tokens 9 --batch-size 5 --device cpu --dtype float32 "
        "--allow dtype --margin 0.4 --prompt Well?"
    )
    out = str(tmp_path / "run")
    assert run_app(["diff", "b", "t", str(data), "-o", out, *options.split()]) == 0
    assert calls.loaded == [
        ("b", ["t"], {"labels": ["tuned"], "device": "cpu", "dtype": "float32",
                      "allow": ["dtype"]})
    ]  # fmt: skip
    (run,) = calls.run
    assert run[:3] == ("b", "t", 2)
    assert run[3]["settings"] == DiffSettings(
        words=("man", "woman"), layer=-2, k=7, margin=0.4, topic=("beach", "sand"),
        stop_words=("a", "the"), draws=40, max_new_tokens=9, batch_size=5, seed=3,
    )  # fmt: skip
    assert "What changed from base to places" in capsys.readouterr().out
    assert (tmp_path / "run" / "report.html").stat().st_size > 10_000


def test_placebos_are_loaded_beside_the_pair(tmp_path: Path, data: Path, calls: Calls) -> None:
    folder = _adapters(tmp_path / "placebos", 11)
    arguments = ["diff", "b", "t", str(data), "-o", str(tmp_path / "run"), "--quiet"]
    assert run_app([*arguments, "--placebo", str(folder)]) == 0
    (_, tuned, options), *_ = calls.loaded
    assert tuned == ["t", *(str(folder / f"placebo-{n}") for n in range(11))], "10 after 9"
    assert options["labels"] == ["tuned", *(f"placebo-{n}" for n in range(11))]
    assert calls.run[0][3]["placebos"] == tuple(tuned[1:])


def test_a_finished_run_is_read_back_and_another_one_is_not(
    tmp_path: Path, data: Path, calls: Calls, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["diff", "b", "t", str(data), "-o", str(tmp_path / "run")]
    assert run_app(arguments) == 0
    assert "used again" not in capsys.readouterr().out
    (tmp_path / "run" / "report.html").unlink()
    assert run_app(arguments) == 0
    assert "read back: this was run here before" in capsys.readouterr().out
    assert len(calls.run) == 1
    assert (tmp_path / "run" / "report.html").exists()
    assert run_app([*arguments, "--margin", "0.5"]) == 0
    assert "answers and states that lay here were used again" in capsys.readouterr().out
    assert len(calls.run) == 2
    document = tmp_path / "run" / "diff.json"
    document.write_text(document.read_text() + "\n", encoding="utf-8")  # somebody changed it
    assert run_app([*arguments, "--margin", "0.5", "--quiet"]) == 0
    assert len(calls.run) == 3
    first = json.loads((data / "data.jsonl").read_text(encoding="utf-8").splitlines()[0])["image"]
    Path(first).write_bytes(Path(first).read_bytes() + b" ")  # another picture under the name
    assert run_app([*arguments, "--margin", "0.5", "--quiet"]) == 0
    assert len(calls.run) == 4


def test_without_images_no_path_is_left(
    tmp_path: Path, data: Path, calls: Calls, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert run_app(["diff", "b", "t", str(data), "-o", str(out), "--no-images", "--json"]) == 0
    for text in (
        (out / "diff.json").read_text("utf-8"),
        (out / "report.html").read_text("utf-8"),
        printed := capsys.readouterr().out,
    ):
        assert str(tmp_path) not in text
        assert '"pictures/' not in text
        assert "data:image/" not in text
    assert json.loads(printed) == read_json(out / "diff.json")
    assert json.loads(printed)["data"]["quarantine"] == [{"id": "lost", "reason": None}]
    # Its twin: with pictures there are paths.
    assert run_app(["diff", "b", "t", str(data), "-o", str(out), "--quiet"]) == 0
    assert len(calls.run) == 2
    assert '"pictures/' in (out / "diff.json").read_text("utf-8")


def test_only_paths_are_taken_out(tmp_path: Path) -> None:
    document = build_diff(tmp_path)
    bare = without_pictures(document)
    assert bare["concepts"][0]["images_base"][0]["id"] == "b-" + str(
        document["concepts"][0]["images_base"][0]["path"]
    )
    assert bare["where"] == document["where"], "a reason that is not about a sample stays"
    assert bare["answers"]["changed"] == document["answers"]["changed"]


def test_a_dry_run_loads_and_writes_nothing(
    tmp_path: Path, data: Path, calls: Calls, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    arguments = ["diff", "world:base", "t", str(data), "-o", str(out), "--dry-run"]
    assert run_app(arguments) == 0
    said = capsys.readouterr().out
    assert "2 samples of 2 pictures" in said
    assert "6 rows of states or so, of up to 6 layers" in said
    assert run_app([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["answers"] == 4
    assert run_app(["diff", "b", "t", "world:captions", "-o", str(out), "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "1500 samples" in said
    assert "the model is not here" in said
    assert run_app(["diff", "b", "t", "world:captons", "-o", str(out), "--dry-run"]) == 2
    assert calls.loaded == calls.run == []
    assert not out.exists()


def test_placebos_cost_rows() -> None:
    few, many = (cost("nowhere", 100, 90, n, DiffSettings()) for n in (0, 5))
    assert (few["rows"], many["rows"]) == (300, 800)
    assert few["bytes"] is None


def test_dry_runs_need_no_torch(data: Path) -> None:
    code = (
        "import sys\nfrom shiftlens.cli.main import run_app\n"
        f"assert run_app(['diff', 'world:base', 'world:places', {str(data)!r}, '--dry-run']) == 0\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (["--margin", "0.4", "--placebo", "x"], "give one of them"),
        (["--margin", "-1"], "the margin -1.0 is not possible"),
        (["--draws", "3"], "draws = 3"),
        (["--k", "1"], "k = 1"),
        (["--placebo", "one"], "1 placebos do not tell how far placebos scatter"),
        (["--placebo", "a", "--placebo", "b", "--placebo", "a"], "the placebo a is named twice"),
        (["--n", "0"], "limit 0 leaves nothing"),
    ],
)
def test_bad_options_stop_before_anything_is_loaded(
    tmp_path: Path,
    data: Path,
    calls: Calls,
    extra: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_app(["diff", "b", "t", str(data), "-o", str(tmp_path / "run"), *extra]) == 2
    assert said in capsys.readouterr().err
    assert calls.loaded == []
    assert not (tmp_path / "run").exists()


def test_data_that_are_not_there_are_named(
    tmp_path: Path, calls: Calls, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_app(["diff", "b", "t", str(tmp_path / "nowhere")]) == 2
    assert "does not exist" in capsys.readouterr().err
    assert calls.loaded == []


def test_an_interrupted_run_says_how_to_go_on(
    tmp_path: Path,
    data: Path,
    calls: Calls,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def stop(*_arguments: Any, **_options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("shiftlens.study.diff.running.diff", stop)
    assert run_app(["diff", "b", "t", str(data), "-o", str(tmp_path / "run")]) == 130
    assert "run the same command again" in capsys.readouterr().err
    assert not (tmp_path / "run" / "finished.json").exists()


def test_a_directory_without_placebos_is_none(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no placebo"):
        placebo_paths([str(tmp_path / "empty")])
    single = _adapters(tmp_path / "some", 3)
    one_by_one = [str(single / f"placebo-{n}") for n in range(3)]
    assert placebo_paths(one_by_one) == placebo_paths([str(single)]) == one_by_one
    assert placebo_paths([]) == []


def test_drawn_samples_are_drawn_once(tmp_path: Path) -> None:
    first = samples_of("world:captions", tmp_path, 3, 1, None)
    (folder,) = (tmp_path / "data").iterdir()
    stamp = (folder / "data.jsonl").stat().st_mtime_ns
    again = samples_of("world:captions", tmp_path, 3, 1, "What is this?")
    assert (folder / "data.jsonl").stat().st_mtime_ns == stamp
    assert [one.id for one in first] == [one.id for one in again]
    assert {one.prompt for one in again} == {"What is this?"}


def _seen(document: dict[str, Any]) -> list[str]:
    return [Text.from_markup(line).plain for line in page_lines(document)]


@pytest.mark.parametrize("k", [1, 4, 12])
@pytest.mark.parametrize("judged", [True, False])
def test_the_page_fits_a_screen(tmp_path: Path, k: int, judged: bool) -> None:
    document = build_diff(tmp_path, k=k)
    lines = _seen(document if judged else without_margin(document))
    assert max(Text(line).cell_len for line in lines) <= 80
    assert 20 <= len(lines) + 3 <= 42


def test_the_page_says_what_was_found(tmp_path: Path) -> None:
    text = "\n".join(_seen(build_diff(tmp_path)))
    for part in (
        "600 samples of 590 pictures (2 could not be read): 200 to choose, 199 to learn,",
        "50\u202f% changed [45, 55]; likeness word by word 0.70 [0.65, 0.75]",
        "end of the answer                     2.50        2.50     100\u202f%  looked at",
        "moved:    7 changed, 2 stable, 3 undecided",
        "0.50 (own move 0.30) spreads, from 3 placebos",
        "1.83 [1.63, 2.03]  changed",
        "+0.32 [0.27, 0.37]  60/40 %",
        "weights 0.70, text 0.50, cross −0.20",
        "200 refits",
        "exploratory",
    ):
        assert part in text, part


def test_without_a_margin_the_page_says_what_to_do(tmp_path: Path) -> None:
    text = " ".join(" ".join(_seen(without_margin(build_diff(tmp_path)))).split())
    assert "all undecided: no margin says what counts as nothing" in text
    assert "shiftlens placebo" in text
    assert "--margin" in text
    assert "spreads, none" not in text


def test_text_of_models_is_text(tmp_path: Path) -> None:
    document = build_diff(tmp_path)
    document["models"]["tuned"]["name"] = _HOSTILE
    document["ranking"][1]["name"] = _HOSTILE
    document["site"]["tokens"] = {"kind": "word", "words": [_HOSTILE]}
    for one in document["concepts"]:
        one["contrastive_base"] = [_HOSTILE]
        one["came"] = [_HOSTILE]
        one["kind"]["kind"] = _HOSTILE
    lines = _seen(document)
    assert max(Text(line).cell_len for line in lines) <= 80
    text = "\n".join(lines)
    assert "[bold red]x[/]" in text, "shown, not obeyed"
    assert "\x1b" not in text
    assert "\u202e" not in text


@pytest.mark.slow
def test_the_whole_command_on_the_shipped_pair(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = "-n 150 --draws 20 --max-new-tokens 16 --batch-size 75 --margin 0.5 --k 3"
    arguments = ["diff", "world:base", "world:places", "world:captions", "-o", str(tmp_path / "r")]
    assert run_app([*arguments, *options.split()]) == 0
    said = capsys.readouterr().out
    assert "What changed from world:base to world:places" in said
    document = read_json(tmp_path / "r" / "diff.json")
    assert document["answers"]["changed"]["low"] > 0.9
    assert document["summary"]["moved"]["stable"] == 0
    assert document["pair"]["adapter_tensors"] > 0
    assert run_app([*arguments, *options.split()]) == 0
    assert "read back" in capsys.readouterr().out
