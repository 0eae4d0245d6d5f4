"""``info``: what a store holds, finished or not, from its manifest and one head."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.builders import build_store

from shiftlens.activations.heads import read_head
from shiftlens.activations.info import info, states_bytes, stores_in
from shiftlens.activations.manifest import read_manifest
from shiftlens.core.errors import StoreError
from shiftlens.core.manifest import read_json, write_json
from shiftlens.core.places import Kept


@pytest.fixture
def root(tmp_path: Path) -> Path:
    states = torch.randn(30, 8, generator=torch.Generator().manual_seed(0)).bfloat16()
    return build_store(tmp_path / "store", {2: states, 5: states.clone()}, shards=3).path


def test_a_finished_store(root: Path) -> None:
    found = info(root)
    assert (found.rows, found.layers, found.d, found.dtype) == (30, (2, 5), 8, "bfloat16")
    assert (found.parts, found.n_parts, found.complete) == (3, 3, True)
    assert found.samples == {"matched": 30, "missed": 0, "failed": 0}
    assert found.state_bytes == 30 * 2 * 8 * 2
    assert found.bytes == sum(one.stat().st_size for one in root.iterdir())
    assert found.bytes_in_the_end == found.bytes
    assert found.identity == read_manifest(root).identity
    assert found.fingerprint == read_manifest(root).fingerprint


def test_an_unfinished_store(root: Path) -> None:
    manifest = read_manifest(root)
    for name in manifest.parts.pop(0)["sha256"]:
        next(root.glob(f"{name}-0.*")).unlink()
    manifest.write()
    found = info(root)
    assert (found.rows, found.parts, found.n_parts, found.complete) == (20, 2, 3, False)
    assert found.fingerprint is None
    assert found.bytes_in_the_end == round(found.bytes * 3 / 2)


def test_states_that_are_not_finite_are_counted(root: Path) -> None:
    assert info(root).not_finite == 0
    manifest = read_manifest(root)
    manifest.parts[0]["not_finite"], manifest.parts[2]["not_finite"] = 3, 4
    manifest.write()
    assert info(root).not_finite == 7


def test_before_the_first_part(root: Path) -> None:
    manifest = read_manifest(root)
    manifest.parts.clear()
    manifest.write()
    found = info(root)
    assert (found.rows, found.d, found.dtype, found.bytes_in_the_end) == (0, None, None, None)


@pytest.mark.parametrize(("dtype", "each"), [("float16", 2), ("float64", 8), (None, 4), ("x", 4)])
def test_bytes_of_states(dtype: str | None, each: int) -> None:
    assert states_bytes(200_000, 3, 4096, dtype) == 200_000 * 3 * 4096 * each


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_a_head_is_what_safetensors_reads(tmp_path: Path, dtype: torch.dtype) -> None:
    file = tmp_path / "one.safetensors"
    save_file(
        {"layer.0": torch.ones(3, 5, dtype=dtype), "b": torch.ones(2)}, file, metadata={"x": "y"}
    )
    head = read_head(Kept(tmp_path, file.name, ""))
    assert {name: one.shape for name, one in head.tensors.items()} == {
        name: tuple(one.shape) for name, one in load_file(file).items()
    }
    assert head.size == file.stat().st_size


@pytest.mark.parametrize(
    "data",
    [b"", b"\x02\0\0\0\0\0\0\0[]", b"\xff" * 40, b'\x0d\0\0\0\0\0\0\0{"a": {"b": 1}}', b"\x04\0\0"],
    ids=["empty", "list", "long", "other", "short"],
)
def test_a_damaged_head_is_named(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "one.safetensors").write_bytes(data)
    with pytest.raises(StoreError, match=r"one.safetensors is missing or damaged"):
        read_head(Kept(tmp_path, "one.safetensors", ""))


def test_the_first_shard_is_the_one_that_is_asked(root: Path) -> None:
    (root / "shard-2.safetensors").unlink()
    assert info(root).d == 8
    (root / "shard-0.safetensors").unlink()
    with pytest.raises(StoreError, match=r"shard-0.safetensors is missing or damaged"):
        info(root)


def test_another_schema_is_refused_with_the_reason(root: Path) -> None:
    write_json(root / "manifest.json", {**read_json(root / "manifest.json"), "schema": 2})
    with pytest.raises(StoreError, match="is a store of schema 2\n  schema 1\n  harvest again"):
        info(root)


def test_stores_of_several_models(root: Path) -> None:
    states = torch.ones(3, 2)
    for name in ("tuned", "base"):
        build_store(root.parent / "run" / name, states)
    (root.parent / "run" / "cache").mkdir()
    assert stores_in(root) == [root]
    assert [one.name for one in stores_in(root.parent / "run")] == ["base", "tuned"]
    for empty in (root.parent / "run" / "cache", root.parent / "nowhere"):
        with pytest.raises(StoreError, match="holds no store, and none is in one of its folders"):
            stores_in(empty)


def test_torch_is_not_needed(root: Path) -> None:
    code = (
        "import sys\nfrom shiftlens.cli.main import run_app\n"
        f"assert run_app(['store', 'info', {str(root)!r}]) == 0\n"
        "print(*(m for m in ('torch', 'numpy', 'pyarrow', 'transformers') if m in sys.modules))"
    )
    run = [sys.executable, "-c", code]
    done = subprocess.run(run, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines()[-1].strip() == ""
    assert "30 of 8 numbers, bfloat16" in done.stdout
    code = code.replace("'info'", "'verify'")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "torch" in done.stdout.splitlines()[-1], "twin: checking numbers does need it"
