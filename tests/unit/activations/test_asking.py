"""Answers that are kept: asked once, and never taken for those of another model."""

import json
from pathlib import Path

import pytest

from shiftlens.activations.asking import Asking, readable
from shiftlens.core.errors import DataError, MismatchError, StoreError
from shiftlens.core.progress import Silent
from shiftlens.data.sample import Sample, Samples
from shiftlens.models.model import Model


def _asking(samples: Samples, folder: Path, *, limit: int = 3) -> Asking:
    return Asking(samples, folder, limit, 4, Silent())


def test_nobody_is_asked_twice(
    tiny: Model, questions: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = _asking(Samples(questions), tmp_path)
    said = asking.said(tiny)
    wanted = tiny.respond(questions, max_new_tokens=3)
    assert list(said.values()) == wanted
    assert list(said) == [sample.id for sample in questions]
    monkeypatch.setattr(Model, "respond", lambda *_, **__: pytest.fail("asked again"))
    assert asking.said(tiny) == said


def test_answers_of_others_are_not_taken(
    tiny: Model, brief: Model, questions: list[Sample], tmp_path: Path
) -> None:
    _asking(Samples(questions), tmp_path).said(tiny)
    for model, samples, limit in (
        (brief, questions, 3),
        (tiny, questions[1:], 3),
        (tiny, questions, 4),
    ):
        with pytest.raises(MismatchError, match="another model, or to other samples"):
            _asking(Samples(samples), tmp_path, limit=limit).said(model)


def test_a_damaged_file_is_an_error(tiny: Model, questions: list[Sample], tmp_path: Path) -> None:
    asking, file = _asking(Samples(questions), tmp_path), tmp_path / "base.json"
    asking.said(tiny)
    found = json.loads(file.read_text())
    for broken, message in (
        ({**found, "schema": 2}, "no answers of schema 1"),
        ({**found, "said": {"q0": {}}}, "damaged"),
        ([], "damaged"),
    ):
        file.write_text(json.dumps(broken))
        with pytest.raises(StoreError, match=message):
            asking.said(tiny)


def test_what_cannot_be_read_is_named(questions: list[Sample], tmp_path: Path) -> None:
    bad = Sample("bad", "what", (str(tmp_path / "none.png"),))
    kept, quarantine = readable(Samples([questions[0], bad, Sample("text", "yes")]))
    assert [sample.id for sample in kept] == ["q0", "text"]
    assert [one["id"] for one in quarantine] == ["bad"]
    assert "none.png" in quarantine[0]["reason"]
    with pytest.raises(DataError, match="none of 1 samples can be read; bad: "):
        readable(Samples([bad]))
    with pytest.raises(DataError, match="none of 0 samples can be read"):
        readable(Samples([]))
