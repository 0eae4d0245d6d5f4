"""``report``: the page for one comparison, without an experiment around it."""

import os
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shiftlens import __version__
from shiftlens.data.privacy import path_of
from shiftlens.data.sample import Sample
from shiftlens.reporting.checking import SCHEMA
from shiftlens.reporting.data import describe_shift
from shiftlens.reporting.html import write_report

if TYPE_CHECKING:
    from shiftlens.shift.concept_shift import ConceptShift


def report(
    shift: "ConceptShift",
    path: str | Path,
    *,
    samples: Sequence[Sample] | None = None,
    title: str = "Concept shift",
) -> Path:
    """Write the report of one comparison.

    Args:
        shift: what ``compare`` returned.
        path: the HTML file.
        samples: what was harvested; without them concepts have words but no pictures.
        title: of the page.

    Returns:
        the path of the page.

    Raises:
        MachineError: the disk is full.
    """
    found = {one.id: path_of(one) for one in samples or ()}
    paths = {name: path for name, path in found.items() if path}
    root = _common_folder(paths)
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "title": title,
        "subtitle": "",
        "models": {"base": {"name": "base"}, "tuned": {"name": "tuned"}},
        "versions": _versions(),
        "seconds": {},
        "toi": {_name(shift): _toi(shift, samples, _shortened(paths, root))},
        "steering": {},
    }
    return write_report(document, path, image_root=root)


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
