"""What lies in a run's directory: results by kind, and what could not be read, in a sentence."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import shiftlens as sl
from shiftlens.steering.affine import AffineEdit
from shiftlens.steering.discovering import Discovery
from shiftlens.steering.gates import LinearGate

KINDS = (
    *("concepts", "concept shift", "steering vector"),
    *("affine edit", "linear gate", "discovery", "steering"),
)
_MARKS = (
    ("answers/manifest.json", ("diff.json",), "shiftlens diff"),
    ("cells.jsonl", ("search.json", "discovery.json"), "shiftlens search or discover"),
    ("stages", ("metrics.json",), "shiftlens run"),
)
"""What a command leaves on its way, what it leaves at its end, and its name."""

_OURS = (
    *("manifest.json", "metrics.json", "diff.json"),
    *("search.json", "discovery.json", "evaluation.json"),
)
"""Files that are ours by their names, and need no tensors beside them."""

_DEEPEST = 8
_MOST_FILES = 20_000
_LARGEST = 256 * 1024 * 1024  # bytes of the JSON half of a result: larger ones are none


@dataclass(frozen=True)
class Damaged:
    """A file that could not be read.

    Attributes:
        path: relative to the run.
        why: one sentence.
    """

    path: str
    why: str


@dataclass(frozen=True)
class Found:
    """Results of a run's directory by their paths relative to it, without endings.

    Attributes:
        concepts, shifts, vectors, edits: what they are called on disk, and what was read.
        gates: saved probes.
        steerings: what was kept as one thing, ready to be opened again.
        discoveries: ranked directions between the concepts that lie beside them.
        models: names of models that searches and discoveries steered.
        stores: finished stores of states, and their ``rows``.
        damaged: what is there and cannot be read.
        unfinished: directories in which a command has begun and not ended, and which.
        cut_off: whether there is more than is looked at.
    """

    concepts: dict[str, "sl.Concepts"] = field(default_factory=dict[str, "sl.Concepts"])
    shifts: dict[str, "sl.ConceptShift"] = field(default_factory=dict[str, "sl.ConceptShift"])
    vectors: dict[str, "sl.SteeringVector"] = field(default_factory=dict[str, "sl.SteeringVector"])
    stores: dict[str, "sl.ActivationStore"] = field(default_factory=dict[str, "sl.ActivationStore"])
    rows: dict[str, list[Any]] = field(default_factory=dict[str, list[Any]])
    edits: dict[str, AffineEdit] = field(default_factory=dict[str, AffineEdit])
    gates: dict[str, LinearGate] = field(default_factory=dict[str, LinearGate])
    steerings: dict[str, "sl.Steering"] = field(default_factory=dict[str, "sl.Steering"])
    discoveries: dict[str, Discovery] = field(default_factory=dict[str, Discovery])
    models: list[str] = field(default_factory=list[str])
    damaged: list[Damaged] = field(default_factory=list[Damaged])
    unfinished: list[Damaged] = field(default_factory=list[Damaged])
    cut_off: bool = False


def find(root: Path) -> Found:
    """Read every result below a directory; what is damaged is named and left out.

    Links are not followed: a page shows what lies in the run and nothing else.

    Raises:
        ShiftLensError: the directory is missing, or no directory.
    """
    if not root.is_dir():
        what = "is not a directory" if root.exists() else "does not exist"
        raise sl.ShiftLensError(
            f"{root} {what}",
            allowed="the directory of a run, or one above several",
            remedy="make one: shiftlens demo",
        )
    found, paths = Found(), list(_files(root))
    if len(paths) > _MOST_FILES:
        found = Found(cut_off=True)
    for path in paths[:_MOST_FILES]:
        _read(root, path, found)
    found.unfinished.extend(_begun(root, paths[:_MOST_FILES]))
    return found


def _begun(root: Path, paths: Sequence[Path]) -> Iterator[Damaged]:
    """Directories that hold what a command keeps on its way, and not what it ends with."""
    folders = {above for path in paths for above in path.parents if above.is_relative_to(root)}
    for folder in sorted(folders):
        for mark, ends, verb in _MARKS:
            if (folder / mark).exists() and not any((folder / one).exists() for one in ends):
                place = folder.relative_to(root).as_posix()
                why = f"{verb} has begun here and not ended; the same command goes on with it"
                yield Damaged(place, why)


def stamp(root: Path) -> int:
    """A number that changes when a result is written, replaced or taken away."""
    seen: list[tuple[str, int, int]] = []
    for path in _files(root):
        with suppress(OSError):  # taken away in between: so it has changed
            about = path.stat()
            seen.append((str(path), about.st_size, about.st_mtime_ns))
    return hash(tuple(seen))


def _files(root: Path) -> Iterator[Path]:
    """JSON files in order, not deeper and not more than a run has."""
    seen = 0
    for folder, inner, names in os.walk(root, followlinks=False):
        inner.sort()
        if len(Path(folder).relative_to(root).parts) >= _DEEPEST:
            inner.clear()
        for name in sorted(names):
            path = Path(folder) / name
            if name.endswith(".json") and not path.is_symlink():
                yield path
                seen += 1
                if seen > _MOST_FILES:
                    return


def _read(root: Path, path: Path, found: Found) -> None:
    name = path.relative_to(root).with_suffix("").as_posix()
    beside = path.with_suffix(".safetensors")
    if beside.is_symlink():
        return
    try:
        kind = _kind(path)
        if kind == "activations":
            store = sl.ActivationStore.open(path.parent)
            place = path.parent.relative_to(root).as_posix()
            found.rows[place], found.stores[place] = store.rows, store
        elif kind in KINDS:
            _keep(kind, path, name, found)
        if kind in ("search", "discovery"):
            found.models.extend(_model(path))
        elif kind is None and (beside.exists() or path.name in _OURS):
            found.damaged.append(Damaged(f"{name}.json", "the file is no JSON: it is damaged"))
    except sl.ShiftLensError as error:
        # Where the run lies is said once, and to whom it is shown it may be nothing.
        why = error.given.replace(f"{root}/", "")
        found.damaged.append(Damaged(f"{name}.json", why))
    except Exception as error:  # a file that was written to, by whatever: its page stays empty
        why = f"the file holds something else than it says ({type(error).__name__})"
        found.damaged.append(Damaged(f"{name}.json", why))


def _keep(kind: str, path: Path, name: str, found: Found) -> None:
    where: dict[str, tuple[dict[str, Any], Callable[[Path], Any]]] = {
        "concepts": (found.concepts, sl.Concepts.load),
        "concept shift": (found.shifts, sl.ConceptShift.load),
        "steering vector": (found.vectors, sl.SteeringVector.load),
        "affine edit": (found.edits, AffineEdit.load),
        "linear gate": (found.gates, LinearGate.load),
        "steering": (found.steerings, sl.Steering.load),
        "discovery": (found.discoveries, Discovery.load),
    }
    shelf, load = where[kind]
    shelf[name] = load(path if kind == "discovery" else path.with_suffix(""))


def _model(path: Path) -> list[str]:
    """What a search or a discovery calls its model, where it has no adapter."""
    about = json.loads(path.read_bytes()).get("about", {})
    model = about.get("model", {}) if isinstance(about, dict) else {}
    known = isinstance(model, dict) and model.get("name") and not model.get("adapter")
    return [str(model["name"])] if known else []


def _kind(path: Path) -> str | None:
    """What a JSON file says that it is: empty where it does not say, ``None`` where it is none."""
    if path.stat().st_size > _LARGEST:
        return ""
    try:
        head = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return None
    kind = head.get("kind", "") if isinstance(head, dict) else ""
    return kind if isinstance(kind, str) else ""
