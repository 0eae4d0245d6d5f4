"""One tiny model of every family, built and loaded once."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from PIL import Image
from tests.architectures.cases import Case, digests, draw
from tests.architectures.families.family import Family
from tests.architectures.families.table import FAMILIES, ON_EVERY_COMMIT

from shiftlens.models.loading import load_model

# Width and height: wide, high, square, and smaller than a tile.
_SIZES = ((96, 40), (36, 90), (64, 64), (30, 26))


@pytest.fixture(scope="session")
def images() -> list[Image.Image]:
    """Pictures of different sizes and shapes."""
    return [draw(size, seed) for seed, size in enumerate(_SIZES)]


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Family], Path]:
    """Where a family's tiny model lies; it is built when it is first asked for."""
    return cache(lambda family: family.build(tmp_path_factory.mktemp("family") / "model", 0))


@pytest.fixture(
    scope="session",
    params=[
        pytest.param(
            family,
            id=family.name,
            marks=() if family.name in ON_EVERY_COMMIT else pytest.mark.slow,
        )
        for family in FAMILIES
    ],
)
def case(
    request: pytest.FixtureRequest,
    images: list[Image.Image],
    built: Callable[[Family], Path],
) -> Case:
    """One family after the other."""
    family: Family = request.param
    path = built(family)
    return Case(family, path, digests(path), load_model(path), images)
