"""Any document of ours, and the page that belongs to its kind."""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jinja2 import UndefinedError

from shiftlens.core.errors import DataError, ShiftLensError
from shiftlens.core.manifest import read_json
from shiftlens.reporting.pages import Page, write_page

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
    root = image_root
    if root is None and document.get("kind") == "explanation":
        root = Path(path).parent
    with _damage_told(document):
        return write_page(path, _page(document, root))


def page_of(document: Mapping[str, Any], image_root: str | Path | None = None) -> Page:
    """The page that belongs to a document, before it is drawn.

    Args:
        document: of any kind that ``write_document`` draws.
        image_root: what relative picture paths start from.

    Raises:
        DataError: another kind, another schema, or a part that is missing or of the wrong kind.
    """
    with _damage_told(document):
        return _page(document, image_root)


def kind_of(document: Mapping[str, Any]) -> str:
    """What a document says it is."""
    kind = document.get("kind")
    # A run's document is older than kinds, and has none.
    return "run" if kind is None and "toi" in document else str(kind)


def _page(document: Mapping[str, Any], image_root: str | Path | None) -> Page:
    makers, name = _makers(), kind_of(document)
    if name not in makers:
        raise DataError(f"no page is drawn of {document.get('kind')!r}", allowed=", ".join(makers))
    return makers[name](document, image_root)


@contextmanager
def _damage_told(document: Mapping[str, Any]) -> Generator[None]:
    try:
        yield
    except ShiftLensError:
        raise
    except _DAMAGE as error:
        raise DataError(
            f"the document of a {kind_of(document)} is damaged or incomplete "
            f"({type(error).__name__}: {error})",
            remedy="run the command that wrote it again",
        ) from error


Maker = Callable[[Mapping[str, Any], str | Path | None], Page]


def _makers() -> dict[str, Maker]:
    from shiftlens.reporting.choice_page import choice_page
    from shiftlens.reporting.discovery_page import discovery_page
    from shiftlens.reporting.drift_page import drift_page
    from shiftlens.reporting.evaluation_page import evaluation_page
    from shiftlens.reporting.explaining_page import explanation_page
    from shiftlens.reporting.html import report_page
    from shiftlens.reporting.search_page import search_page
    from shiftlens.reporting.trajectory_page import trajectory_page

    return {
        "run": report_page,
        "diff": report_page,
        "search": lambda one, _: search_page(one),
        "evaluation": evaluation_page,
        "discovery": lambda one, _: discovery_page(one),
        "trajectory": lambda one, _: trajectory_page(one),
        "drift": lambda one, _: drift_page(one),
        "explanation": explanation_page,
        "choice": lambda one, _: choice_page(one),
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
    return write_document(read_whole(file), path, image_root=file.parent)


def read_whole(file: Path) -> dict[str, Any]:
    """The document of a file from which a page can be drawn: of a saved comparison, a made one.

    Raises:
        DataError: it is no object with the marks of a document.
        StoreError: it cannot be read, or is no JSON.
    """
    document = read_document(file)
    if document.get("kind") != _SHIFT:
        return document
    from shiftlens.reporting.single import comparison_document
    from shiftlens.shift.concept_shift import ConceptShift

    return comparison_document(ConceptShift.load(file.with_suffix("")))
