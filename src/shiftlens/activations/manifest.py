"""The manifest of a store: what makes a shard exist. Readable without torch.

``manifest.json`` holds ``schema``, ``identity`` (everything that decides the numbers), ``about``
(names and versions for people), ``n_parts``, and for each finished part its files with SHA-256, its
counts and its quarantine list; and ``checksum``, the digest of all the rest. While a run is under
way its parts are in journals beside it; they are put into the manifest at the end.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import hexdigits
from typing import Any

from shiftlens.activations.far_parts import names_of_parts, parts_of, put_part, read_parts
from shiftlens.activations.journal import Journal, journal_path, journals, read_journal
from shiftlens.core.errors import MismatchError, StoreError
from shiftlens.core.manifest import digest, json_bytes, json_of, read_json, write_json
from shiftlens.core.places import Kept, Remote, place_of, require_here

SCHEMA = 1
_NAME = "manifest.json"
_DIGITS = 64  # of a SHA-256


@dataclass
class Manifest:
    """A store's manifest in memory.

    ``write`` replaces the file in one step and begins a store; ``add`` makes a part exist at a cost
    that does not grow with the parts; ``finish`` puts all of them into the file.

    Attributes:
        root: the store's directory; of a store far away, the folder in which its files are written.
        identity: model, data, site, mode: what must agree for a run to go on.
        about: names and versions, which decide nothing.
        n_parts: how many parts the whole run has.
        parts: what is finished, by part number.
        kind: what the directory holds: ``activations`` or ``answers``.
        writer: whose journal ``add`` writes; empty where one process writes the store.
        open: whether parts are in journals that are not in the file yet.
        far: where the store is, if it is not on this machine.
    """

    root: Path
    identity: dict[str, Any]
    about: dict[str, Any]
    n_parts: int
    parts: dict[int, dict[str, Any]] = field(default_factory=dict[int, dict[str, Any]])
    kind: str = "activations"
    writer: str = ""
    open: bool = False
    far: Remote | None = None
    _names: dict[str, int] | None = field(default=None, repr=False, compare=False)
    _journal: Journal | None = field(default=None, repr=False, compare=False)

    @property
    def complete(self) -> bool:
        """Whether every part is there, and the file names it."""
        return len(self.parts) == self.n_parts and not self.open

    def __post_init__(self) -> None:
        require_here(self.root, "this store")

    @property
    def place(self) -> Path | Remote:
        """Where the store is."""
        return self.far or self.root

    @property
    def run(self) -> str:
        """Digest of what a journal must be of to belong here."""
        return digest([self.kind, self.identity, self.n_parts])

    @property
    def counts(self) -> dict[str, int]:
        """Samples that matched, missed or failed, over all finished parts."""
        kinds = ("matched", "missed", "failed")
        return {kind: sum(part["counts"][kind] for part in self.parts.values()) for kind in kinds}

    @property
    def quarantine(self) -> list[dict[str, str]]:
        """Samples that could not be read, with the reason."""
        return [entry for part in self.ordered() for entry in part["quarantine"]]

    @property
    def not_finite(self) -> int:
        """States that hold NaN or infinity; a part says how many where there are any."""
        return sum(int(part.get("not_finite", 0)) for part in self.parts.values())

    @property
    def fingerprint(self) -> str:
        """Digest of the identity and of every shard's bytes."""
        return digest([self.identity, [part["sha256"] for part in self.ordered()]])

    def holds(self, number: int) -> bool:
        """Whether a part is finished and its files are still there."""
        part = self.parts.get(number)
        if part is None:
            return False
        names = part["shard"], part["rows"]
        if self.far is None:
            return all((self.root / name).exists() for name in names)
        if self._names is None:
            self._names = self.far.sizes()
        return all(name in self._names for name in names)

    def file(self, part: Mapping[str, Any], kind: str) -> Kept:
        """One file of a part: its ``shard``, or its ``rows``."""
        place = Remote(part["url"]) if "url" in part else self.place
        return Kept(place, part[kind], part["sha256"][kind])

    def size(self) -> int:
        """Bytes of all files where the store is.

        Raises:
            MachineError: the place cannot be reached.
        """
        if self.far is not None:
            return sum(self.far.sizes().values())
        return sum(one.stat().st_size for one in self.root.iterdir() if one.is_file())

    def ordered(self) -> list[dict[str, Any]]:
        """Finished parts in order."""
        return [self.parts[number] for number in sorted(self.parts)]

    def add(self, number: int, entry: dict[str, Any]) -> None:
        """Make a finished part exist: one synced line in the journal, and ``parts``.

        Far away it is an object of its own.

        Args:
            number: of the part; a part that is added again replaces the earlier one.
            entry: its files with SHA-256, its counts and its quarantine list.

        Raises:
            StoreError: the journal is damaged or of another run.
            MachineError: the disk is full; the part does not count.
        """
        if self.far is not None:
            put_part(self.far, self.run, number, entry)
            self._names = None
        elif self._journal is None:
            self._journal = Journal(journal_path(self.root, self.writer), self.run)
        if self._journal is not None:
            self._journal.add(number, entry)
        self.parts[number] = entry
        self.open = True

    def finish(self) -> None:
        """Put the parts of all journals into the file, in one step, and remove the journals.

        The bytes of the file depend neither on the order of the parts nor on how many writers there
        were. No other writer may be at work: its journal would be removed under its hands.

        Raises:
            StoreError: parts are missing, or a journal is damaged.
            MachineError: the disk is full; the journals stay, and nothing is lost.
        """
        files = self.merge_journals()
        if len(self.parts) != self.n_parts:
            raise StoreError(
                f"{self.place} is unfinished: {len(self.parts)} of {self.n_parts} parts",
                remedy="run the same harvest again: it goes on from there",
            )
        self.write()
        for file in files:
            file.unlink()
        if self.far is not None:
            self.far.remove(names_of_parts(self.far.sizes()))
        self._journal, self.open = None, False

    def merge_journals(self) -> list[Path]:
        """Take in the parts of every journal on the disk, by writer; returns the journals.

        Raises:
            StoreError: a journal is damaged or of another run.
        """
        if self.far is not None:
            lines = read_parts(self.far, names_of_parts(self.far.sizes()))
            self.parts.update(parts_of(lines, self.run, self.far))
            return []
        files = journals(self.root)
        for file in files:
            self.parts.update(read_journal(file, self.run)[0])
        return files

    def write(self) -> None:
        """Replace the file."""
        value = {
            "schema": SCHEMA,
            "kind": self.kind,
            "identity": self.identity,
            "about": self.about,
            "n_parts": self.n_parts,
            "parts": {str(number): self.parts[number] for number in sorted(self.parts)},
        }
        value["checksum"] = digest(value)
        if self.far is not None:
            self.far.write_bytes(_NAME, json_bytes(value))
        else:
            write_json(self.root / _NAME, value)

    @property
    def has_journals(self) -> bool:
        """Whether journals lie beside the file."""
        if self.far is not None:
            return bool(names_of_parts(self.far.sizes()))
        return bool(journals(self.root))


