"""Pictures inside the page: small, each once, and a grey box where there is none."""

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shiftlens.core.errors import DataError
from shiftlens.data.images import open_image

_EDGE = 128  # pixels of the longer side: twice what is shown, for dense screens
_QUALITY = 80
_LARGE, _LARGE_QUALITY = 720, 88  # of the pictures that are looked at


@dataclass(frozen=True)
class Symbol:
    """A picture that the page holds once and shows wherever its ``name`` is used."""

    name: str
    uri: str
    width: int
    height: int


@dataclass(frozen=True)
class Tile:
    """One place where a picture is shown; without a symbol it is a grey box with the reason.

    ``heat`` is a see-through picture to lay over it, as a data URI.
    """

    id: str
    symbol: str | None
    problem: str = ""
    heat: str | None = None


def large_picture(path: Path) -> str | None:
    """A picture to be looked at, as a data URI; ``None`` where it cannot be read."""
    try:
        image = open_image(str(path))
    except DataError:
        return None
    image.thumbnail((_LARGE, _LARGE))
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=_LARGE_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()


class Pictures:
    """Collects the pictures of one page.

    Args:
        root: what relative paths start from; the working directory by default.
    """

    def __init__(self, root: Path | None = None) -> None:
        self._root = root or Path()
        self._by_path: dict[str, Symbol | str] = {}
        self._by_uri: dict[str, Symbol] = {}

    def large(self, name: str) -> str | None:
        """A picture to be looked at, from where relative paths start; see ``large_picture``."""
        return large_picture(self._root / name)

    @property
    def symbols(self) -> list[Symbol]:
        """Every picture that was asked for and could be read, in order."""
        return list(self._by_uri.values())

    def tile(self, picture: Mapping[str, Any]) -> Tile:
        """Where to find ``{"id", "path"}``; an unreadable picture is a box, never an exception."""
        path = picture.get("path")
        name = str(picture.get("id", ""))
        if not path:
            return Tile(name, None, "no picture")
        if path not in self._by_path:
            self._by_path[path] = self._read(str(path))
        found = self._by_path[path]
        return Tile(name, None, found) if isinstance(found, str) else Tile(name, found.name)

    def _read(self, path: str) -> Symbol | str:
        """The picture, or why there is none."""
        place = self._root / path
        try:
            if not place.is_file():
                return "no file there"
            image = open_image(str(place))
            image.thumbnail((_EDGE, _EDGE))
            stream = io.BytesIO()
            image.save(stream, "JPEG", quality=_QUALITY, optimize=True)
        except (DataError, OSError, ValueError):
            # The path is in the data; the page itself need not tell where files lie.
            return "not a picture that can be read"
        uri = "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()
        # Equal pictures under two names are held once too.
        symbol = Symbol(f"picture-{len(self._by_uri)}", uri, *image.size)
        return self._by_uri.setdefault(uri, symbol)
