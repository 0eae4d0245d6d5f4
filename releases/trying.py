"""Install a wheel into an environment of its own, and use it there."""

import os
import re
import site
import subprocess
import sys
import time
import venv
from pathlib import Path

from releases.building import ROOT

_ENVIRONMENT = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")


def environment(folder: Path, wheel: Path, *, whole: bool) -> Path:
    """Make an environment that holds the wheel.

    Args:
        folder: of the environment.
        wheel: what is installed.
        whole: install the tested versions of everything that it depends on, as a user does. Without
            it they are borrowed from the environment that runs this; nothing is fetched then.

    Returns:
        the folder of its programs.
    """
    venv.create(folder, with_pip=True)
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    pip = [str(programs / "python"), "-m", "pip", "install", "--quiet"]
    pip += ["--disable-pip-version-check"]
    if whole:
        pins = (ROOT / "constraints.txt").read_text(encoding="utf-8")
        torch = re.search(r"(?m)^torch==\S+", pins)
        assert torch is not None
        _run([*pip, "-c", str(ROOT / "constraints.txt"), torch[0], f"{wheel}[peft]"], folder)
    else:
        _run([*pip, "--no-deps", "--no-index", str(wheel)], folder)
        _borrow(folder)
    return programs


def _borrow(folder: Path) -> None:
    """Let an environment find the packages of this one; an editable install does not come along."""
    (target,) = folder.glob("lib/python*/site-packages") or folder.glob("Lib/site-packages")
    (target / "borrowed.pth").write_text("\n".join(site.getsitepackages()) + "\n")


def where(programs: Path, folder: Path) -> Path:
    """Where that environment has the package from."""
    code = "import shiftlens; print(shiftlens.__file__)"
    return Path(_run([str(programs / "python"), "-c", code], folder).strip())


def tried(programs: Path, folder: Path, *words: str) -> tuple[str, float]:
    """Run the command with these words in a folder; what it printed, and seconds."""
    began = time.perf_counter()
    said = _run([str(programs / "shiftlens"), *words], folder)
    return said, time.perf_counter() - began


def _run(command: list[str], folder: Path) -> str:
    kept = {name: value for name, value in os.environ.items() if name not in _ENVIRONMENT}
    done = subprocess.run(
        command, cwd=folder, env=kept, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        told = f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        raise SystemExit(told[-4000:])
    return done.stdout


def python_version() -> str:
    """For people: ``Python 3.12``."""
    return f"Python {sys.version_info.major}.{sys.version_info.minor}"
