"""``Setting``: what is asked and how it is steered, as lines of Python and as a file to keep."""

import io
import json
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import shiftlens as sl
from shiftlens.playground.library import Direction, Steering
from shiftlens.steering.affine import AffineEdit

if TYPE_CHECKING:
    from PIL.Image import Image

    from shiftlens.models.model import Model
    from shiftlens.steering.gates import LinearGate

_PICTURE = "picture.png"
_VECTOR = "vector"
_GATE = "gate"
_WHOLE = "steering"
_PROBE = "probe:"
_README = """What is in this archive

steer.py             run it: python steer.py (needs shiftlens, and the model under the same name)
vector.*             the direction: shiftlens steer --vector vector
gate.*               the probe that decides when, where there is one: --gate probe:gate
steering.*           all of it as one thing, for shiftlens steer --vector and shiftlens export
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
        picture: path of a picture of the run; ``None`` for an uploaded one or none.
        uploaded: whether there is a picture that only the visitor has.
        direction: what is steered with.
        layer: one of the direction's.
        strength: how much of it.
        scope: which positions.
        operator: what is done with the direction; an affine edit brings its own.
        gate: when, as ``shiftlens steer`` takes it, probes by their names in the run; empty for
            always.
        probe: the probe of the gate.
        max_new_tokens: where answers are cut off.
        root: the run's directory.
    """

    model: str
    prompt: str
    direction: Direction
    layer: int
    root: Path
    adapter: str | None = None
    picture: str | None = None
    uploaded: bool = False
    strength: float = 1.0
    scope: str = "response"
    operator: str = "add"
    gate: str = ""
    probe: "LinearGate | None" = None
    max_new_tokens: int = 64

    @property
    def vector(self) -> Steering:
        """The direction at the layer."""
        return self.direction.vectors[self.layer]

    @property
    def how(self) -> str:
        """What is done with it; empty where it says so itself."""
        return "" if isinstance(self.vector, AffineEdit) else self.operator

    @property
    def gate_here(self) -> str:
        """The gate with its probe by its place on this machine."""
        return self._gate(str(self.root / self.gate.partition(_PROBE)[2]))

    @property
    def _probed(self) -> bool:
        """Whether the gate is a probe: words may hold anything."""
        return self.gate.removeprefix("not:").startswith(_PROBE)

    def to_python(self) -> str:
        """Lines that give the same two answers, from the files of the run."""
        place = self.root / self.direction.sources[self.layer]
        concept, rank = self.direction.concept, self.direction.rank
        if concept is not None:
            read = f"vector = sl.ConceptShift.load({str(place)!r})[{concept}].vector"
        elif rank is not None:
            read = (
                f"concepts = sl.Concepts.load({str(place.with_name('concepts'))!r})\n"
                f"vector = Discovery.load({f'{place}.json'!r}).vector({rank}, concepts)"
            )
        else:
            read = f"vector = read_vector({str(place)!r})"
        note = "  # the picture that you chose" if self.uploaded else ""
        picture = _PICTURE if self.uploaded else self.picture
        gate = repr(self.gate_here)
        return self._lines("import shiftlens as sl\n", f"{read}\n", f"{picture!r}{note}", gate)

    def steering(self, model: "Model") -> "sl.Steering":
        """The setting without its question, as one thing that is saved, shared and exported.

        Args:
            model: who was steered: some gates read its words.
        """
        from shiftlens.steering.intervening import Intervention
        from shiftlens.steering.operators import read_operator
        from shiftlens.steering.reading import read_gate

        one = Intervention(
            self.vector,
            self.strength,
            self.scope,
            read_gate(model, self.gate_here) if self.gate else None,
            read_operator(self.how) if self.how else None,
        )
        return sl.Steering(
            (one,),
            name=self.vector.name,
            provenance={"made by": "playground", "prompt": self.prompt},
        )

    def archive(self, picture: "Image | None", model: "Model | None" = None) -> bytes:
        """A zip of the direction, the picture, and lines of Python that need nothing else.

        Args:
            picture: as the model saw it.
            model: who was steered; with it the archive has the whole as a steering, too.
        """
        head = "from pathlib import Path\n\nimport shiftlens as sl\n"
        read = f'here = Path(__file__).parent\nvector = read_vector(here / "{_VECTOR}")\n'
        gate = repr(self.gate) if self.probe is None else f'f"{self._gate("{here}/" + _GATE)}"'
        shown = "None" if picture is None else f'here / "{_PICTURE}"'
        kept = io.BytesIO()
        with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(kept, "w") as archive:
            self.vector.save(Path(folder) / _VECTOR)
            if self.probe is not None:
                self.probe.save(Path(folder) / _GATE)
            if model is not None:
                self.steering(model).save(Path(folder) / _WHOLE)
            for path in sorted(Path(folder).iterdir()):
                archive.write(path, path.name)
            if picture is not None:
                drawn = io.BytesIO()
                picture.save(drawn, "PNG")
                archive.writestr(_PICTURE, drawn.getvalue())
            archive.writestr("steer.py", self._lines(head, read, shown, gate))
            archive.writestr("setting.json", json.dumps(self.to_dict(), indent=1) + "\n")
            archive.writestr("README.txt", _README)
        return kept.getvalue()

    def to_dict(self) -> dict[str, Any]:
        """JSON, schema 2; docs/playground.md describes the keys."""
        return {
            "kind": "playground setting",
            "schema": 2,
            "model": self.model,
            "adapter": self.adapter,
            "prompt": self.prompt,
            "picture": self.picture,
            "direction": {
                "name": self.vector.name,
                "kind": self.vector.kind,
                "source": self.direction.sources[self.layer],
                "concept": self.direction.concept,
            },
            "layer": self.layer,
            "strength": self.strength,
            "scope": self.scope,
            "operator": self.how or None,
            "gate": self._gate(_GATE) or None,
            "max_new_tokens": self.max_new_tokens,
        }

    def _gate(self, probe: str) -> str:
        """The gate with its probe at a place."""
        head = self.gate.partition(_PROBE)[0]
        return f"{head}{_PROBE}{probe}" if self._probed else self.gate

    def _lines(self, head: str, read: str, picture: str, gate: str) -> str:
        adapter = "" if self.adapter is None else f", adapter={self.adapter!r}"
        options = [f"strength={self.strength!r}", f"scope={self.scope!r}"]
        if self.how not in ("", "add"):
            options.append(f"operator=read_operator({self.how!r})")
        if self.gate:
            options.append(f"gate=read_gate(model, {gate})")
        listed = ", ".join(options)
        return (
            f"{head}{self._imports(read)}\n"
            f"model = sl.load_model({self.model!r}{adapter})\n"
            f"{read}"
            f"picture = {picture}\n"
            f"prompt = {self.prompt!r}\n\n"
            f"print(model.generate(picture, prompt, max_new_tokens={self.max_new_tokens}))\n"
            f"with sl.steer(model, vector, {listed}) as receipt:\n"
            f"    print(model.generate(picture, prompt, max_new_tokens={self.max_new_tokens}))\n"
            "print(receipt.summary())\n"
        )

    def _imports(self, read: str) -> str:
        """What the lines need beside the package's own name."""
        wanted = {
            "steering.discovering": ["Discovery"] * ("Discovery" in read),
            "steering.operators": ["read_operator"] * (self.how not in ("", "add")),
            "steering.reading": ["read_gate"] * bool(self.gate)
            + ["read_vector"] * ("read_vector" in read),
        }
        return "".join(
            f"from shiftlens.{home} import {', '.join(names)}\n"
            for home, names in wanted.items()
            if names
        )