def has_manifest(root: str | Path | Remote) -> bool:
    """Whether there is a store in a directory, or at an address."""
    place = root if isinstance(root, Remote) else place_of(root)
    return place.exists(_NAME) if isinstance(place, Remote) else (place / _NAME).exists()


def read_manifest(
    root: str | Path | Remote, kind: str = "activations", writer: str = ""
) -> Manifest:
    """Read a store's manifest and the journals of a run under way. Nothing is written.

    Args:
        root: its directory or address.
        kind: what it must hold.
        writer: see ``Manifest``.

    Raises:
        StoreError: there is none, it or a journal is damaged, or it is of another schema.
        MachineError: it is far away, and cannot be reached.
    """
    folder = root if isinstance(root, Remote) else place_of(root)
    if not has_manifest(folder):
        raise StoreError(
            f"{folder} holds no store",
            remedy="make one: shiftlens harvest MODEL DATA --words person -o DIR",
        )
    if isinstance(folder, Remote):
        return _read_far(folder, kind, writer)
    try:
        return _read_here(folder, kind, writer)
    except FileNotFoundError:  # another process ends the run, and has just taken its journals away
        return _read_here(folder, kind, writer)


def _read_here(folder: Path, kind: str, writer: str) -> Manifest:
    manifest = _manifest_of(read_json(folder / _NAME), folder, folder, kind)
    manifest.writer, named = writer, dict(manifest.parts)
    manifest.merge_journals()
    # A kill between the last manifest and the removal of its journals leaves what is known already.
    manifest.open = manifest.parts != named
    return manifest


