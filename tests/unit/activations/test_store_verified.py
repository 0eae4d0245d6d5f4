"""``verify``: every kind of fault is found and named, all of them at once, and nothing else is."""

import re
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file
from tests.builders import build_store

from shiftlens.activations import examining
from shiftlens.activations.manifest import read_manifest
from shiftlens.activations.store import ActivationStore
from shiftlens.activations.verifying import Verification, verify
from shiftlens.core.errors import StoreError
from shiftlens.core.manifest import read_json, sha256_file, write_json


@pytest.fixture
def root(tmp_path: Path) -> Path:
    states = torch.randn(30, 8, generator=torch.Generator().manual_seed(0))
    return build_store(tmp_path / "store", {2: states, 5: states.clone()}, shards=3).path


def _kinds(found: Verification) -> list[tuple[str, str]]:
    return [(fault.kind, fault.file) for fault in found.faults]


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-9] ^= 1
    path.write_bytes(bytes(data))


def _signed(root: Path) -> None:
    """Write the files' checksums into the manifest again: what is wrong is wrong from the start."""
    manifest = read_manifest(root)
    for part in manifest.parts.values():
        part["sha256"] = {kind: sha256_file(root / part[kind]) for kind in part["sha256"]}
    manifest.write()


def test_a_sound_store(root: Path) -> None:
    found = verify(root)
    assert found.sound
    assert found.faults == ()
    assert found.files == 6
    assert found.unnamed == ()
    assert found.bytes == sum(one.stat().st_size for one in root.glob("*-*"))
    assert [(one.layer, one.values, one.nan, one.inf, one.rows) for one in found.layers] == [
        (2, 240, 0.0, 0.0, 0),
        (5, 240, 0.0, 0.0, 0),
    ]


@pytest.mark.parametrize(
    ("name", "damage", "kind"),
    [
        ("shard-1.safetensors", Path.unlink, "missing"),
        ("shard-1.safetensors", _cut, "truncated"),
        ("shard-1.safetensors", _flip, "changed"),
        ("rows-2.parquet", Path.unlink, "missing"),
        ("rows-2.parquet", _cut, "truncated"),
        ("rows-2.parquet", _flip, "changed"),
    ],
)
def test_one_damaged_file(root: Path, name: str, damage: Callable[[Path], None], kind: str) -> None:
    damage(root / name)
    found = verify(root)
    assert _kinds(found)[0] == (kind, name)
    assert {file for _, file in _kinds(found)} == {name}
    assert str(root / name) in found.faults[0].text


def test_no_fault_hides_another(root: Path) -> None:
    (root / "shard-0.safetensors").unlink()
    _cut(root / "rows-0.parquet")
    _flip(root / "shard-1.safetensors")
    (root / "rows-2.parquet").write_bytes(b"")
    found = verify(root)
    assert {one for one in _kinds(found) if one[0] not in ("unreadable", "not finite")} == {
        ("missing", "shard-0.safetensors"),
        ("truncated", "rows-0.parquet"),
        ("changed", "shard-1.safetensors"),
        ("truncated", "rows-2.parquet"),
    }
    with pytest.raises(StoreError, match=r"shard-0.safetensors is missing.*, and \d+ other faults"):
        ActivationStore.open(root).verify()


def test_a_cut_is_told_in_bytes(root: Path) -> None:
    size = (root / "shard-1.safetensors").stat().st_size
    _cut(root / "shard-1.safetensors")
    assert f"cut off at {size - 9} of {size} bytes" in verify(root).faults[0].text


