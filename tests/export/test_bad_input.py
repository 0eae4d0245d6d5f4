"""What is wrong with a shared file is said in one sentence, by every reader."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save
from tests.export.fuzz import PICKLE, Case, saved
from tests.export.makers import forged, parts_of

from shiftlens.core.errors import StoreError

NAMES = ("SteeringVector", "Steering", "Concepts", "AffineEdit", "LinearGate")


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    return {one.name: one for one in saved(tmp_path_factory.mktemp("saved"))}


def refused(case: Case, path: Path) -> str:
    with pytest.raises(StoreError) as caught:
        case.read(path)
    return str(caught.value)


@pytest.fixture(params=NAMES)
def case(request: pytest.FixtureRequest, cases: dict[str, Case]) -> Case:
    return cases[request.param]


def test_a_changed_tensor_file_is_another(case: Case, tmp_path: Path) -> None:
    head, arrays = parts_of(case.stem)
    (tmp_path / "x.json").write_text(json.dumps(head))
    for tampered in (arrays[:-1] + bytes([arrays[-1] ^ 1]), arrays[:-4], b"", PICKLE):
        (tmp_path / "x.safetensors").write_bytes(tampered)
        assert "is missing, or is not the one that" in refused(case, tmp_path / "x")
    (tmp_path / "x.safetensors").unlink()
    assert "is missing" in refused(case, tmp_path / "x")


def test_a_changed_json_is_another(case: Case, tmp_path: Path) -> None:
    head, arrays = parts_of(case.stem)
    head["data"]["provenance"] = {"model": {"weights": "mine"}}
    (tmp_path / "x.json").write_text(json.dumps(head))
    (tmp_path / "x.safetensors").write_bytes(arrays)
    assert "its data have another SHA-256" in refused(case, tmp_path / "x")


def test_a_pickle_is_not_opened(case: Case, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    head, _ = parts_of(case.stem)
    forged(tmp_path / "x", head, PICKLE)
    assert "is damaged" in refused(case, tmp_path / "x")
    assert "not valid JSON" in refused(case, forged(tmp_path / "y", PICKLE, PICKLE))
    assert not list(tmp_path.glob("shiftlens-fuzz*"))


@pytest.mark.parametrize(
    "arrays",
    [
        b"",
        b"\0" * 7,
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 2**27 + 1) + b"{}",
        struct.pack("<Q", 100) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 2) + b"{}" + b"\0" * 8,
    ],
)
def test_heads_that_lie_are_refused(case: Case, arrays: bytes, tmp_path: Path) -> None:
    head, _ = parts_of(case.stem)
    assert "is damaged" in refused(case, forged(tmp_path / "x", head, arrays))


def test_a_head_that_promises_terabytes_takes_none(case: Case, tmp_path: Path) -> None:
    head, _ = parts_of(case.stem)
    told = {"direction": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}
    text = json.dumps(told).encode()
    forged(tmp_path / "x", head, struct.pack("<Q", len(text)) + text)
    assert "is damaged" in refused(case, tmp_path / "x")


def test_tensors_of_other_names_types_and_shapes(case: Case, tmp_path: Path) -> None:
    head, arrays = parts_of(case.stem)
    (size,) = struct.unpack_from("<Q", arrays)
    names = json.loads(arrays[8 : 8 + size])
    for wrong in (
        torch.zeros(2, 2, 2),
        torch.zeros(8, dtype=torch.int64),
        torch.zeros(8, dtype=torch.complex64),
        torch.full((8,), torch.nan),
        torch.zeros(0),
    ):
        forged(
            tmp_path / "x",
            head,
            save(
                dict.fromkeys(names, wrong)
                if len(names) == 1
                else {name: wrong.clone() for name in names}
            ),
        )
        assert refused(case, tmp_path / "x")
    forged(tmp_path / "x", head, save({"else": torch.zeros(8)}))
    assert refused(case, tmp_path / "x")


@pytest.mark.parametrize("schema", [0, 3, 99, -1, "1", 1.0, True, None, [1]])
def test_another_schema_is_refused(case: Case, schema: object, tmp_path: Path) -> None:
    head, arrays = parts_of(case.stem)
    said = refused(case, forged(tmp_path / "x", {**head, "schema": schema}, arrays))
    assert "of schema" in said
    assert "schema" in said.splitlines()[1], "it says which ones can be read"


def test_one_kind_does_not_pass_for_another(cases: dict[str, Case]) -> None:
    for name in NAMES:
        for other in set(NAMES) - {name}:
            assert "holds" in refused(cases[name], cases[other].stem)


@pytest.mark.parametrize(
    "provenance", [{"model": "x"}, {"model": {"weights": 5}}, {"model": []}, {"parts": 1}]
)
def test_where_it_comes_from_is_held_to_its_kind(
    case: Case, provenance: dict[str, Any], tmp_path: Path
) -> None:
    head, arrays = parts_of(case.stem)
    inner = head["data"]
    if case.name == "Steering":
        inner = inner["interventions"][0]["vector"]
    inner["provenance"] = provenance
    assert refused(case, forged(tmp_path / "x", head, arrays))


def test_a_head_without_its_parts(case: Case, tmp_path: Path) -> None:
    head, arrays = parts_of(case.stem)
    for key in head.keys() - {"data_sha256"}:
        left = {name: value for name, value in head.items() if name != key}
        (tmp_path / "x.json").write_text(json.dumps(left))
        (tmp_path / "x.safetensors").write_bytes(arrays)
        assert refused(case, tmp_path / "x")
    for value in ([], None, 5, "x"):
        (tmp_path / "x.json").write_text(json.dumps(value))
        assert "an object" in refused(case, tmp_path / "x")