def _read_far(far: Remote, kind: str, writer: str) -> Manifest:
    # Objects first: another process that ends the run puts their parts into the manifest.
    try:
        lines = read_parts(far, names_of_parts(far.sizes()))
    except StoreError:  # it does so now: what it takes away is not damaged
        lines = read_parts(far, names_of_parts(far.sizes()))
    value = json_of(far.read_bytes(_NAME), f"{far}/{_NAME}")
    manifest = _manifest_of(value, far.workshop, far, kind)
    manifest.far, manifest.writer = far, writer
    parts = manifest.parts | parts_of(lines, manifest.run, far)
    manifest.parts, manifest.open = parts, parts != manifest.parts
    return manifest


def _manifest_of(value: Any, root: Path, folder: Path | Remote, kind: str) -> Manifest:
    """What a file holds, without the parts in journals."""
    if not isinstance(value, dict) or value.get("kind") != kind:
        raise StoreError(f"{folder}/{_NAME} is not the manifest of a store of {kind}")
    if value.get("schema") != SCHEMA:
        raise StoreError(
            f"{folder} is a store of schema {value.get('schema')}",
            allowed=f"schema {SCHEMA}",
            remedy="harvest again, or read it with the version of shiftlens that wrote it",
        )
    told = value.pop("checksum", None)  # stores of the first versions have none
    if told not in (None, digest(value)):
        raise StoreError(
            f"{folder}/{_NAME} is damaged: it is not what was written",
            remedy="take it from a copy, or remove the store and harvest again",
        )
    try:
        parts = {int(number): part for number, part in value["parts"].items()}
        known = value["identity"], value["about"], value["n_parts"]
    except (KeyError, AttributeError, ValueError) as error:
        raise StoreError(
            f"{folder}/{_NAME} is damaged ({type(error).__name__}: {error})"
        ) from error
    return Manifest(root, *known, parts, kind)


def require_same(
    found: Mapping[str, Any], wanted: Mapping[str, Any], root: str | Path | Remote
) -> None:
    """Refuse to go on with a store that another run began.

    Raises:
        MismatchError: names the first field that differs.
    """
    path, mine, theirs = _first_difference(wanted, found)
    if path:
        told = "" if _opaque(theirs) else f": {_short(theirs)}, not {_short(mine)}"
        raise MismatchError(
            f"{root} holds a store with another {path}{told}",
            allowed="the run that began it: the same model, data and options",
            remedy="choose another directory, or remove this one",
        )


def _first_difference(wanted: Any, found: Any, path: str = "") -> tuple[str, Any, Any]:
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        for key in [*wanted, *(key for key in found if key not in wanted)]:
            inner = f"{path}.{key}" if path else str(key)
            result = _first_difference(wanted.get(key), found.get(key), inner)
            if result[0]:
                return result
        return "", None, None
    return ("", None, None) if wanted == found else (path, wanted, found)


def _opaque(value: Any) -> bool:
    """A digest, which tells a reader nothing."""
    return isinstance(value, str) and len(value) == _DIGITS and set(value) <= set(hexdigits)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
