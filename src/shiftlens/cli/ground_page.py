"""What ``ground`` says: words and pictures of every concept, in eighty columns."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.text import Text

from shiftlens.cli.terminal import WIDTH, console
from shiftlens.core.errors import GroundingError
from shiftlens.data.privacy import is_hidden

if TYPE_CHECKING:
    from shiftlens.activations.store import ActivationStore
    from shiftlens.concepts.concepts import Concepts

_LISTS = (("contrastive", "says more"), ("words", "says"), ("neighbours", "near"))
_INDENT, _LABEL = 4, 11
_SHEET = re.compile(r"concept-\d+\.png")


def draw_sheets(concepts: "Concepts", states: "ActivationStore", folder: Path) -> list[Path]:
    """One sheet a concept, ``concept-00.png`` and so on: its pictures under its words.

    Args:
        concepts: with words and pictures.
        states: where the pictures lie.
        folder: made if it does not exist; sheets of further concepts, which an earlier run left
            there, are removed.

    Raises:
        GroundingError: the store was made without names of pictures.
    """
    from shiftlens.concepts.grounding.sheets import contact_sheet
    from shiftlens.data.sample import Sample

    shown = {one for images in concepts.images for one in images}
    samples = {
        row.sample_id: Sample(row.sample_id, row.prompt, (row.image,) if row.image else ())
        for row in states.rows
        if row.sample_id in shown
    }
    if any(is_hidden(ref) for one in samples.values() for ref in one.images):
        raise GroundingError(
            f"{states.path} does not say where its pictures lie: it was made with --no-images",
            remedy="ground without --sheets",
        )
    folder.mkdir(parents=True, exist_ok=True)
    places = len(str(concepts.k - 1))
    drawn = [folder / f"concept-{index:0{max(2, places)}}.png" for index in range(concepts.k)]
    for index, path in enumerate(drawn):
        contact_sheet(concepts, index, samples.values()).save(path)
    for path in list(folder.iterdir()):
        if _SHEET.fullmatch(path.name) and path not in drawn:
            path.unlink()
    return drawn


def gone(concepts: "Concepts", states: "ActivationStore") -> list[str]:
    """Pictures of the concepts that no longer lie where they were harvested."""
    shown = {one for images in concepts.images for one in images}
    paths = {row.image for row in states.rows if row.sample_id in shown and row.image}
    return sorted(path for path in paths if not is_hidden(path) and not Path(path).is_file())


def document_of(concepts: "Concepts", path: Path, sheets: Sequence[Path]) -> dict[str, Any]:
    """The concepts as JSON, with where they are."""
    return {
        **concepts.to_data(),
        "k": concepts.k,
        "saved": str(path),
        "sheets": [str(one) for one in sheets],
    }


def print_grounded(
    concepts: "Concepts",
    states: "ActivationStore",
    path: Path,
    sheets: Sequence[Path],
    *,
    model: str,
    adapter: str | None,
    store: Path,
) -> None:
    """Print every concept, the largest first, and the command that comes next."""
    screen = console()
    name = concepts.learner.get("name", concepts.kind)
    screen.print(f"{concepts.k} concepts ({name}) after block {concepts.site.layer}", markup=False)
    for index in sorted(range(concepts.k), key=lambda one: -concepts.sizes[one]):
        screen.print()
        screen.print(Text(f"concept {index}", style="bold"), f"  {_states(concepts.sizes[index])}")
        for key, label in _LISTS:
            lists = getattr(concepts, key)
            if lists and lists[index]:
                _print_list(label, lists[index])
        if concepts.images and concepts.images[index]:
            _print_list("pictures", concepts.images[index])
    silent = sum(not one for one in concepts.words)
    if silent:
        screen.print(f"\n{silent} concepts say none of the words that may be listed")
    lost = gone(concepts, states)
    if lost:
        many = "1 picture is" if len(lost) == 1 else f"{len(lost)} pictures are"
        told = f"{many} no longer there, {lost[0]} for example"
        screen.print(f"\n{told}", markup=False, style="yellow", soft_wrap=True)
    screen.print()
    lines = [("concepts", f"{path}.safetensors, .json")]
    lines += [("sheets", str(sheets[0].parent))] if sheets else []
    called = [model, *(["--adapter", adapter] if adapter else [])]
    lines.append(("next", _next(concepts, states, path, called, store)))
    for label, text in lines:
        screen.print(f"  {label:<9} {text}", markup=False, soft_wrap=True)


def _print_list(label: str, entries: Sequence[str]) -> None:
    """One line of a list: as many entries as it has room for."""
    room = WIDTH - _INDENT - _LABEL
    kept = ""
    for place, entry in enumerate(entries):
        longer = f"{kept}, {entry}" if kept else entry
        rest = "" if place == len(entries) - 1 else ", ..."
        if kept and cell_len(longer) + len(rest) > room:
            kept += ", ..."
            break
        kept = longer
    line = Text(" " * _INDENT)
    line.append(f"{label:<{_LABEL}}", style="dim")
    line.append(kept)
    console().print(line, soft_wrap=True)


def _states(n: int) -> str:
    return "1 state" if n == 1 else f"{n} states"


def _next(
    concepts: "Concepts",
    states: "ActivationStore",
    path: Path,
    model: Sequence[str],
    store: Path,
) -> str:
    """``explain`` for the picture that activates the first concept most."""
    ids = [one for images in concepts.images for one in images]
    row = next((row for row in states.rows if ids and row.sample_id == ids[0]), states.rows[0])
    named, *adapter = model
    picture = "PICTURE" if is_hidden(row.image) or not row.image else row.image
    words = ["shiftlens", "explain", named, picture, *adapter]
    words += ["--prompt", row.prompt]
    return shlex.join([*words, "--concepts", str(path), "--store", str(store)])
