"""``report``: the page of one result, without an experiment around it."""

import os
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shiftlens import __version__
from shiftlens.core.errors import DataError
from shiftlens.data.privacy import path_of
from shiftlens.data.sample import Sample
from shiftlens.reporting.checking import SCHEMA
from shiftlens.reporting.data import describe_shift
from shiftlens.reporting.documents import write_document

if TYPE_CHECKING:
    from shiftlens.concepts.choice import Choice
    from shiftlens.concepts.grounding.explaining.explanation import Explanation
    from shiftlens.shift.concept_shift import ConceptShift
    from shiftlens.shift.curves import Trajectory
    from shiftlens.steering.discovering import Discovery
    from shiftlens.steering.evaluating import Evaluation
    from shiftlens.steering.searching import Search

    Reported = ConceptShift | Search | Evaluation | Discovery | Trajectory | Explanation | Choice


def report(
    thing: "Reported | Mapping[str, Any]",
    path: str | Path,
    *,
    samples: Sequence[Sample] | None = None,
    title: str | None = None,
) -> Path:
    """Write the page of one result: a single file that opens offline.

    Args:
        thing: what ``compare``, ``search``, ``evaluate``, ``discover``, ``trajectory``, ``explain``
            or ``choose_k`` returned, or the JSON that one of them, a run or a diff wrote.
        path: the HTML file.
        samples: what was harvested, of a comparison alone: without them its concepts have words
            but no pictures.
        title: of the page of a comparison.

    Returns:
        the path of the page.

    Raises:
        DataError: something that no page is drawn of, or samples or a title for another page than
            that of a comparison.
        MachineError: the disk is full.
    """
    from shiftlens.shift.concept_shift import ConceptShift

    if isinstance(thing, ConceptShift):
        return _comparison(thing, path, samples, title or "Concept shift")
    if samples is not None or title is not None:
        raise DataError(
            f"samples or a title for the page of a {type(thing).__name__}",
            allowed="with a ConceptShift alone: every other result holds its own",
        )
    if isinstance(thing, Mapping):
        return write_document(thing, path)
    if not isinstance(thing, _reported()):
        names = ", ".join(one.__name__ for one in (ConceptShift, *_reported()))
        raise DataError(
            f"no page is drawn of a {type(thing).__name__}",
            allowed=f"{names}, or the JSON of one of them, of a run or of a diff",
        )
    return _own_pictures(thing, path)


def _reported() -> tuple[type, ...]:
    """What tells all of its page by itself, beside a comparison."""
    from shiftlens.concepts.choice import Choice
    from shiftlens.concepts.grounding.explaining.explanation import Explanation
    from shiftlens.shift.curves import Trajectory
    from shiftlens.steering.discovering import Discovery
    from shiftlens.steering.evaluating import Evaluation
    from shiftlens.steering.searching import Search

    return (Search, Evaluation, Discovery, Trajectory, Explanation, Choice)


def _own_pictures(thing: Any, path: str | Path) -> Path:
    """An explanation brings its pictures and heat maps, which it can only write beside itself."""
    if not hasattr(thing, "heat_maps"):
        return write_document(thing.to_dict(), path)
    with tempfile.TemporaryDirectory() as folder:
        thing.save(folder)
        return write_document(thing.to_dict(), path, image_root=folder)


def _comparison(
    shift: "ConceptShift", path: str | Path, samples: Sequence[Sample] | None, title: str
) -> Path:
    found = {one.id: path_of(one) for one in samples or ()}
    paths = {name: path for name, path in found.items() if path}
    root = _common_folder(paths)
    document = comparison_document(shift, samples, _shortened(paths, root), title)
    return write_document(document, path, image_root=root)


def comparison_document(
    shift: "ConceptShift",
    samples: Sequence[Sample] | None = None,
    images: Mapping[str, str] | None = None,
    title: str = "Concept shift",
) -> dict[str, Any]:
    """The document of a run that did nothing but compare.

    Args:
        shift: the comparison.
        samples: what was harvested, where it is known.
        images: path of the picture of each sample, by sample id.
        title: of the page.
    """
    return {
        "schema": SCHEMA,
        "title": title,
        "subtitle": "",
        "models": {"base": {"name": "base"}, "tuned": {"name": "tuned"}},
        "versions": _versions(),
        "seconds": {},
        "toi": {_name(shift): _toi(shift, samples, images or {})},
        "steering": {},
    }


def _toi(
    shift: "ConceptShift", samples: Sequence[Sample] | None, images: Mapping[str, str]
) -> dict[str, Any]:
    tokens = shift.base.site.tokens.describe()
    return {
        "layer": shift.base.site.layers[0],
        "members": list(tokens.get("words", ())),
        "samples": len(samples) if samples is not None else len(shift.labels),
        "rows": {"matched": shift.rows["base"]},
        "concepts": {"k": len(shift), "ami": {}},
        **describe_shift(shift, images),
    }


def _name(shift: "ConceptShift") -> str:
    """The words that were looked for, or which tokens were taken."""
    tokens = shift.base.site.tokens.describe()
    return " / ".join(tokens.get("words", ())) or str(tokens["kind"])


def _common_folder(paths: Mapping[str, str]) -> Path | None:
    """The folder that holds all pictures, so that the page need not tell where it lies."""
    folders = [Path(one).parent for one in paths.values()]
    try:
        return Path(os.path.commonpath(folders)) if folders else None
    except ValueError:
        # Two drives, or absolute beside relative: then paths stay as they are.
        return None


def _shortened(paths: Mapping[str, str], root: Path | None) -> dict[str, str]:
    if root is None:
        return dict(paths)
    return {one: str(Path(path).relative_to(root)) for one, path in paths.items()}


def _versions() -> dict[str, str]:
    found = {"shiftlens": __version__}
    for package in ("torch", "transformers"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
