"""Fixtures that every room may use: the shipped model and adapter, tiny random ones, pictures."""

import os

# Before anything imports these libraries: no network, no threads to fork, as on a fresh machine.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import typechecking  # noqa: F401 - before the package is imported: how it is checked
from tests.builders import PROMPTS, build_adapter, build_llava, build_pictures

from shiftlens.data.sample import Sample
from shiftlens.models.loading import load_model, load_pair
from shiftlens.models.model import Model

_SHIPPED = Path(__file__).parents[1] / "src" / "shiftlens" / "world" / "models"
# Until the world's own model is trained, its forerunner serves.
_FORERUNNER = Path("/work/shared/prototype/model")


def _source() -> tuple[Path, Path]:
    if (_SHIPPED / "base" / "config.json").is_file() and (_SHIPPED / "places").is_dir():
        return _SHIPPED / "base", _SHIPPED / "places"
    return _FORERUNNER / "base", _FORERUNNER / "adapters" / "place_mix"


@pytest.fixture(scope="session")
def base_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the shipped base model, which a test may damage in a copy of its own."""
    return Path(shutil.copytree(_source()[0], tmp_path_factory.mktemp("shipped") / "base"))


@pytest.fixture(scope="session")
def adapter_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the shipped places adapter."""
    return Path(shutil.copytree(_source()[1], tmp_path_factory.mktemp("shipped") / "places"))


@pytest.fixture(scope="session")
def _pair(base_path: Path, adapter_path: Path) -> tuple[Model, Model]:
    return load_pair(base_path, adapter_path)


@pytest.fixture
def pair(_pair: tuple[Model, Model]) -> Iterator[tuple[Model, Model]]:
    """Base and tuned on one shared module; afterwards it must be as it was."""
    yield _pair
    _assert_given_back(_pair[0])


@pytest.fixture
def base(pair: tuple[Model, Model]) -> Model:
    """The base of ``pair``."""
    return pair[0]


@pytest.fixture
def tuned(pair: tuple[Model, Model]) -> Model:
    """The tuned model of ``pair``."""
    return pair[1]


@pytest.fixture(scope="session")
def tiny_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random LLaVA of four blocks, one token a word."""
    return build_llava(tmp_path_factory.mktemp("tiny") / "llava")


@pytest.fixture(scope="session")
def tiny_adapter_path(tiny_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random adapter of ``tiny_path``."""
    return build_adapter(tiny_path, tmp_path_factory.mktemp("tiny") / "adapter")


@pytest.fixture(scope="session")
def _tiny(tiny_path: Path) -> Model:
    return load_model(tiny_path)


@pytest.fixture
def tiny(_tiny: Model) -> Iterator[Model]:
    """The random LLaVA, loaded; afterwards it must be as it was."""
    yield _tiny
    _assert_given_back(_tiny)


@pytest.fixture(scope="session")
def _brief(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load_model(build_llava(tmp_path_factory.mktemp("tiny") / "brief", seed=1))


@pytest.fixture
def brief(_brief: Model) -> Iterator[Model]:
    """A random LLaVA that ends the first of ``questions`` after four tokens, the others later."""
    yield _brief
    _assert_given_back(_brief)


@pytest.fixture(scope="session")
def byte_model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A random LLaVA with one token a byte: every word has several tokens, any script works."""
    return load_model(build_llava(tmp_path_factory.mktemp("tiny") / "bytes", by_bytes=True))


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Six small pictures of different sizes."""
    return build_pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture
def questions(pictures: list[Path]) -> list[Sample]:
    """Six samples whose prompts differ in length, so that every batch of them is padded."""
    return [
        Sample(f"q{index}", prompt, (str(path),))
        for index, (prompt, path) in enumerate(zip(PROMPTS, pictures, strict=True))
    ]


def _assert_given_back(model: Model) -> None:
    # transformers hooks its own blocks for ``output_hidden_states``, for good: those are not ours.
    hooked = [
        name
        for name, module in model.hf.named_modules()
        for hook in (*module._forward_hooks.values(), *module._forward_pre_hooks.values())
        if not getattr(hook, "__module__", "").startswith("transformers.")
    ]
    assert hooked == [], "a test, or the code that it tests, left hooks behind"
