"""Any document of ours, and the page that belongs to its kind."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import UndefinedError

from shiftlens.core.errors import DataError, ShiftLensError
from shiftlens.core.manifest import read_json

FILES = {
    "metrics.json": "a run",
    "diff.json": "a diff",
    "search.json": "a search",
    "evaluation.json": "an evaluation",
    "discovery.json": "directions",
    "trajectory.json": "a trajectory",
    "drift.json": "a training that was watched",
    "explanation.json": "an explanation",
    "choice.json": "a choice of k",
}
"""Files that a page can be drawn from, as the verbs call them, and what each holds."""

_SHIFT = "concept shift"  # its numbers lie in tensors beside the JSON

# What a part that is missing or of another kind looks like where nobody asked for it by name.
_DAMAGE = (KeyError, IndexError, TypeError, AttributeError, ValueError, UndefinedError)


def write_document(
    document: Mapping[str, Any], path: str | Path, *, image_root: str | Path | None = None
) -> Path:
    """Draw the page that belongs to a document, by the kind that it says it is.

    Args:
        document: of a run, a diff, a search, an evaluation, directions, a trajectory, a
            training that was watched, an explanation or a choice of k.
        path: the HTML file; replaced in one step.
        image_root: what relative picture paths start from.

    Returns:
        the path of the page.

    Raises:
        DataError: another kind, another schema, or a part that is missing or of the wrong kind.
        MachineError: the disk is full.
    """
    kind = document.get("kind")
    # A run's document is older than kinds, and has none.
    name = "run" if kind is None and "toi" in document else str(kind)
    writers = _writers()
    if name not in writers:
        raise DataError(f"no page is drawn of {kind!r}", allowed=", ".join(writers))
    try:
        return writers[name](document, path, image_root)
    except ShiftLensError:
        raise
    except _DAMAGE as error:
        raise DataError(
            f"the document of a {name} is damaged or incomplete ({type(error).__name__}: {error})",
            remedy="run the command that wrote it again",
        ) from error


Writer = Callable[[Mapping[str, Any], str | Path, str | Path | None], Path]


def _writers() -> dict[str, Writer]:
    from shiftlens.reporting.choice_page import write_choice_page
    from shiftlens.reporting.discovery_page import write_discovery_page
    from shiftlens.reporting.drift_page import write_drift_page
    from shiftlens.reporting.evaluation_page import write_evaluation_page
    from shiftlens.reporting.explaining_page import write_explanation_page
    from shiftlens.reporting.html import write_report
    from shiftlens.reporting.search_page import write_search_page
    from shiftlens.reporting.trajectory_page import write_trajectory_page

    return {
        "run": lambda one, path, root: write_report(one, path, image_root=root),
        "diff": lambda one, path, root: write_report(one, path, image_root=root),
        "search": lambda one, path, _: write_search_page(one, path),
        "evaluation": lambda one, path, root: write_evaluation_page(one, path, image_root=root),
        "discovery": lambda one, path, _: write_discovery_page(one, path),
        "trajectory": lambda one, path, _: write_trajectory_page(one, path),
        "drift": lambda one, path, _: write_drift_page(one, path),
        "explanation": lambda one, path, root: write_explanation_page(one, path, image_root=root),
        "choice": lambda one, path, _: write_choice_page(one, path),
    }


def find_document(place: str | Path) -> Path:
    """The file that a page is drawn from: ``place`` itself, or the one in that directory.

    Raises:
        DataError: nothing is there, nothing that a page is drawn of, or several things.
    """
    root = Path(place)
    if root.is_file():
        return root
    if not root.is_dir():
        raise DataError(
            f"{place} does not exist", allowed="a directory of results, or a file of it"
        )
    found = [root / name for name in FILES if (root / name).is_file()]
    if len(found) > 1:
        names = ", ".join(one.name for one in found)
        raise DataError(
            f"{place} holds several results: {names}", remedy="name the file that you mean"
        )
    if not found:
        listed = "; ".join(f"{name} ({what})" for name, what in FILES.items())
        raise DataError(f"{place} holds nothing that a page is drawn of", allowed=listed)
    return found[0]


def read_document(file: Path) -> dict[str, Any]:
    """Read a document; what cannot be read is said in one sentence.

    Raises:
        DataError: it is no object with the marks of a document.
        StoreError: it cannot be read, or is no JSON.
    """
    found = read_json(file)
    if not isinstance(found, dict):
        raise DataError(f"{file} holds a {type(found).__name__}", allowed="an object")
    return found


def draw_file(place: str | Path, path: str | Path) -> Path:
    """Draw the page of a directory or a file of ours.

    Args:
        place: what a verb left: its directory, or the file with its numbers; a saved comparison
            (``shift.json``) has words and no pictures.
        path: the HTML file.

    Returns:
        the path of the page.

    Raises:
        DataError: nothing is there that a page can be drawn of, or it is damaged.
        StoreError: it cannot be read.
        MachineError: the disk is full.
    """
    file = find_document(place)
    document = read_document(file)
    if document.get("kind") == _SHIFT:
        from shiftlens.reporting.single import report
        from shiftlens.shift.concept_shift import ConceptShift

        return report(ConceptShift.load(file.with_suffix("")), path)
    return write_document(document, path, image_root=file.parent)
