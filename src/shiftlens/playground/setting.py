"""``Setting``: what is asked and how it is steered, as lines of Python and as a file to keep."""

import io
import json
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import shiftlens as sl
from shiftlens.playground.lines import Line, Steers, times

if TYPE_CHECKING:
    from PIL.Image import Image

    from shiftlens.models.model import Model

KIND, SCHEMA = "playground setting", 3
_PICTURE = "picture.png"
_VECTOR = "vector"
_GATE = "gate"
_WHOLE = "steering"
_README = """What is in this archive

steer.py             run it: python steer.py (needs shiftlens, and the model under the same name)
steering.*           how it was steered, as one thing: for shiftlens steer --vector and shiftlens
                     export, and to open again in shiftlens serve
vector.*             the direction, where it is one alone: shiftlens steer --vector vector
gate.*               the probe that decides when, where there is one: --gate probe:gate
picture.png          the picture that was asked about, where there was one
setting.json         the same setting for programs
"""


@dataclass(frozen=True)
class Setting:
    """One question and one way to steer its answer.

    Attributes:
        model: what the model is called for ``load_model``.
        adapter: the same for its adapter.
        prompt: what is asked.
        lines: what is steered with, in this order.
        picture: path of a picture of the run; ``None`` for an uploaded one or none.
        uploaded: whether there is a picture that only the visitor has.
        times: how many times as strong as the lines say.
        max_new_tokens: where answers are cut off.
    """

    model: str
    prompt: str
    lines: tuple[Steers, ...]
    adapter: str | None = None
    picture: str | None = None
    uploaded: bool = False
    times: float = 1.0
    max_new_tokens: int = 64

    @property
    def alone(self) -> Line | None:
        """The one line that was chosen in the page, where there is no other and nothing else."""
        one = self.lines[0]
        return one if len(self.lines) == 1 and isinstance(one, Line) and self.times == 1 else None

    def to_python(self) -> str:
        """Lines that give the same two answers, from the files of the run."""
        note = "  # the picture that you chose" if self.uploaded else ""
        picture = f"{(_PICTURE if self.uploaded else self.picture)!r}{note}"
        one = self.alone
        if one is None:
            head = "import shiftlens as sl\n"
            read = f'steering = sl.Steering.load("{_WHOLE}")  # from the zip that is saved here\n'
            return self._lines(head, read, picture)
        place = one.root / one.direction.sources[one.layer]
        return self._lines(
            "import shiftlens as sl\n", _reading(one, place), picture, repr(one.gate_here)
        )

    def steering(self, model: "Model") -> "sl.Steering":
        """The setting without its question, as one thing that is saved, shared and exported.

        Args:
            model: who was steered: some gates read its words.
        """
        each = tuple(times(one.intervention(model), self.times) for one in self.lines)
        names = dict.fromkeys(one.vector.name for one in each)
        return sl.Steering(
            each,
            name=", ".join(names),
            provenance={"made by": "playground", "prompt": self.prompt},
        )

    def archive(self, picture: "Image | None", model: "Model") -> bytes:
        """A zip of the steering, the picture, and lines of Python that need nothing else.

        Args:
            picture: as the model saw it.
            model: who was steered.
        """
        head = "from pathlib import Path\n\nimport shiftlens as sl\n"
        shown = "None" if picture is None else f'here / "{_PICTURE}"'
        here, one = "here = Path(__file__).parent\n", self.alone
        if one is None:
            code = self._lines(
                head, f'{here}steering = sl.Steering.load(here / "{_WHOLE}")\n', shown
            )
        else:
            probed = one.probe is not None
            gate = f'f"{one.gate_with("{here}/" + _GATE)}"' if probed else repr(one.gate)
            code = self._lines(
                head, f'{here}vector = read_vector(here / "{_VECTOR}")\n', shown, gate
            )
        kept = io.BytesIO()
        with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(kept, "w") as archive:
            self._save(Path(folder), model)
            for path in sorted(Path(folder).iterdir()):
                archive.write(path, path.name)
            if picture is not None:
                drawn = io.BytesIO()
                picture.save(drawn, "PNG")
                archive.writestr(_PICTURE, drawn.getvalue())
            archive.writestr("steer.py", code)
            archive.writestr("setting.json", json.dumps(self.to_dict(), indent=1) + "\n")
            archive.writestr("README.txt", _README)
        return kept.getvalue()

    def _save(self, folder: Path, model: "Model") -> None:
        self.steering(model).save(folder / _WHOLE)
        one = self.alone
        if one is not None:
            one.vector.save(folder / _VECTOR)
        if one is not None and one.probe is not None:
            one.probe.save(folder / _GATE)

    def to_dict(self) -> dict[str, Any]:
        """JSON, schema 3; docs/playground.md describes the keys."""
        return {
            "kind": KIND,
            "schema": SCHEMA,
            "model": self.model,
            "adapter": self.adapter,
            "prompt": self.prompt,
            "picture": self.picture,
            "lines": [one.said().to_dict() for one in self.lines],
            "times": self.times,
            "max_new_tokens": self.max_new_tokens,
        }

    def _lines(self, head: str, read: str, picture: str, gate: str = "") -> str:
        one = self.alone
        adapter = "" if self.adapter is None else f", adapter={self.adapter!r}"
        steered = "steering" if one is None else f"vector, {_options(one, gate)}"
        return (
            f"{head}{_imports(one, read)}\n"
            f"model = sl.load_model({self.model!r}{adapter})\n"
            f"{read}"
            f"picture = {picture}\n"
            f"prompt = {self.prompt!r}\n\n"
            f"print(model.generate(picture, prompt, max_new_tokens={self.max_new_tokens}))\n"
            f"with sl.steer(model, {steered}) as receipt:\n"
            f"    print(model.generate(picture, prompt, max_new_tokens={self.max_new_tokens}))\n"
            "print(receipt.summary())\n"
        )


def _reading(one: Line, place: Path) -> str:
    """The line of Python that reads a direction of the run."""
    concept, rank, kept = one.direction.concept, one.direction.rank, one.direction.kept
    if concept is not None:
        return f"vector = sl.ConceptShift.load({str(place)!r})[{concept}].vector\n"
    if kept is not None:
        return f"vector = sl.Steering.load({str(place)!r}).interventions[{kept}].vector\n"
    if rank is not None:
        return (
            f"concepts = sl.Concepts.load({str(place.with_name('concepts'))!r})\n"
            f"vector = Discovery.load({f'{place}.json'!r}).vector({rank}, concepts)\n"
        )
    return f"vector = read_vector({str(place)!r})\n"


def _options(one: Line, gate: str) -> str:
    """What is given to ``steer`` beside the direction."""
    options = [f"strength={one.strength!r}", f"scope={one.scope!r}"]
    if one.does not in ("", "add"):
        options.append(f"operator=read_operator({one.does!r})")
    if one.gate:
        options.append(f"gate=read_gate(model, {gate})")
    return ", ".join(options)


def _imports(one: Line | None, read: str) -> str:
    """What the lines need beside the package's own name."""
    if one is None:
        return ""
    wanted = {
        "steering.discovering": ["Discovery"] * ("Discovery" in read),
        "steering.operators": ["read_operator"] * (one.does not in ("", "add")),
        "steering.reading": ["read_gate"] * bool(one.gate)
        + ["read_vector"] * ("read_vector" in read),
    }
    return "".join(
        f"from shiftlens.{home} import {', '.join(names)}\n"
        for home, names in wanted.items()
        if names
    )
