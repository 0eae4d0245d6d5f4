"""``Steering``: everything that is done to a model, as one thing that is kept and shared."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from shiftlens.concepts.files import load_pair, refusing, save_pair
from shiftlens.concepts.vectors import SteeringVector
from shiftlens.core.errors import ExportError, ShiftLensError, SteeringError, StoreError
from shiftlens.core.fields import Fields
from shiftlens.core.manifest import json_bytes
from shiftlens.core.strict_json import parse_strict
from shiftlens.steering.affine import AffineEdit
from shiftlens.steering.intervening import Intervention
from shiftlens.steering.keeping.interventions import intervention_data, intervention_from
from shiftlens.steering.keeping.parts import below, under
from shiftlens.steering.keeping.thumbnails import Thumbnail
from shiftlens.steering.operators import Add

KIND, SCHEMA = "steering", 1
FILE = "steering"
"""Of the two files in a folder."""

_MOST = 1000


@dataclass(frozen=True, eq=False)
class Steering:
    """One or more interventions with what a stranger must know of them.

    It holds everything that an ``Intervention`` can be: vectors and affine edits, strengths,
    operators, scopes, layers and gates, also combined ones. ``shiftlens.steer`` takes it as it is.

    Attributes:
        interventions: in the order in which they are applied.
        name: for people.
        description: a few sentences: what it does, what it was tried on.
        licence: of the artefact, an SPDX identifier ("apache-2.0"); empty where nobody said.
        provenance: JSON: how it was found ("search", "playground", ...); each vector has its own.
        thumbnails: small pictures of what it is about.
    """

    interventions: tuple[Intervention, ...]
    name: str = "steering"
    description: str = ""
    licence: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict[str, Any])
    thumbnails: tuple[Thumbnail, ...] = ()

    def __post_init__(self) -> None:
        if not self.interventions:
            raise SteeringError("no vector to steer with")

    @property
    def doses(self) -> list[dict[str, Any]]:
        """What an engine needs to bound the dose, one row an intervention, as JSON.

        ``state_norm`` is the mean length of the states at the vector's own layer; ``push`` the
        length of what is added there, for additions; ``dose`` one over the other.
        """
        return [dose_of(one) for one in self.interventions]

    def save(self, path: str | Path) -> None:
        """Write ``path.safetensors`` and ``path.json``; the format is docs/formats/steering.md.

        Args:
            path: without an ending.

        Raises:
            ExportError: a gate, an operator or a scope that is the user's own program, or anything
                that could not be read again (a strength that is no number, layers named twice).
            MachineError: the disk is full.
        """
        parts = [intervention_data(one) for one in self.interventions]
        tensors = {
            key: one for at, (_, own) in enumerate(parts) for key, one in under(str(at), own)
        }
        for at, picture in enumerate(self.thumbnails):
            tensors[f"thumbnail.{at}"] = picture.to_tensor()
        # One vector in several interventions is one tensor, which the format writes under one name.
        tensors = {key: one.clone() for key, one in tensors.items()}
        data = {
            "name": self.name,
            "description": self.description,
            "licence": self.licence,
            "provenance": dict(self.provenance),
            "interventions": [data for data, _ in parts],
            "thumbnails": [picture.caption for picture in self.thumbnails],
            "doses": self.doses,
        }
        self._require_readable(tensors, data)
        save_pair(Path(path), KIND, SCHEMA, tensors, data)

    def _require_readable(self, tensors: Mapping[str, Tensor], data: Any) -> None:
        """Refuse now what ``load`` would refuse when nobody can mend it any more.

        Raises:
            ExportError: it would.
        """
        try:
            told = parse_strict(json_bytes(data), "it", finite=False)
            self._from_data(tensors, Fields(told, "it"))
        except (ShiftLensError, TypeError, ValueError) as error:
            said = str(error).partition("\n")[0]
            raise ExportError(
                f"the steering {self.name[:60]!r} cannot be kept, since it could not be read "
                f"again: {said[:300]}",
                allowed=error.allowed if isinstance(error, ShiftLensError) else "",
            ) from error

    @classmethod
    def load(cls, path: str | Path) -> "Steering":
        """Read a steering that ``save`` or ``save_folder`` wrote.

        Args:
            path: with or without its ending, or the folder.

        Raises:
            StoreError: missing, damaged, of another kind or schema, or with parts of wrong kinds.
            SteeringError: parts that cannot be applied, as a scope that does not exist.
        """
        place = Path(path)
        if place.suffix in (".json", ".safetensors"):
            place = place.with_suffix("")
        elif place.is_dir():
            place = place / FILE
        tensors, data = load_pair(place, KIND, SCHEMA)
        with refusing(f"{place}.json"):
            return cls._from_data(tensors, Fields(data, f"data of {place}.json"))

    @classmethod
    def _from_data(cls, tensors: Mapping[str, Tensor], data: Fields) -> "Steering":
        parts = data.items("interventions")
        if len(parts) > _MOST:
            raise StoreError(f"{len(parts)} interventions", allowed=f"at most {_MOST}")
        data.items("doses", [])  # told for other programs: ours come from the vectors
        captions = data.texts("thumbnails")
        made = cls(
            tuple(
                intervention_from(
                    Fields(one, f"interventions[{at}] of {data.where}"), below(str(at), tensors)
                )
                for at, one in enumerate(parts)
            ),
            name=data.text("name"),
            description=data.text("description"),
            licence=data.text("licence"),
            provenance=data.object("provenance"),
            thumbnails=tuple(
                Thumbnail.from_tensor(tensors.get(f"thumbnail.{at}"), caption)
                for at, caption in enumerate(captions)
            ),
        )
        data.done()
        return made

    def save_folder(self, folder: str | Path) -> Path:
        """Write a folder that a hub takes as it is: both files, thumbnails, and a README card.

        Nothing is uploaded. ``huggingface_hub``'s ``upload_folder`` takes the folder.

        Args:
            folder: which is made.

        Returns:
            the folder.

        Raises:
            ExportError: a gate, an operator or a scope that is the user's own program.
            MachineError: the disk is full.
        """
        from shiftlens.core.manifest import write_atomic
        from shiftlens.steering.keeping.card import card

        root = Path(folder)
        root.mkdir(parents=True, exist_ok=True)
        self.save(root / FILE)
        for at, picture in enumerate(self.thumbnails):
            write_atomic(root / f"thumbnail-{at}.{picture.ending}", picture.image)
        write_atomic(root / "README.md", card(self).encode())
        return root


def dose_of(one: Intervention) -> dict[str, Any]:
    """A row of ``Steering.doses``."""
    vector, operator = one.vector, one.operator or Add()
    push = None
    if isinstance(vector, SteeringVector) and isinstance(operator, Add):
        push = abs(one.strength) * vector.norm
    known = push is not None and vector.state_norm > 0
    return {
        "tower": vector.site.tower,
        "layer": vector.layer,
        "state_norm": vector.state_norm,
        "push": push,
        "dose": push / vector.state_norm if push is not None and known else None,
    }


Source = SteeringVector | AffineEdit | Intervention | Steering
"""What becomes a ``Steering``."""


def several(what: Any) -> list[Source]:
    """One vector, edit, intervention or steering, or several of them, as a list.

    Args:
        what: of the types in ``Source``; names of files are often given in their place.

    Raises:
        SteeringError: something is none of them.
    """
    found: list[Any] = [what]
    if not isinstance(what, Source | str) and isinstance(what, Iterable):
        found = list[Any](what)
    for one in found:
        if not isinstance(one, Source):
            raise SteeringError(
                f"a {type(one).__name__} is not a steering vector",
                allowed="a SteeringVector, an AffineEdit, an Intervention, a Steering, or several",
                remedy="read one from its file: SteeringVector.load(PATH), or Steering.load(PATH)",
            )
    return found


def as_steering(what: Source | Sequence[Source], *, scope: str = "response") -> Steering:
    """A ``Steering`` of what was given; one that is a ``Steering`` already is returned as it is.

    Args:
        what: a vector, an affine edit, an intervention, a steering, or several of them.
        scope: of bare vectors and edits, which have none.

    Raises:
        SteeringError: nothing was given.
    """
    if isinstance(what, Steering):
        return what
    many = several(what)
    found: list[Intervention] = []
    for one in many:
        if isinstance(one, Steering):
            found += one.interventions
        else:
            found.append(one if isinstance(one, Intervention) else Intervention(one, scope=scope))
    names = dict.fromkeys(one.vector.name for one in found)
    return Steering(
        tuple(found),
        name=", ".join(names),
        description=_shared(found, "description"),
        licence=_shared(found, "licence"),
    )


def _shared(found: Sequence[Intervention], key: str) -> str:
    """What all vectors say of themselves; nothing where they differ."""
    said = {getattr(one.vector, key, "") for one in found}
    return said.pop() if len(said) == 1 else ""
