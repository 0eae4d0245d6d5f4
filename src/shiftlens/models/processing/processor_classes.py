"""Classes of processors that transformers hides where torchvision is absent, without need."""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

# How transformers names a family's image processor for Pillow, and its twin for torchvision.
_TWIN, _PLAIN = "image_processing_pil_", "image_processing_"


def unhidden(found: Any) -> Any:
    """The processor class that a placeholder of transformers stands for; any other as it is.

    transformers shows a placeholder where the module of a processor takes something, often a single
    function, from an image processor that is written for torchvision (Pixtral, Mistral 3). The
    family's image processor for Pillow has the same function.

    Args:
        found: what transformers has under the class's name.

    Raises:
        ImportError: the module needs what is absent for more than that.
    """
    if not getattr(found, "is_dummy", False):
        return found
    module = str(found.__module__)
    with _for_pillow(module.rpartition(".")[0]):
        return getattr(import_module(module), found.__name__)


@contextmanager
def _for_pillow(package: str) -> Generator[None]:
    """Let the modules of a family import from its image processors for Pillow.

    Each stands under the name of its twin while the context lasts, unless that was imported before:
    where it can be, nothing is hidden.
    """
    paths: Any = import_module(package).__path__
    added = list[str]()
    for found in iter_modules(paths):
        name = f"{package}.{found.name.replace(_TWIN, _PLAIN)}"
        if found.name.startswith(_TWIN) and name not in sys.modules:
            sys.modules[name] = import_module(f"{package}.{found.name}")
            added.append(name)
    try:
        yield
    finally:
        for name in added:
            del sys.modules[name]
