"""``Model``: what it says about itself, and its two ways of answering."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from shiftlens.core.errors import DataError
from shiftlens.data.sample import Sample
from shiftlens.models.generation import generate
from shiftlens.models.loading import load_model, load_pair
from shiftlens.models.model import Model
from shiftlens.models.prompts import encode


class _Listener:
    """What a progress bar was told."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def start(self, what: str, total: int) -> None:
        self.heard.append((what, total))

    def advance(self, by: int = 1) -> None:
        self.heard.append(by)

    def stop(self) -> None:
        self.heard.append("stop")


def test_a_model_names_itself(tiny: Model, tiny_path: Path, tiny_adapter_path: Path) -> None:
    assert repr(tiny) == f"Model(base: {tiny_path})"
    _, tuned = load_pair(tiny_path, tiny_adapter_path)
    assert repr(tuned) == f"Model(tuned: {tiny_path} + {tiny_adapter_path})"


def test_generate_takes_a_path_or_an_open_picture(tiny: Model, pictures: list[Path]) -> None:
    prompt = "what is this ?"
    (expected,) = tiny.respond([Sample("a", prompt, (str(pictures[0]),))], max_new_tokens=6)
    with Image.open(pictures[0]) as opened:
        for image in (pictures[0], str(pictures[0]), opened, opened.convert("RGBA")):
            assert tiny.generate(image, prompt, max_new_tokens=6) == expected.text.strip()
    assert tiny.generate(pictures[1], prompt, max_new_tokens=6) != expected.text.strip()


def test_generate_without_a_picture(tiny: Model) -> None:
    (expected,) = tiny.respond([Sample("a", "what ?")], max_new_tokens=6)
    assert tiny.generate(None, "what ?", max_new_tokens=6) == expected.text.strip() != ""


def test_generate_names_the_picture_that_is_not_there(tiny: Model) -> None:
    with pytest.raises(DataError, match=r"image nowhere\.png does not exist"):
        tiny.generate("nowhere.png", "what ?")


@pytest.mark.parametrize("size", [1, 2, 4, 6, 100])
def test_responses_come_in_order_whatever_the_batch(
    tiny: Model, questions: list[Sample], size: int
) -> None:
    expected = generate(tiny, encode(tiny, questions), max_new_tokens=5)
    listener = _Listener()
    said = tiny.respond(questions, max_new_tokens=5, batch_size=size, progress=listener)
    assert said == expected
    steps = [min(size, 6 - start) for start in range(0, 6, size)]
    assert listener.heard == [("base: answering", 6), *steps, "stop"]


def test_nobody_asked_nothing_said(tiny: Model) -> None:
    assert tiny.respond([]) == []


def test_a_batch_of_nothing_is_refused(tiny: Model, questions: list[Sample]) -> None:
    with pytest.raises(DataError, match="a batch of 0 samples"):
        tiny.respond(questions, batch_size=0)


def test_the_listener_is_told_of_an_early_end(tiny: Model, questions: list[Sample]) -> None:
    listener = _Listener()
    samples = [*questions[:2], Sample("gone", "what ?", ("gone.png",))]
    with pytest.raises(DataError, match=r"gone\.png"):
        tiny.respond(samples, max_new_tokens=2, batch_size=2, progress=listener)
    assert listener.heard == [("base: answering", 3), 2, "stop"]


def test_provenance_is_json_and_says_where_from(
    tiny_path: Path, tiny_adapter_path: Path, copied: Path
) -> None:
    base, tuned = load_pair(tiny_path, tiny_adapter_path)
    ours, theirs = (json.loads(json.dumps(model.provenance)) for model in (base, tuned))
    assert ours["model"] == theirs["model"] == str(tiny_path)
    assert (ours["adapter"], theirs["adapter"]) == (None, str(tiny_adapter_path))
    assert ours["revision"] is None
    assert ours["device"] == "cpu"
    assert ours["attention"] == "eager"
    assert set(ours["versions"]) == {"torch", "transformers"}
    assert set(theirs["versions"]) == {"torch", "transformers", "peft"}
    assert ours.items() >= json.loads(json.dumps(base.identity)).items()


def test_the_commit_of_a_hub_model_is_kept(
    tiny_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, repository = "0" * 39 + "7", tmp_path / "models--someone--model"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    shutil.copytree(tiny_path, repository / "snapshots" / commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    model = load_model("someone/model")
    assert (model.name, model.origin.revision) == ("someone/model", commit)
    assert model.provenance["revision"] == commit
