"""docs/baking.md and docs/serving.md are true: their blocks run, and receipts are as told."""

import json
from pathlib import Path

import pytest
from tests.docs.test_importing_page import run_page

_DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.slow
def test_baking_runs_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    said = run_page("baking.md", capsys)
    assert "text_config.mlp_bias is on" in said
    assert said.splitlines()[-1] == "True"
    receipt = json.loads(Path("runs/baked/baked.json").read_text(encoding="utf-8"))
    told = (_DOCS / "formats" / "baked.md").read_text(encoding="utf-8")
    missing = [key for key in (*receipt, *receipt["check"]) if f"`{key}`" not in told]
    assert not missing


@pytest.mark.slow
def test_serving_runs_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    said = run_page("serving.md", capsys)
    assert "as the hooks: True" in said
    assert {"baked.json", "README.md", "config.json"} <= {
        one.name for one in Path("out/baked").iterdir()
    }
    assert Path("out/gguf/control-vector.gguf").is_file()
    assert Path("out/vllm-lens/vllm_xargs.json").is_file()
