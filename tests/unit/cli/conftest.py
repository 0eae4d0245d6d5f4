"""The verbs' tests load each model once: loading is tested elsewhere, and took a third of them."""

from typing import Any

import pytest

from shiftlens.models import loading
from shiftlens.models.files import signature_of_files
from shiftlens.models.model import Model


class _Shelf:
    """Gives the model that it gave before, for as long as its files and what is asked are the same.

    A verb leaves a model as it found it, which the tests of every room look at.
    """

    def __init__(self) -> None:
        self._load = loading.load_model
        self._held: dict[Any, Model] = {}

    def load(self, name: Any, *, adapter: Any = None, **options: Any) -> Model:
        files = [one and signature_of_files(str(one)) for one in (name, adapter)]
        key = (str(name), *files, tuple(sorted((k, str(v)) for k, v in options.items())))
        if files[0] is None or (adapter and files[1] is None):
            return self._load(name, adapter=adapter, **options)
        if key not in self._held:
            self._held[key] = self._load(name, adapter=adapter, **options)
        return self._held[key]


@pytest.fixture(scope="module")
def _shelf() -> _Shelf:
    return _Shelf()


@pytest.fixture(autouse=True)
def _each_model_once(_shelf: _Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "load_model", _shelf.load)
