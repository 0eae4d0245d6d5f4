"""A small study from end to end on the shipped models: results, resumption, interruption."""

import json
from pathlib import Path

import pytest

from shiftlens.core.progress import Silent
from shiftlens.study.experiment import load_experiment
from shiftlens.study.running import run_study

_EXPERIMENT = """
title = "a small study"
base = "{base}"
tuned = "{tuned}"
batch_size = 48
max_new_tokens = 12

[data.dog]
source = "world:dog"
n = 48
seed = 5

[data.yesno]
source = "world:yesno"
n = 60
seed = 5

[data.number]
source = "world:number"
n = 24
seed = 5

[[words]]
name = "article"
members = ["a", "one", "two", "three", "four"]
data = "dog"
layer = -2
k = 3
draws = 20
factors = ["count"]
heat_maps = 1
margin = 0.4

[[steering]]
kind = "answers"
name = "answer"
title = "yes to no"
question = "q"
data = "yesno"
off_target = ["number"]
layer = -1
strength = 2.0
"""


@pytest.fixture
def experiment_file(tmp_path: Path, base_path: Path, adapter_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(_EXPERIMENT.format(base=base_path, tuned=adapter_path), encoding="utf-8")
    return path


class _Interrupting(Silent):
    """Raises like Ctrl-C once a named task begins."""

    def __init__(self, label: str) -> None:
        self.label = label

    def start(self, label: str, total: int) -> None:
        if self.label in label:
            raise KeyboardInterrupt


def test_a_study_runs_resumes_and_keeps_its_promises(experiment_file: Path, tmp_path: Path) -> None:
    experiment, out = load_experiment(experiment_file), tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        run_study(experiment, out, progress=_Interrupting("steered"))
    assert not (out / "metrics.json").exists()

    first = run_study(experiment, out)
    assert "harvest-article" in first.reused
    assert "steer-answer" in first.computed
    metrics = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    assert metrics == json.loads(json.dumps(first.metrics))
    assert metrics["schema"] == 1
    toi = metrics["toi"]["article"]
    assert sum(toi["rows"].values()) == 48
    assert toi["concepts"]["k"] == len(toi["changes"]) == 3
    assert set(toi["concepts"]["ami"]["count"]) == {"learned", "random"}
    for curve in ("concept", "global", "shuffled"):
        assert len(toi["recovery"]["centred_cosine"][curve]) == len(toi["recovery"]["strength"])
        assert len(toi["recovery"]["t_overlap"][curve]) == len(toi["recovery"]["strength"])
    assert toi["data"]["source"] == "world:dog"
    matched = toi["rows_by_text"]["on_base_text"]["matched"]
    assert sum(map(sum, toi["flow"]["counts"])) == matched
    judged = toi["verdicts"]
    assert sum(judged["summary"]["moved"].values()) == len(judged["concepts"]) == 3
    assert judged["margins"]["source"] == "user"
    heated = next(iter(toi["heat"]["maps"][0].values()))
    assert max(map(max, heated["levels"])) == 100
    answer = metrics["steering"]["answer"]
    assert answer["n"] > 0
    assert 0 <= answer["moved"] <= 1
    page = first.report.read_text(encoding="utf-8")
    assert "a small study" in page

    again = run_study(experiment, out)
    assert again.computed == ()
    assert again.metrics["toi"] == first.metrics["toi"]


@pytest.mark.slow
def test_another_strength_computes_its_steering_again_and_nothing_else(
    experiment_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    run_study(load_experiment(experiment_file), out)
    text = experiment_file.read_text(encoding="utf-8").replace("strength = 2.0", "strength = 0.5")
    experiment_file.write_text(text, encoding="utf-8")
    again = run_study(load_experiment(experiment_file), out)
    assert set(again.computed) == {"steer-answer", "report"}
