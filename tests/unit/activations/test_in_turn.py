"""``harvest_pair``: the stores of two models at once, with one of them in memory at a time."""

import json
import shutil
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.builders import build_llava, edit_json, edit_tensors

from shiftlens.activations import in_turn, parts, tokens
from shiftlens.activations.harvesting import harvest
from shiftlens.activations.in_turn import harvest_pair
from shiftlens.activations.site import Site
from shiftlens.core.errors import DataError, MismatchError, ShiftLensError
from shiftlens.data.sample import Sample, Samples
from shiftlens.models.loading import load_pair
from shiftlens.models.model import Model

SITE, OPTIONS = Site((1, -1), tokens.mean_response()), {"max_new_tokens": 5, "batch_size": 4}


@pytest.fixture(scope="module")
def full_path(tiny_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A full fine-tune of the tiny model."""
    path = Path(shutil.copytree(tiny_path, tmp_path_factory.mktemp("turn") / "full"))

    def move(tensors: dict[str, torch.Tensor]) -> None:
        for tensor in tensors.values():
            tensor.mul_(1.1)

    edit_tensors(path / "model.safetensors", move)
    return path


@pytest.fixture
def samples(questions: list[Sample]) -> Samples:
    return Samples([Sample(s.id, s.prompt, s.images, response="a dog") for s in questions])


class _Loads:
    """Loads as ever, and knows what was loaded and whether it still lives."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.modules: list[weakref.ref[Any]] = []
        self.labels: list[str] = []
        self.alive_before: list[int] = []
        self._real = in_turn.load_checkpoint
        monkeypatch.setattr(in_turn, "load_checkpoint", self)

    def __call__(self, name: str, place: Any, *, label: str, **options: Any) -> Model:
        self.alive_before.append(sum(one() is not None for one in self.modules))
        model = self._real(name, place, label=label, **options)
        self.labels.append(label)
        self.modules += [weakref.ref(one) for one in model.hf.modules()]
        self.modules += [weakref.ref(one) for one in model.hf.parameters()]
        return model


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> _Loads:
    return _Loads(monkeypatch)


@pytest.mark.parametrize("response", ["own", "base", "given"])
def test_the_stores_are_those_of_one_pass_and_the_base_is_gone_before_the_second_is_loaded(
    tiny_path: Path,
    full_path: Path,
    samples: Samples,
    tmp_path: Path,
    loads: _Loads,
    response: Any,
) -> None:
    options: dict[str, Any] = {"response": response, **OPTIONS}
    first, second = harvest_pair(tiny_path, full_path, samples, SITE, tmp_path / "turn", **options)
    assert loads.labels == ["base", "tuned"]
    assert loads.alive_before == [0, 0]  # not a module, not a parameter of the base is left
    assert len(loads.modules) > 100
    pair = load_pair(tiny_path, full_path)
    one, two = harvest(pair, samples, SITE, tmp_path / "at-once", **options)
    assert (first.fingerprint, second.fingerprint) == (one.fingerprint, two.fingerprint)
    assert not second.states(1).equal(first.states(1))
    # The proof is that of a pair in memory, to the last digit.
    proof = json.loads((tmp_path / "turn" / "pair.json").read_text())["proof"]
    assert pair[1].proof is not None
    assert proof == pair[1].proof.to_dict()


def test_a_finished_pair_is_not_loaded_again(
    tiny_path: Path, full_path: Path, samples: Samples, tmp_path: Path, loads: _Loads
) -> None:
    run: Callable[[], Any] = lambda: harvest_pair(  # noqa: E731
        tiny_path, full_path, samples, SITE, tmp_path, response="base", **OPTIONS
    )
    stores = run()
    loads.labels.clear()
    again = run()
    assert loads.labels == []
    assert [one.fingerprint for one in again] == [one.fingerprint for one in stores]


@pytest.mark.parametrize("killed_in", ["base", "tuned"])
def test_a_run_that_was_killed_goes_on_and_loads_what_it_needs(
    tiny_path: Path,
    full_path: Path,
    samples: Samples,
    tmp_path: Path,
    loads: _Loads,
    monkeypatch: pytest.MonkeyPatch,
    killed_in: str,
) -> None:
    options: dict[str, Any] = {"response": "base", **OPTIONS, "batch_size": 2, "part_size": 2}
    whole = harvest_pair(tiny_path, full_path, samples, SITE, tmp_path / "whole", **options)
    loads.labels.clear()
    name = {"base": "catch_own", "tuned": "catch_given"}[killed_in]
    real, calls = getattr(parts, name), list[int]()

    def killed(*arguments: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments, **named)

    def run() -> Any:
        return harvest_pair(tiny_path, full_path, samples, SITE, tmp_path / "cut", **options)

    monkeypatch.setattr(parts, name, killed)
    with pytest.raises(KeyboardInterrupt):
        run()
    assert loads.labels == {"base": ["base"], "tuned": ["base", "tuned"]}[killed_in]
    loads.labels.clear()
    stores = run()
    assert loads.labels == {"base": ["base", "tuned"], "tuned": ["tuned"]}[killed_in]
    assert len(calls) == 4  # two of three parts after the one that was finished
    assert [one.fingerprint for one in stores] == [one.fingerprint for one in whole]


def test_an_adapter_is_harvested_in_one_pass(
    tiny_path: Path, tiny_adapter_path: Path, samples: Samples, tmp_path: Path, loads: _Loads
) -> None:
    stores = harvest_pair(tiny_path, tiny_adapter_path, samples, SITE, tmp_path / "a", **OPTIONS)
    pair = load_pair(tiny_path, tiny_adapter_path)
    expected = harvest(pair, samples, SITE, tmp_path / "b", **OPTIONS)
    assert [one.fingerprint for one in stores] == [one.fingerprint for one in expected]
    assert loads.labels == []


def test_what_is_no_pair_is_refused_before_the_base_is_harvested(
    tiny_path: Path, full_path: Path, samples: Samples, tmp_path: Path, loads: _Loads
) -> None:
    wide = build_llava(tmp_path / "wide", hidden_size=64)
    other = Path(shutil.copytree(full_path, tmp_path / "other"))
    edit_json(other / "generation_config.json", suppress_tokens=[7])
    for path, reason in ((wide, "they differ in width, 32 and 64"), (other, "generation options")):
        with pytest.raises(MismatchError, match=reason):
            harvest_pair(tiny_path, path, samples, SITE, tmp_path / "out", **OPTIONS)
    assert loads.labels == ["base", "base"]
    assert not (tmp_path / "out").exists()
    with pytest.raises(DataError, match="a difference in 'width' cannot be allowed"):
        harvest_pair(tiny_path, wide, samples, SITE, tmp_path / "out", allow=("width",))
    allow = ("generation options",)
    out = tmp_path / "allowed"
    harvest_pair(tiny_path, other, samples, SITE, out, allow=allow, **OPTIONS)
    assert list(json.loads((out / "pair.json").read_text())["proof"]["allowed"]) == [*allow]


def test_what_only_the_weights_show_is_refused_before_the_second_is_harvested(
    tiny_path: Path, samples: Samples, tmp_path: Path
) -> None:
    same = Path(shutil.copytree(tiny_path, tmp_path / "same"))
    with pytest.raises(MismatchError, match="are the same model twice"):
        harvest_pair(tiny_path, same, samples, SITE, tmp_path / "out", **OPTIONS)
    assert not (tmp_path / "out" / "tuned").exists()
    assert not (tmp_path / "out" / "pair.json").exists()


def test_a_base_that_somebody_holds_is_an_error_and_nothing_is_lost(
    tiny_path: Path,
    full_path: Path,
    samples: Samples,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held: list[Model] = []
    real = in_turn.load_checkpoint
    monkeypatch.setattr(
        in_turn, "load_checkpoint", lambda *a, **k: held.append(real(*a, **k)) or held[-1]
    )
    with pytest.raises(ShiftLensError, match="is still in memory") as caught:
        harvest_pair(tiny_path, full_path, samples, SITE, tmp_path, **OPTIONS)
    assert [model.label for model in held] == ["base"]
    assert "fresh process" in caught.value.remedy
    monkeypatch.setattr(in_turn, "load_checkpoint", real)
    assert len(harvest_pair(tiny_path, full_path, samples, SITE, tmp_path, **OPTIONS)) == 2


def test_another_run_in_the_same_directory_is_refused(
    tiny_path: Path, full_path: Path, samples: Samples, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    harvest_pair(tiny_path, full_path, samples, SITE, out, **OPTIONS)
    with pytest.raises(MismatchError, match=r"another site\.layer"):
        harvest_pair(tiny_path, full_path, samples, SITE.at(2), out, **OPTIONS)
    further = Path(shutil.copytree(full_path, tmp_path / "further"))
    edit_tensors(further / "model.safetensors", lambda t: next(iter(t.values())).mul_(1.5))
    with pytest.raises(MismatchError, match=r"another model\.weights"):
        harvest_pair(tiny_path, further, samples, SITE, out, **OPTIONS)


def test_a_picture_that_is_mended_in_between_is_an_error(
    tiny_path: Path, full_path: Path, samples: Samples, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    mixed = Samples([*samples, Sample("b", "what", (str(broken),))])
    options: dict[str, Any] = {"response": "base", **OPTIONS}
    first, second = harvest_pair(tiny_path, full_path, mixed, SITE, tmp_path / "out", **options)
    assert [one["id"] for one in first.quarantine + second.quarantine] == ["b", "b"]
    shutil.rmtree(tmp_path / "out" / "tuned")
    shutil.copy(samples[0].images[0], broken)
    with pytest.raises(DataError, match="sample 'b' could not be read when the base was harvested"):
        harvest_pair(tiny_path, full_path, mixed, SITE, tmp_path / "out", **options)


def test_what_no_model_can_be_asked_is_left_out_of_both_as_in_one_pass(
    tiny_path: Path, full_path: Path, samples: Samples, tmp_path: Path
) -> None:
    crowded = Sample("crowded", "what <image> is this ?", samples[0].images)
    mixed = Samples([*samples, Sample("bare", " ", ()), crowded])
    options: dict[str, Any] = {"response": "base", **OPTIONS}
    stores = harvest_pair(tiny_path, full_path, mixed, SITE, tmp_path / "turn", **options)
    for one in stores:
        assert [row["id"] for row in one.quarantine] == ["bare", "crowded"]
        assert "neither a prompt nor a picture" in one.quarantine[0]["reason"]
    together = harvest(
        load_pair(tiny_path, full_path), mixed, SITE, tmp_path / "at-once", **options
    )
    assert [one.fingerprint for one in stores] == [one.fingerprint for one in together]
