"""Fixtures of this room: three families, and copies of the tiny files to damage."""

import shutil
from pathlib import Path

import pytest
from tests.builders import build_idefics3, build_qwen2_vl

from shiftlens.models.loading import load_model
from shiftlens.models.model import Model


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
