"""What a features file may hold: nothing that runs, and every mistake told by its place."""

import ast
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.unit.activations.importing.files import (
    BLOCK,
    coco,
    masks,
    save_pth,
    token_states,
    write_features,
)

import shiftlens
from shiftlens.activations.importing.features import read_features
from shiftlens.core.errors import DataError


class _Runs:
    """An object whose pickle calls a function when it is read."""

    def __init__(self, call: Any, *arguments: Any) -> None:
        self._what = (call, arguments)

    def __reduce__(self) -> Any:
        return self._what


@pytest.mark.parametrize("old", [False, True], ids=["zip", "stream"])
@pytest.mark.parametrize("place", ["beside", "within"])
def test_a_file_that_would_run_code_is_refused_and_runs_nothing(
    tmp_path: Path, old: bool, place: str
) -> None:
    trace = tmp_path / "trace"
    content: dict[str, Any] = {"hidden_states": [{BLOCK: token_states(1)[0]}]}
    bomb = _Runs(os.mkdir, str(trace))
    if place == "beside":
        content["image"] = bomb
    else:
        content["hidden_states"][0][BLOCK] = bomb
    path = save_pth(tmp_path / "f.pth", content, _use_new_zipfile_serialization=not old)
    with pytest.raises(DataError, match="can run code"):
        read_features(path)
    assert not trace.exists()
    # Its twin: the same bytes, read as pickles are, do run.
    torch.load(path, weights_only=False)  # noqa: TID251
    assert trace.exists()


def test_a_file_of_an_old_torch_is_read_as_well(tmp_path: Path) -> None:
    content = {"hidden_states": [{BLOCK: one} for one in token_states(3)]}
    path = save_pth(tmp_path / "f.pth", content, _use_new_zipfile_serialization=False)
    assert len(read_features(path)) == 3


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file(tmp_path: Path, share: float) -> None:
    path = write_features(tmp_path / "f.pth", token_states(40), image=coco(40))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(DataError, match="damaged, or not a file"):
        read_features(path)


@pytest.mark.parametrize("text", [b"not a file of torch", b"\x80\x04}", b"PK\x03\x04", b"{}"])
def test_a_file_of_something_else(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "f.pth").write_bytes(text)
    with pytest.raises(DataError):
        read_features(tmp_path / "f.pth")


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing.pth", tmp_path):
        with pytest.raises(DataError, match="is not a file"):
            read_features(path)


def _state() -> dict[str, torch.Tensor]:
    return {BLOCK: token_states(1)[0]}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (torch.zeros(3), "holds a Tensor"),
        ({"concepts": 1, "activations": 2}, "no hidden_states, but activations, concepts"),
        ({}, "but nothing"),
        ({"hidden_states": []}, "an empty list"),
        ({"hidden_states": torch.zeros(2, 3)}, "is a Tensor"),
        ({"hidden_states": {BLOCK: torch.zeros(1, 1, 3)}}, "is a dict"),
        ({"hidden_states": [_state(), None]}, "sample 1 .* in a NoneType"),
        ({"hidden_states": [_state(), {}]}, "sample 1 .* in a dict"),
        ({"hidden_states": [{BLOCK: [0.0]}]}, "a list under"),
        ({"hidden_states": [_state(), {"model.layers.9": torch.zeros(1, 1, 8)}]}, "the same mod"),
        ({"hidden_states": [{BLOCK: {"inputs": 1, "outputs": 2}}]}, "learn-to-steer"),
        ({"hidden_states": [{"inputs": {}, "outputs": {}}]}, "learn-to-steer"),
        ({"hidden_states": [_state()] * 2, "image": ["a"]}, "of 2 samples and image of 1"),
        ({"hidden_states": [_state()], "image": ["a", "b"]}, "of 1 samples and image of 2"),
        ({"hidden_states": [_state()], "image": "a"}, "image of .* is a str"),
        ({"hidden_states": [_state()], "image": [3]}, "image of sample 0"),
        ({"hidden_states": [_state()], "text": [["a", "b"]]}, "text of sample 0"),
        ({"hidden_states": [_state()], "token_of_interest_mask": [1]}, "not one yes or no"),
        ({"hidden_states": [_state()], "token_of_interest_mask": "no"}, "mask of .* is a str"),
        (
            {"hidden_states": [_state()], "token_of_interest_mask": [torch.ones(1, 4).bool()]},
            "masks over tokens",
        ),
        (
            {"hidden_states": [_state()] * 2, "token_of_interest_mask": masks(True)},
            "token_of_interest_mask of 1",
        ),
    ],
)
def test_another_layout_is_told_by_its_place(tmp_path: Path, content: Any, why: str) -> None:
    with pytest.raises(DataError, match=why):
        read_features(save_pth(tmp_path / "f.pth", content))


def test_nothing_of_a_state_is_read_before_it_is_asked_for(tmp_path: Path) -> None:
    """Files may be larger than memory: their tensors are maps of the file."""
    path = write_features(tmp_path / "f.pth", token_states(4))
    found = read_features(path)
    with path.open("r+b") as stream:
        at = path.read_bytes().index(bytes(token_states(4)[3].view(torch.uint8).numpy()))
        stream.seek(at)
        stream.write(b"\x00\x3c")  # 1 in half precision
    assert float(found.states[3][BLOCK].flatten()[0]) == 1


def test_files_of_torch_are_opened_in_one_place_and_safely() -> None:
    """The linter's ban is lifted there alone."""
    source = Path(shiftlens.__file__).parent
    texts = {one.name: one.read_text("utf-8") for one in source.rglob("*.py")}
    places = [(name, _loads(text)) for name, text in texts.items() if _loads(text)]
    assert places == [("features.py", 1)]
    text = texts["features.py"]
    assert text.count("load(path, ") == text.count("weights_only=True") == 2


def _loads(text: str) -> int:
    """How often code names ``torch.load``; texts about it do not count."""
    named = (one for one in ast.walk(ast.parse(text)) if isinstance(one, ast.Attribute))
    return sum(ast.unparse(one) == "torch.load" for one in named)
