"""``import shiftlens`` and ``shiftlens --help`` are light, and every public name is there."""

import subprocess
import sys

import pytest

import shiftlens

_HEAVY = (
    "torch",
    "transformers",
    "numpy",
    "scipy",
    "sklearn",
    "pyarrow",
    "peft",
    "PIL",
    "ray",
    "matplotlib",
)
_REPORT = f"print(*sorted(m for m in {_HEAVY!r} if m in sys.modules))"


def _loaded(code: str) -> set[str]:
    """The heavy modules that a fresh interpreter holds after running some code."""
    program = f"import sys\n{code}\n{_REPORT}"
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120
    )
    return set(run.stdout.splitlines()[-1].split())


def test_importing_is_light() -> None:
    assert _loaded("import shiftlens; dir(shiftlens)") == set()


def test_help_is_light() -> None:
    code = "from shiftlens.cli.main import run_app\nassert run_app(['--help']) == 0"
    assert _loaded(code) == set()


def test_twin_a_heavy_name_is_heavy_when_used() -> None:
    assert _loaded("import shiftlens; shiftlens.read") == {"PIL"}


@pytest.mark.parametrize("name", shiftlens.__all__)
def test_every_public_name_resolves(name: str) -> None:
    assert getattr(shiftlens, name) is not None
    assert name in dir(shiftlens)


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'steal'"):
        shiftlens.steal  # noqa: B018
