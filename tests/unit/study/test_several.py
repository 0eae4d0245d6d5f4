"""A study of several fine-tunes: its file, its stages, its figures, what the terminal says."""

import json
from pathlib import Path
from typing import Any

import pytest

from shiftlens.cli.study_summary import print_study
from shiftlens.core.errors import DataError
from shiftlens.study.experiment import Experiment, load_experiment
from shiftlens.study.figures import study_figures
from shiftlens.study.running import run_study

_RECIPES = Path(__file__).parents[3] / "experiments"
_SMALL = """
title = "two small fine-tunes"
base = "{base}"
batch_size = 48
max_new_tokens = 12
n_words = 5

[[tuned]]
name = "one"
model = "{tuned}"
about = "LoRA"

[[tuned]]
name = "two"
model = "world:moods"

[data.dog]
source = "world:dog"
n = 48
seed = 5

[[words]]
name = "article"
members = ["a", "one", "two", "three", "four"]
data = "dog"
normed = true
k = 4
draws = 8
"""


def _load(tmp_path: Path, text: str) -> Experiment:
    path = tmp_path / "e.toml"
    path.write_text(text, encoding="utf-8")
    return load_experiment(path)


@pytest.mark.parametrize("name", ["finetune-study", "finetune-study-world"])
def test_the_recipes_are_experiments_of_three_fine_tunes(name: str) -> None:
    experiment = load_experiment(_RECIPES / f"{name}.toml")
    assert len(experiment.fine_tunes) == 3
    assert all("LoRA" in one.about for one in experiment.fine_tunes)
    assert all(spec.normed and spec.layer == -1 for spec in experiment.words)
    assert [spec.k for spec in experiment.words] == ([20] if name == "finetune-study" else [12] * 3)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "two"', 'name = "one"', "the name 'one' to two parts"),
        ('name = "two"', 'name = "article"', "the name 'article' to two parts"),
        ('name = "two"', 'name = "a/b"', "becomes a directory"),
        ('about = "LoRA"', 'abuot = "LoRA"', r"\[\[tuned\]\] 1 has an unknown key 'abuot'"),
        ('model = "world:moods"\n', "", r"\[\[tuned\]\] 2 lacks the key 'model'"),
        ("normed = true", "normed = true\nlayer = -2", "no other one is followed by the final"),
        ("normed = true", "normed = 1", "normed = 1 is not of the right type"),
        (
            "[[words]]",
            '[[steering]]\nkind = "answers"\nname = "s"\ntitle = "t"\nquestion = "q"\n'
            'data = "dog"\nlayer = -1\nstrength = 1\n[[words]]',
            r"several fine-tunes and \[\[steering\]\]",
        ),
    ],
)
def test_a_bad_file_says_where(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in _SMALL
    with pytest.raises(DataError, match=message):
        _load(tmp_path, _SMALL.replace(old, new, 1))


def test_no_fine_tune_and_a_wrong_kind_of_one_are_refused(tmp_path: Path) -> None:
    start = 'title = "t"\nbase = "b"\n'
    with pytest.raises(DataError, match="an empty list"):
        _load(tmp_path, start + "tuned = []\n")
    with pytest.raises(DataError, match="tuned = 3 is not of the right type"):
        _load(tmp_path, start + "tuned = 3\n")
    with pytest.raises(DataError, match=r"\[\[tuned\]\] 1 must be a table"):
        _load(tmp_path, start + 'tuned = ["a", "b"]\n')


def test_a_single_fine_tune_stays_a_name(tmp_path: Path) -> None:
    experiment = _load(tmp_path, 'title = "t"\nbase = "b"\ntuned = "x"\n')
    assert experiment.fine_tunes == []
    assert experiment.tuned_model == "x"
    several = _load(tmp_path, _SMALL)
    with pytest.raises(DataError, match="has 2 fine-tunes"):
        several.tuned_model  # noqa: B018
    assert several.of(several.fine_tunes[1]).tuned_model == "world:moods"


@pytest.mark.slow
def test_a_study_holds_every_figure_and_is_taken_up_again(
    tmp_path: Path, base_path: Path, adapter_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = _load(tmp_path, _SMALL.format(base=base_path, tuned=adapter_path))
    first = run_study(experiment, tmp_path / "run")
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text(encoding="utf-8"))
    assert list(metrics["toi"]) == ["article (one)", "article (two)"]
    assert metrics["toi"]["article (one)"]["normed"] is True
    assert metrics["models"]["tuned"]["fine_tunes"]["one"]["about"] == "LoRA"
    study = metrics["study"]
    for name in ("one", "two"):
        for text in ("own_text", "base_text"):
            run = study["runs"][name]["article"][text]
            assert run["k"] == len(run["concepts"]) == 4
            assert run["overlap"]["rises"] + run["overlap"]["falls"] <= 4
            assert set(run["correlation"]) == {"consistency", "consistency_published", "magnitude"}
    pooled = study["pooled"]["article"]["base_text"]["magnitude"]
    assert pooled["pooled"]["n"] == pooled["within"]["n"] == 8
    assert "inflates" in study["note"]
    assert (tmp_path / "run" / "words" / "two" / "article" / "shift.json").exists()
    again = run_study(experiment, tmp_path / "run")
    assert again.computed == ()
    assert again.metrics["study"] == first.metrics["study"]
    print_study(again.metrics)
    said = capsys.readouterr().out
    assert max(len(line) for line in said.splitlines()) <= 80
    assert said.count("one, article") == 2
    assert "within runs" in said


def _run(gains: list[float | None], magnitudes: list[float]) -> dict[str, Any]:
    pairs = zip(gains, magnitudes, strict=True)
    return {
        "k": len(gains),
        "concepts": [
            {"relative_gain": g, "consistency": m, "consistency_published": m, "magnitude": m}
            for g, m in pairs
        ],
    }


def test_figures_pool_over_fine_tunes_and_leave_out_what_is_unknown(tmp_path: Path) -> None:
    experiment = _load(tmp_path, _SMALL)
    texts = {
        "one": {"own_text": None, "base_text": _run([1, 2, 3, None, 4], [1, 2, 3, 9, 4.5])},
        "two": {"own_text": None, "base_text": _run([11, 12, 13, 14], [24, 23, 22, 20])},
    }
    words = {name: {"article": {"gains": found}} for name, found in texts.items()}
    found = study_figures(experiment, words)
    assert found["runs"]["one"]["article"]["own_text"] is None
    own = found["runs"]["two"]["article"]["base_text"]["correlation"]["magnitude"]
    assert own["pearson"]["estimate"] < -0.9
    both = found["pooled"]["article"]["base_text"]["magnitude"]
    assert both["pooled"]["n"] == 8
    assert both["pooled"]["pearson"]["estimate"] > 0.9 > both["within"]["pearson"]["estimate"]
    assert found["pooled"]["article"]["own_text"]["magnitude"] == {"pooled": None, "within": None}
