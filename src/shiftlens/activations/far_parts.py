"""The journal of a run that writes an object store: one object for each finished part.

Nothing can be appended to an object, and many machines may write at once. Each object is a line of
a journal, checksum and all; they are put into the manifest at the end of the run.
"""

from typing import Any

from shiftlens.activations.journal import line_of, value_of
from shiftlens.core.errors import StoreError
from shiftlens.core.places import Remote

_FOLDER = "journal/"


def put_part(far: Remote, run: str, number: int, entry: dict[str, Any]) -> None:
    """Make a part exist whose files have been put there.

    Raises:
        MachineError: the place cannot be reached, or may not be written.
    """
    line = line_of({"run": run, "part": number, "entry": entry})
    far.write_bytes(f"{_FOLDER}part-{number:05d}.json", line)


def names_of_parts(names: "set[str] | dict[str, int]") -> list[str]:
    """Which of a store's files are objects of its journal."""
    return sorted(name for name in names if name.startswith(_FOLDER))


def read_parts(far: Remote, names: list[str]) -> list[dict[str, Any]]:
    """The lines of some objects, each with ``run``, ``part`` and ``entry``.

    Raises:
        StoreError: an object is damaged, or was taken away meanwhile.
        MachineError: the place cannot be reached.
    """
    found: list[dict[str, Any]] = []
    for name, line in zip(names, far.read_many(names), strict=True):
        value = value_of(line)
        if value is None:
            raise StoreError(
                f"{far}/{name} is damaged",
                remedy="remove it and run the same harvest again: its part is done anew",
            )
        found.append(value)
    return found


def parts_of(lines: list[dict[str, Any]], run: str, far: Remote) -> dict[int, dict[str, Any]]:
    """The parts that lines of a journal are of.

    Raises:
        StoreError: a line is of another run.
    """
    if any(line["run"] != run for line in lines):
        raise StoreError(
            f"{far}/{_FOLDER} is the journal of another run",
            remedy="choose another place, or remove it",
        )
    return {int(line["part"]): line["entry"] for line in lines}
