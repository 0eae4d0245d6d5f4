"""``shiftlens store``: what is in a store, and an exit code that scripts can trust."""

import json
from pathlib import Path

import pytest
import torch
from tests.builders import build_store

from shiftlens.activations.manifest import read_manifest
from shiftlens.cli.main import run_app
from shiftlens.core.manifest import read_json, write_json


@pytest.fixture
def run(tmp_path: Path) -> Path:
    states = torch.randn(30, 8, generator=torch.Generator().manual_seed(0))
    for name in ("base", "tuned"):
        build_store(tmp_path / "run" / name, states.half(), shards=2)
    return tmp_path / "run"


def test_info_of_one_store(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(["store", "info", str(run / "base")]) == 0
    said = capsys.readouterr().out
    assert "30 of 8 numbers, float16" in said
    assert "“dog”" in said
    assert "30 matched, 0 missed, 0 failed; 0 set aside" in said
    assert "2 of 2, finished" in said
    assert f"fingerprint  {read_manifest(run / 'base').fingerprint[:16]}...  " in said
    assert max(map(len, said.splitlines()[1:])) <= 80


def test_info_as_json_of_both_models(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(["store", "info", str(run), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["stores"]
    assert [Path(one["path"]).name for one in found] == ["base", "tuned"]
    assert run_app(["store", "info", str(run / "tuned"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == found[1]
    assert run_app(["store", "info", str(run)]) == 0
    assert capsys.readouterr().out.count("30 of 8 numbers") == 2


def test_info_of_an_unfinished_store(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = read_manifest(run / "base")
    del manifest.parts[0]
    manifest.write()
    assert run_app(["store", "info", str(run / "base")]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "1 of 2, unfinished, " in said
    assert "in the end at this rate: run the same harvest again" in said


def test_verify_tells_by_its_exit_code(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(["store", "verify", str(run)]) == 0
    assert capsys.readouterr().out.count("sound: 4 files") == 2
    shard = run / "tuned" / "shard-1.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1])
    (run / "tuned" / "rows-0.parquet").unlink()
    assert run_app(["store", "verify", str(run)]) == 1
    said = capsys.readouterr().out
    assert "missing" in said
    assert "truncated" in said
    assert "not sound: " in said
    assert run_app(["store", "verify", str(run / "base")]) == 0


def test_verify_as_json(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    states = torch.zeros(4, 4)
    states[0, 0] = float("nan")
    build_store(run.parent / "odd", states)
    assert run_app(["store", "verify", str(run.parent / "odd"), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["sound"] is False
    assert found["layers"] == [{"layer": 0, "values": 16, "nan": 1 / 16, "inf": 0.0, "rows": 1}]
    assert run_app(["store", "verify", str(run), "--json"]) == 0
    assert [one["sound"] for one in json.loads(capsys.readouterr().out)["stores"]] == [True, True]


def test_a_store_of_another_version(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = run / "base" / "manifest.json"
    write_json(file, {**read_json(file), "schema": 2})
    assert run_app(["store", "info", str(run / "base")]) == 2
    assert "is a store of schema 2" in capsys.readouterr().err
    assert run_app(["store", "verify", str(run / "base")]) == 1
    assert "is a store of schema 2" in capsys.readouterr().out


def test_a_run_is_not_written_to_an_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    out = ["--out", "s3://bucket/run"]
    assert run_app(["diff", "world:base", "world:places", "world:people", *out]) == 2
    assert "cannot be written to s3:/bucket/run" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_no_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for verb in ("info", "verify"):
        assert run_app(["store", verb, str(tmp_path)]) == 2
        assert "holds no store" in capsys.readouterr().err
