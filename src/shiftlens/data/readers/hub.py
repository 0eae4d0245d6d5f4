"""Data sets of Hugging Face's hub, asked for by name: ``hf:owner/name``."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl

from shiftlens.core.errors import DataError

PREFIX = "hf:"
"""What a name begins with, so that a misspelt path never asks the network."""

_SETTINGS = ("config", "split", "revision")


def is_of_hub(source: object) -> bool:
    """Whether a source is the name of a data set that ``datasets`` is to find."""
    return isinstance(source, str) and source.startswith(PREFIX)


def hub_data(source: str) -> Iterable[Any]:
    """The data set of a name: one of ``datasets``, or a mapping from splits to such.

    Args:
        source: ``hf:owner/name``, or ``hf:`` and a folder that ``datasets`` reads; after a question
            mark ``config``, ``split`` and ``revision``: ``hf:owner/name?split=test``.

    Raises:
        DataError: ``datasets`` is not installed, or cannot find, fetch or read it.
    """
    name, _, query = source.removeprefix(PREFIX).partition("?")
    settings = dict(parse_qsl(query, keep_blank_values=True))
    unknown = sorted(settings.keys() - set(_SETTINGS))
    if not name or unknown:
        raise DataError(
            f"{source} says {', '.join(unknown)}" if unknown else f"{source} names no data set",
            allowed="hf:owner/name?config=...&split=...&revision=...",
        )
    try:
        import datasets
    except ImportError as error:
        raise DataError(
            f"{source} is read by the package datasets, which is not installed",
            remedy='pip install "shiftlens[datasets]"',
        ) from error
    try:
        return datasets.load_dataset(
            name,
            settings.get("config"),
            split=settings.get("split"),
            revision=settings.get("revision"),
        )
    except Exception as error:  # the network, the cache and every reader may fail in its own way
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError(
            f"datasets cannot load {name} ({said:.300})",
            allowed="a data set of the hub that this machine may fetch, or has in its cache",
            remedy="fetch it where there is a network, save it (save_to_disk), and read the folder",
        ) from error
