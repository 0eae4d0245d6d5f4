"""``Setting``: what is asked and how it is steered, as lines of Python and as a file to keep."""

import io
import json
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import shiftlens as sl
from shiftlens.playground.library import Direction

if TYPE_CHECKING:
    from PIL.Image import Image

_PICTURE = "picture.png"
_VECTOR = "vector"
_README = """What is in this archive

steer.py             run it: python steer.py (needs shiftlens, and the model under the same name)
vector.*             the direction: shiftlens.SteeringVector.load("vector")
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
    max_new_tokens: int = 64

    @property
    def vector(self) -> "sl.SteeringVector":
        """The direction at the layer."""
        return self.direction.vectors[self.layer]

    def to_python(self) -> str:
        """Lines that give the same two answers, from the files of the run."""
        place = str(self.root / self.direction.sources[self.layer])
        if self.direction.concept is None:
            read = f"vector = sl.SteeringVector.load({place!r})"
        else:
            read = f"vector = sl.ConceptShift.load({place!r})[{self.direction.concept}].vector"
        note = "  # the picture that you chose" if self.uploaded else ""
        picture = _PICTURE if self.uploaded else self.picture
        return self._lines("import shiftlens as sl\n", f"{read}\n", f"{picture!r}{note}")

    def archive(self, picture: "Image | None") -> bytes:
        """A zip of the direction, the picture, and lines of Python that need nothing else.

        Args:
            picture: as the model saw it.
        """
        head = (
            "from pathlib import Path\n\nimport shiftlens as sl\n\nhere = Path(__file__).parent\n"
        )
        read = f'vector = sl.SteeringVector.load(here / "{_VECTOR}")\n'
        shown = "None" if picture is None else f'here / "{_PICTURE}"'
        kept = io.BytesIO()
        with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(kept, "w") as archive:
            self.vector.save(Path(folder) / _VECTOR)
            for path in sorted(Path(folder).iterdir()):
                archive.write(path, path.name)
            if picture is not None:
                drawn = io.BytesIO()
                picture.save(drawn, "PNG")
                archive.writestr(_PICTURE, drawn.getvalue())
            archive.writestr("steer.py", self._lines(head, read, shown))
            archive.writestr("setting.json", json.dumps(self.to_dict(), indent=1) + "\n")
            archive.writestr("README.txt", _README)
        return kept.getvalue()

    def to_dict(self) -> dict[str, Any]:
        """JSON, schema 1; docs/playground.md describes the keys."""
        return {
            "kind": "playground setting",
            "schema": 1,
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
            "max_new_tokens": self.max_new_tokens,
        }

    def _lines(self, head: str, read: str, picture: str) -> str:
        adapter = "" if self.adapter is None else f", adapter={self.adapter!r}"
        return (
            f"{head}\n"
            f"model = sl.load_model({self.model!r}{adapter})\n"
            f"{read}"
            f"picture = {picture}\n"
            f"prompt = {self.prompt!r}\n\n"
            f"print(model.generate(picture, prompt, max_new_tokens={self.max_new_tokens}))\n"
            f"with sl.steer(model, vector, strength={self.strength!r}, scope={self.scope!r})"
            " as receipt:\n"
            f"    print(model.generate(picture, prompt, max_new_tokens={self.max_new_tokens}))\n"
            "print(receipt.summary())\n"
        )