@pytest.mark.parametrize("step", [1, 24, 2**22])
def test_shares_of_nan_and_infinity(root: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """However few numbers are looked at together; both in one state count it once."""
    monkeypatch.setattr(examining, "_AT_ONCE", step)
    states = torch.zeros(10, 8)
    states[0, 0], states[0, 1], states[7, :3] = float("nan"), float("inf"), -float("inf")
    save_file({"layer.2": states, "layer.5": torch.ones(10, 8)}, root / "shard-1.safetensors")
    _signed(root)
    found = verify(root)
    assert _kinds(found) == [("not finite", "layer.2")]
    first, second = found.layers
    assert (first.values, first.rows) == (240, 2)
    assert first.nan == pytest.approx(1 / 240)
    assert first.inf == pytest.approx(4 / 240)
    assert (second.nan, second.inf, second.rows) == (0, 0, 0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_largest_numbers_of_a_type_are_finite(tmp_path: Path, dtype: torch.dtype) -> None:
    states = torch.full((4, 3), torch.finfo(dtype).max, dtype=dtype)
    assert verify(build_store(tmp_path / "s", states).path).sound
    states[1, 1] *= 2
    assert verify(build_store(tmp_path / "t", states).path).layers[0].inf == pytest.approx(1 / 12)


def _shard(layer_2: torch.Tensor, layer_5: torch.Tensor | None) -> dict[str, torch.Tensor]:
    return {"layer.2": layer_2} | ({} if layer_5 is None else {"layer.5": layer_5})


@pytest.mark.parametrize(
    ("shard", "kind", "text"),
    [
        (
            _shard(torch.ones(9, 8), torch.ones(10, 8)),
            "rows",
            r"shape \(9, 8\) for layer 2, not 10",
        ),
        (_shard(torch.ones(10, 8), None), "rows", "holds layer.2, not layer.2, layer.5"),
        (_shard(torch.ones(10, 8), torch.ones(10, 4)), "type", "float32 of width 4 for layer 5"),
        (_shard(torch.ones(10, 8).half(), torch.ones(10, 8)), "type", "float16 of width 8"),
        (_shard(torch.ones(80), torch.ones(10, 8)), "rows", r"shape \(80,\)"),
    ],
    ids=["rows", "layers", "width", "type", "flat"],
)
def test_a_shard_that_was_wrong_from_the_start(
    root: Path, shard: dict[str, torch.Tensor], kind: str, text: str
) -> None:
    save_file(shard, root / "shard-1.safetensors")
    assert ("changed", "shard-1.safetensors") in _kinds(verify(root))
    _signed(root)
    found = verify(root)
    assert _kinds(found) == [(kind, "shard-1.safetensors")]
    assert re.search(text, found.faults[0].text)


@pytest.mark.parametrize("states", [range(9), [*range(8), 9, 8], [None] * 10, [0] * 10])
def test_a_table_that_does_not_fit_its_shard(root: Path, states: list[int | None]) -> None:
    table = pq.read_table(root / "rows-1.parquet").slice(0, len(states)).drop_columns("state")
    column = pa.array(list(states), pa.int64())
    pq.write_table(table.append_column("state", column), root / "rows-1.parquet")
    _signed(root)
    assert _kinds(verify(root)) == [("rows", "rows-1.parquet")]


def test_samples_without_a_state_are_no_fault(root: Path) -> None:
    table = pq.read_table(root / "rows-1.parquet")
    column = pa.array([0, None, *range(1, 10)], pa.int64())
    longer = pa.concat_tables([table, table.slice(0, 1)]).drop_columns("state")
    pq.write_table(longer.append_column("state", column), root / "rows-1.parquet")
    _signed(root)
    assert verify(root).sound


def test_what_a_killed_run_left_is_named_and_is_no_fault(root: Path) -> None:
    (root / ".shard-00003.safetensors.abc.tmp").write_bytes(b"half")
    (root / "notes.txt").write_text("mine")
    (root / "pictures").mkdir()
    for own in (".request.json", ".lock-1-of-1", "journal.jsonl"):
        (root / own).touch()
    found = verify(root)
    assert found.sound
    assert found.unnamed == (".shard-00003.safetensors.abc.tmp", "notes.txt")


def test_an_unfinished_store_is_checked_as_far_as_it_is(root: Path) -> None:
    manifest = read_manifest(root)
    del manifest.parts[1]
    manifest.write()
    _flip(root / "shard-2.safetensors")
    found = verify(root)
    assert _kinds(found) == [("unfinished", "manifest.json"), ("changed", "shard-2.safetensors")]
    assert "2 of 3 parts" in found.faults[0].text
    assert found.unnamed == ("rows-1.parquet", "shard-1.safetensors")


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value | {"schema": 7},
        lambda value: value | {"parts": {"0": {"n": 10}}},
        lambda value: value | {"identity": {}},
        lambda value: {key: one for key, one in value.items() if key != "n_parts"},
        lambda value: value | {"parts": {"first": {}}},
        lambda value: [value],
    ],
    ids=["schema", "part", "identity", "count", "number", "list"],
)
def test_a_damaged_manifest_is_a_fault_and_no_crash(
    root: Path, change: Callable[[dict[str, object]], object]
) -> None:
    write_json(root / "manifest.json", change(read_json(root / "manifest.json")))
    found = verify(root)
    assert _kinds(found) == [("manifest", "manifest.json")]
    assert str(root) in found.faults[0].text


def test_no_store_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="holds no store"):
        verify(tmp_path)


def test_findings_are_json(root: Path) -> None:
    _flip(root / "rows-2.parquet")
    value = verify(root).to_dict()
    write_json(root.parent / "found.json", value)
    assert read_json(root.parent / "found.json")["sound"] is False
    assert value["faults"][0]["file"] == "rows-2.parquet"
