"""What ``shiftlens import`` does with a control vector of llama.cpp."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from shiftlens.cli.terminal import console, print_json

if TYPE_CHECKING:
    from shiftlens.steering.keeping.steering import Steering


def is_gguf(file: Path) -> bool:
    """Whether a file calls itself GGUF, by its name or by its first bytes."""
    if file.suffix == ".gguf":
        return True
    try:
        with file.open("rb") as stream:
            return stream.read(4) == b"GGUF"
    except OSError:
        return False


def import_vectors(
    file: Path,
    out: Path,
    model: str | None,
    adapter: str | None,
    *,
    as_json: bool,
    quiet: bool,
    dry_run: bool,
) -> None:
    """Read the control vector, and write it as a steering unless only asked what would be."""
    from shiftlens.steering.exporting.gguf_reading import read_gguf
    from shiftlens.steering.exporting.subject import Subject

    subject = None if model is None else Subject(model, adapter)
    steering = read_gguf(file, model=subject)
    if not dry_run:
        steering.save_folder(out)
    told = _told(steering, out, written=not dry_run)
    if as_json:
        print_json(told)
    elif not quiet:
        _print(told, out)


def _told(steering: "Steering", out: Path, *, written: bool) -> dict[str, Any]:
    from shiftlens.models.claims import is_unknown

    vectors = [one.vector for one in steering.interventions]
    return {
        "name": steering.name,
        "blocks": [vector.layer for vector in vectors],
        "d": steering.interventions[0].d,
        "model_hint": steering.provenance["model_hint"],
        "model_known": not is_unknown(vectors[0].provenance["model"]),
        "steering": str(out),
        "written": written,
    }


def _print(told: dict[str, Any], out: Path) -> None:
    screen = console()
    blocks = "block " if len(told["blocks"]) == 1 else "blocks "
    blocks += ", ".join(map(str, told["blocks"]))
    screen.print(
        f"{'wrote' if told['written'] else 'would write'} {out}: added after {blocks}, "
        f"{told['d']} wide, at every position",
        markup=False,
        soft_wrap=True,
    )
    if not told["model_known"]:
        screen.print(
            "the file does not say which weights it belongs to, so it steers none yet: "
            "import it with --model",
            markup=False,
            style="dim",
        )
