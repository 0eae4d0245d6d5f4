"""Fixtures of this room: three families, and copies of the tiny files to damage."""

import shutil
from pathlib import Path

import pytest
from tests.builders import build_idefics3, build_qwen2_vl

from shiftlens.models.loading import load_model
from shiftlens.models.model import Model
from shiftlens.models.quiet import quiet_loading


@pytest.fixture(scope="session")
def qwen_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Qwen2-VL: it counts positions itself."""
    return build_qwen2_vl(tmp_path_factory.mktemp("families") / "qwen2_vl")


@pytest.fixture(scope="session")
def families(
    _tiny: Model, qwen_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Model]:
    """A loaded random model of every family that the builders know."""
    idefics = build_idefics3(tmp_path_factory.mktemp("families") / "idefics3")
    return {"llava": _tiny, "qwen2_vl": load_model(qwen_path), "idefics3": load_model(idefics)}


@pytest.fixture(params=["llava", "qwen2_vl", "idefics3"])
def family(families: dict[str, Model], request: pytest.FixtureRequest) -> Model:
    """One family after the other."""
    return families[request.param]


@pytest.fixture
def copied(tiny_path: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model's files, to change."""
    return Path(shutil.copytree(tiny_path, tmp_path / "copied"))


@pytest.fixture
def copied_adapter(tiny_adapter_path: Path, tmp_path: Path) -> Path:
    """A copy of the tiny adapter's files, to change."""
    return Path(shutil.copytree(tiny_adapter_path, tmp_path / "adapter"))


@pytest.fixture(scope="session")
def ia3_path(tiny_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter of ``tiny_path`` that is not LoRA: it multiplies keys and the feed-forward."""
    import torch
    from peft import IA3Config, get_peft_model
    from transformers import AutoModelForImageTextToText

    path = tmp_path_factory.mktemp("tiny") / "ia3"
    hf = AutoModelForImageTextToText.from_pretrained(tiny_path, dtype=torch.float32)
    kinds = {"target_modules": ["k_proj", "down_proj"], "feedforward_modules": ["down_proj"]}
    with quiet_loading():
        adapted = get_peft_model(hf, IA3Config(**kinds))
    with torch.no_grad():
        for name, tensor in adapted.named_parameters():
            if "ia3" in name:
                tensor.mul_(1.5)
    adapted.save_pretrained(path)
    return path
