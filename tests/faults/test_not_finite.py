"""A model that computes NaN or infinity for some samples: kept, counted, told, and not learned."""

import json
import math
from functools import partial
from pathlib import Path

import pytest
import torch
from tests.builders import build_llava, edit_tensors

from shiftlens.activations.finite import NotFinite, rows_not_finite
from shiftlens.activations.harvesting import harvest
from shiftlens.activations.manifest import read_manifest
from shiftlens.activations.site import Site
from shiftlens.activations.store import ActivationStore
from shiftlens.activations.survey import survey
from shiftlens.activations.tokens import mean_response
from shiftlens.activations.verifying import verify
from shiftlens.cli.main import run_app
from shiftlens.concepts.learners.kmeans import KMeans
from shiftlens.concepts.learning import learn
from shiftlens.core.errors import LearnError
from shiftlens.data.sample import Sample, Samples
from shiftlens.models.generation import decode
from shiftlens.models.loading import load_model
from shiftlens.models.model import Model
from shiftlens.study.diff.answers import describe_answers
from shiftlens.study.diff.ranking import rank

OPTIONS = {"max_new_tokens": 2, "part_size": 2}


@pytest.fixture(scope="module")
def broken_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has no number for the word "beach", as after a training that diverged."""
    path = build_llava(tmp_path_factory.mktemp("broken") / "llava")

    def spoil(tensors: dict[str, torch.Tensor]) -> None:
        (name,) = (one for one in tensors if one.endswith("embed_tokens.weight"))
        at = json.loads((path / "tokenizer.json").read_text())["model"]["vocab"]["beach"]
        tensors[name][at, 3] = torch.nan

    edit_tensors(path / "model.safetensors", spoil)
    return path


@pytest.fixture(scope="module")
def broken(broken_path: Path) -> Model:
    return load_model(broken_path)


def test_they_are_kept_counted_and_told(
    broken: Model, questions: list[Sample], tmp_path: Path
) -> None:
    with pytest.warns(NotFinite, match=r"NaN or infinity in 1 states in .*store"):
        store = harvest(broken, Samples(questions), Site((1, -1)), tmp_path / "store", **OPTIONS)
    assert len(store) == len(questions), "nothing is lost"
    bad = [
        row.sample_id for row, h in zip(store.rows, store.states(3), strict=True) if h.isnan().any()
    ]
    assert bad == ["q3"], "the only one about a beach"
    manifest = read_manifest(store.path)
    assert manifest.not_finite == 1
    assert [part.get("not_finite") for part in manifest.ordered()] == [None, 1, None]
    # Told again when a finished store is asked for, and by verify layer by layer.
    with pytest.warns(NotFinite):
        harvest(broken, Samples(questions), Site((1, -1)), tmp_path / "store", **OPTIONS)
    found = verify(store.path)
    assert [one.kind for one in found.faults] == ["not finite", "not finite"]
    assert [one.rows for one in found.layers] == [1, 1]
    with pytest.raises(LearnError, match="1 of 6 states are not finite"):
        learn(store, KMeans(k=2), layer=3)


def test_a_survey_counts_and_tells_them_and_ranks_by_the_others(
    broken: Model, tiny_path: Path, questions: list[Sample], tmp_path: Path
) -> None:
    tuned = load_model(tiny_path, label="tuned")
    few = {"max_new_tokens": 2, "part_size": 2}
    with pytest.warns(NotFinite, match=r"NaN or infinity in 1 answers in .*answers"):
        found = survey(broken, tuned, Samples(questions), tmp_path / "answers", **few)
    assert [row.sample_id for row in found.rows if not row.finite] == ["q3"]
    manifest = read_manifest(tmp_path / "answers", "answers")
    assert [part.get("not_finite") for part in manifest.ordered()] == [None, 1, None]
    with pytest.warns(NotFinite):  # told again by a run that goes on
        survey(broken, tuned, Samples(questions), tmp_path / "answers", **few)
    read = partial(decode, tuned)
    told = describe_answers(found.rows, found.rows, read)
    assert (told["n"], told["not_finite"]) == (6, 1)
    assert math.isfinite(told["divergence"]["estimate"])
    assert math.isfinite(told["first_token"]["estimate"])
    assert "q3" not in [one["id"] for one in told["examples"]]
    assert all(math.isfinite(one.divergence) for one in rank(found.rows, read))
    # Its twin: without looking, one such answer would spoil every mean.
    assert not math.isfinite(sum(row.divergence[0] for row in found.rows))


def test_twin_a_sound_model_is_not_accused(
    tiny: Model, questions: list[Sample], tmp_path: Path
) -> None:
    store = harvest(tiny, Samples(questions), Site((1, -1)), tmp_path / "store", **OPTIONS)
    assert "not_finite" not in (tmp_path / "store" / "manifest.json").read_text()
    assert verify(store.path).sound


def test_the_command_tells_too(
    broken_path: Path,
    questions: list[Sample],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [{"id": s.id, "prompt": s.prompt, "image": s.images[0]} for s in questions]
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ["harvest", str(broken_path), str(data), "-o", str(tmp_path / "s"), *_FEW]
    assert run_app([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["not_finite"] == 1
    assert run_app(words) == 0
    captured = capsys.readouterr()
    assert "NaN or infinity in 1 of 6 states of" in captured.out
    assert run_app(["store", "verify", str(tmp_path / "s")]) == 1
    assert "1 states hold NaN or infinity" in capsys.readouterr().out.replace("\n", " ")


_FEW = ["--max-new-tokens", "2"]


@pytest.mark.parametrize(("value", "rows"), [(torch.nan, 2), (torch.inf, 2), (65504.0, 0)])
def test_rows_are_counted_once_however_many_numbers_are_bad(value: float, rows: int) -> None:
    first, second = torch.zeros(4, 3, dtype=torch.float16), torch.zeros(4, 3, dtype=torch.bfloat16)
    first[1, :], second[1, 0], second[3, 2] = value, value, value
    assert rows_not_finite({"layer.0": first, "layer.1": second}) == rows
    assert rows_not_finite({}) == 0


def test_a_mean_over_tokens_does_not_hide_them(
    broken: Model, questions: list[Sample], tmp_path: Path
) -> None:
    site = Site(-1, mean_response())
    with pytest.warns(NotFinite):
        store = harvest(broken, Samples(questions), site, tmp_path / "store", **OPTIONS)
    assert not ActivationStore.open(store.path).states()[3].isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_one_such_number_is_found_wherever_it_stands(dtype: torch.dtype, value: float) -> None:
    """The quick look at a whole tensor misses nothing; twin: the largest numbers are numbers."""
    states = torch.full((40, 33), torch.finfo(dtype).max, dtype=dtype)
    states[::2] = torch.finfo(dtype).min
    assert rows_not_finite({"layer.0": states}) == 0
    for row in range(40):
        bad = states.clone()
        bad[row, row % 33] = value
        assert rows_not_finite({"layer.0": states, "layer.1": bad}) == 1
    assert rows_not_finite({}) == rows_not_finite({"layer.0": states[:0]}) == 0
