"""``Steering``: everything that is done to a model, as one thing with a name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shiftlens.concepts.vectors import SteeringVector
from shiftlens.core.errors import SteeringError
from shiftlens.steering.affine import AffineEdit
from shiftlens.steering.intervening import Intervention


@dataclass(frozen=True, eq=False)
class Steering:
    """One or more interventions with what a stranger must know of them.

    Attributes:
        interventions: in the order in which they are applied.
        name: for people.
        description: a few sentences: what it does, what it was tried on.
        licence: of the artefact, an SPDX identifier ("apache-2.0"); empty where nobody said.
        provenance: JSON: how it was found ("search", "playground", ...).
    """

    interventions: tuple[Intervention, ...]
    name: str = "steering"
    description: str = ""
    licence: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        if not self.interventions:
            raise SteeringError("no vector to steer with")


Source = SteeringVector | AffineEdit | Intervention | Steering
"""What becomes a ``Steering``."""


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
    many = [what] if isinstance(what, SteeringVector | AffineEdit | Intervention) else list(what)
    found: list[Intervention] = []
    for one in many:
        if isinstance(one, Steering):
            found += one.interventions
        else:
            found.append(one if isinstance(one, Intervention) else Intervention(one, scope=scope))
    names = dict.fromkeys(one.vector.name for one in found)
    return Steering(tuple(found), name=", ".join(names))
