"""Names like ``world:people``: data and models that an installed package brings along.

A package offers them through two entry point groups, so that nothing in the analysis imports it:
``shiftlens.sources`` (a function that writes samples to a folder) and ``shiftlens.models`` (a
function that gives the path of a model by its name).
"""

from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from shiftlens.core.errors import DataError

SOURCES, MODELS = "shiftlens.sources", "shiftlens.models"


def is_provided(name: str) -> bool:
    """Whether ``name`` has the form ``package:name`` with a package that offers such names."""
    package, colon, rest = name.partition(":")
    if not (colon and rest):  # a path: every installed package need not be looked at
        return False
    return any(entry_points(group=group, name=package) for group in (SOURCES, MODELS))


def provided_model(name: str) -> str:
    """Path of a model that a package brings along; any other name is returned as it is.

    Raises:
        DataError: the package has no model of that name.
    """
    if not is_provided(name):
        return name
    package, _, rest = name.partition(":")
    return str(_provider(MODELS, package)(rest))


def provided_samples(name: str, out: Path, *, n: int, seed: int) -> Path:
    """Have a package write ``n`` samples of the given name.

    Args:
        name: ``package:name``, for example ``world:people``.
        out: the folder that they are written to.
        n: how many.
        seed: which ones.

    Returns:
        the JSONL file, for ``read``.

    Raises:
        DataError: no installed package offers that name.
    """
    package, _, rest = name.partition(":")
    return Path(_provider(SOURCES, package)(rest, out, n=n, seed=seed))


def _provider(group: str, package: str) -> Callable[..., Any]:
    found = {entry.name: entry for entry in entry_points(group=group)}
    if package not in found:
        raise DataError(
            f"no installed package offers {package}:...",
            allowed=f"known: {', '.join(sorted(found)) or 'none'}",
        )
    return found[package].load()
