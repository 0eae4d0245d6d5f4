"""The bytes of a GGUF file, read by the published rules and by nothing else.

The package ``gguf`` reads files that their makers can be trusted with: a hundred wrong bytes can
keep it busy for ever. Here every count is held against the bytes that are left before it is used.
"""

import mmap
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shiftlens.core.errors import StoreError

_MOST_PAIRS, _MOST_TENSORS, _MOST_BYTES, _MOST_DIMS = 4096, 4096, 2**26, 4
_F32 = 0
# Type numbers of values in the head, with their layout; 8 is a text, 9 a list.
_SCALARS = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q",
    12: "<d",
}  # fmt: skip
_TEXT, _LIST = 8, 9


@dataclass(frozen=True)
class Entry:
    """A tensor of the file.

    Attributes:
        dims: its shape.
        kind: number of its type; 0 is float32, the higher ones are halves and packed types.
        start: where its bytes begin in the file.
    """

    dims: tuple[int, ...]
    kind: int
    start: int

    @property
    def is_float32(self) -> bool:
        """Whether its bytes are plain float32."""
        return self.kind == _F32


@dataclass(frozen=True)
class GgufFile:
    """The head of a file, and what is needed to take tensors from it.

    Attributes:
        values: by key; lists are ``None``: nothing here needs one.
        tensors: by name.
        size: of the file in bytes.
    """

    values: dict[str, Any]
    tensors: dict[str, Entry]
    size: int


class _Cursor:
    """Bytes that are taken one after the other, and never more than there are."""

    def __init__(self, data: mmap.mmap, name: str) -> None:
        self.data, self.name, self.at = data, name, 0

    def number(self, layout: str) -> Any:
        size = struct.calcsize(layout)
        self.need(size)
        (value,) = struct.unpack_from(layout, self.data, self.at)
        self.at += size
        return value

    def need(self, size: int) -> None:
        if size > len(self.data) - self.at:
            raise StoreError(f"{self.name} ends in the middle of its head")

    def text(self) -> str:
        size = self.number("<Q")
        if size > _MOST_BYTES:
            raise StoreError(f"{self.name} has a text of {size} bytes in its head")
        self.need(size)
        found = self.data[self.at : self.at + size]
        self.at += size
        try:
            return found.decode()
        except UnicodeDecodeError as error:
            raise StoreError(f"{self.name} has a text that is not UTF-8") from error

    def count(self, most: int, what: str) -> int:
        found = self.number("<Q")
        if found > most:
            raise StoreError(f"{self.name} says it has {found} {what}", allowed=f"at most {most}")
        return found

    def value(self, kind: int) -> Any:
        if kind in _SCALARS:
            return self.number(_SCALARS[kind])
        if kind == _TEXT:
            return self.text()
        if kind != _LIST:
            raise StoreError(f"{self.name} has a value of the unknown type {kind}")
        self._skip_list()
        return None

    def _skip_list(self) -> None:
        kind, length = self.number("<I"), self.number("<Q")
        if kind in _SCALARS:
            size = struct.calcsize(_SCALARS[kind])
            # Numbers of Python have no end: a product never wraps round.
            self.need(size * length)
            self.at += size * length
        elif kind == _TEXT:
            self.need(8 * length)  # each has its length at least
            for _ in range(length):
                size = self.number("<Q")
                self.need(size)
                self.at += size
        else:
            raise StoreError(f"{self.name} has a list of the type {kind}")


def read_head(path: Path) -> GgufFile:
    """The head of a GGUF file of version 2 or 3, little-endian.

    Raises:
        StoreError: it is missing, no GGUF, of another version, or its counts and offsets do not fit
            its size.
    """
    with _mapped(path) as data:
        cursor = _Cursor(data, str(path))
        if data[:4] != b"GGUF":
            raise StoreError(
                f"{path} is no GGUF file (it begins with {data[:4]!r})",
                allowed="a control vector of llama.cpp, as --to gguf writes it",
            )
        cursor.at = 4
        version = cursor.number("<I")
        if version not in (2, 3):
            raise StoreError(f"{path} is GGUF of version {version}", allowed="version 2 or 3")
        n_tensors = cursor.count(_MOST_TENSORS, "tensors")
        n_values = cursor.count(_MOST_PAIRS, "values")
        values: dict[str, Any] = {}
        for _ in range(n_values):
            _once(values, cursor.text(), lambda: cursor.value(cursor.number("<I")), path)
        tensors = _entries(cursor, n_tensors, values.get("general.alignment", 32), path)
        return GgufFile(values, tensors, len(data))


def _entries(cursor: _Cursor, count: int, alignment: Any, path: Path) -> dict[str, Entry]:
    known = isinstance(alignment, int) and not isinstance(alignment, bool)
    if not known or not 0 < alignment <= 2**20 or alignment & (alignment - 1):
        raise StoreError(f"{path} aligns its tensors to {alignment!r}", allowed="a power of two")
    found: dict[str, Entry] = {}
    for _ in range(count):
        _once(found, cursor.text(), lambda: _entry(cursor), path)
    begin = -(-cursor.at // alignment) * alignment
    return {name: Entry(one.dims, one.kind, begin + one.start) for name, one in found.items()}


def _entry(cursor: _Cursor) -> Entry:
    n_dims = cursor.number("<I")
    if not 0 < n_dims <= _MOST_DIMS:
        raise StoreError(f"{cursor.name} has a tensor of {n_dims} dimensions")
    dims = tuple(cursor.number("<Q") for _ in range(n_dims))
    return Entry(dims, cursor.number("<I"), cursor.number("<Q"))


def _once(table: dict[str, Any], key: str, value: Callable[[], Any], path: Path) -> None:
    if key in table:
        raise StoreError(f"{path} has two entries of the name {key[:60]!r}")
    table[key] = value()


def floats(path: Path, file: GgufFile, name: str) -> bytes:
    """The bytes of a float32 tensor of one dimension, little-endian.

    Raises:
        StoreError: the file does not hold all of them.
    """
    entry = file.tensors[name]
    size = 4 * entry.dims[0]
    if entry.start + size > file.size:
        raise StoreError(f"{path} ends before the tensor {name[:60]!r} does")
    with path.open("rb") as stream:
        stream.seek(entry.start)
        return stream.read(size)


def _mapped(path: Path) -> mmap.mmap:
    try:
        with path.open("rb") as stream:
            return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise StoreError(f"{path} does not exist") from error
    except ValueError as error:  # an empty file cannot be mapped
        raise StoreError(f"{path} is empty") from error
