"""``Arm``: one way of asking a model: as it is, steered, told so in words, or another model."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from shiftlens.core.errors import SteeringError
from shiftlens.core.progress import Progress
from shiftlens.data.sample import Sample
from shiftlens.models.model import Model, Response
from shiftlens.steering.affine import AffineEdit
from shiftlens.steering.intervening import Intervention
from shiftlens.steering.operators import Add
from shiftlens.steering.random_controls import random_like_this
from shiftlens.steering.receipt import Receipt
from shiftlens.steering.responding import steer_responses


@dataclass(frozen=True)
class Arm:
    """One way of getting answers.

    Attributes:
        name: for tables.
        interventions: what is steered with; none for the model as it is.
        model: another model that answers in its place: the fine-tuned one, one with an adapter.
        instruction: what is put before every prompt: the baseline of saying it in words.

    Raises:
        SteeringError: it has no name.
    """

    name: str
    interventions: tuple[Intervention, ...] = ()
    model: Model | None = None
    instruction: str = ""

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise SteeringError("an arm without a name", allowed='Arm("steered", (intervention,))')

    @property
    def changes_nothing(self) -> bool:
        """Whether it asks as the unsteered model is asked."""
        return not (self.interventions or self.instruction or self.model)

    def control(self, seed: int) -> "Arm":
        """The same with vectors of equal length in random directions.

        Raises:
            SteeringError: nothing is steered, so nothing can be randomised.
        """
        if not self.interventions:
            raise SteeringError(f"{self.name!r} steers with nothing that could be randomised")
        random = [random_like_this(one, seed + at) for at, one in enumerate(self.interventions)]
        return replace(self, name=f"{self.name}, random {seed}", interventions=tuple(random))

    def asked(self, samples: Sequence[Sample]) -> list[Sample]:
        """The samples as this arm asks them."""
        if not self.instruction:
            return list(samples)
        return [replace(s, prompt=f"{self.instruction} {s.prompt}") for s in samples]

    def answer(
        self,
        model: Model,
        samples: Sequence[Sample],
        *,
        max_new_tokens: int = 64,
        batch_size: int = 32,
        progress: Progress | None = None,
    ) -> tuple[list[Response], Receipt | None]:
        """What is said to the samples, and the receipt where something was steered.

        Args:
            model: who answers, unless the arm has a model of its own.
            samples: what is asked.
            max_new_tokens: where to stop when the model does not.
            batch_size: samples at once.
            progress: who is told.
        """
        who, asked = self.model or model, self.asked(samples)
        if not self.interventions:
            said = who.respond(
                asked, max_new_tokens=max_new_tokens, batch_size=batch_size, progress=progress
            )
            return said, None
        return steer_responses(
            who,
            asked,
            self.interventions,
            max_new_tokens=max_new_tokens,
            batch_size=batch_size,
            progress=progress,
        )

    def describe(self) -> dict[str, Any]:
        """What it is, as JSON."""
        return {
            "model": None if self.model is None else self.model.provenance,
            "instruction": self.instruction,
            "vectors": [_described(one) for one in self.interventions],
        }


def _described(one: Intervention) -> dict[str, Any]:
    vector = one.vector
    affine = isinstance(vector, AffineEdit)
    return {
        "name": vector.name,
        "kind": vector.kind,
        "layers": list(one.layers or (vector.layer,)),
        "strength": one.strength,
        "scope": str(one.scope),
        "operator": vector.kind if affine else (one.operator or Add()).name,
        "gate": None if one.gate is None else one.gate.describe(),
        "provenance": dict(vector.provenance),
    }
