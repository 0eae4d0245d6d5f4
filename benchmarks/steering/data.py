"""Draws of the world's collections, models, and answers, shared by the parts of the benchmark."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from shiftlens.activations.harvesting import harvest
from shiftlens.activations.site import Site
from shiftlens.activations.store import ActivationStore
from shiftlens.data.reading import read
from shiftlens.data.sample import Sample, Samples
from shiftlens.models.loading import load_pair
from shiftlens.models.model import Model
from shiftlens.steering.arms import Arm
from shiftlens.steering.intervening import Intervention
from shiftlens.world import models
from shiftlens.world.source import materialise

SPLITS = (0, 1, 2)
CONTROLS = (11, 12, 13)
"""Seeds of the random directions that every effect is held against."""

_NEW = 20
_BATCH = 100


@dataclass
class Bench:
    """Where draws and stores are kept, and who is asked.

    Attributes:
        root: the benchmark's directory.
        base: the world's model.
        tuned: the same with the places adapter.
    """

    root: Path
    base: Model
    tuned: Model
    _said: dict[tuple[str, str], list[str]] = field(
        default_factory=dict[tuple[str, str], list[str]]
    )

    @staticmethod
    def open(root: Path) -> "Bench":
        """Load the world's models."""
        base, tuned = load_pair(str(models.path("base")), str(models.path("places")))
        return Bench(root, base, tuned)

    def draw(self, name: str, n: int, seed: int) -> Samples:
        """A collection, drawn once."""
        folder = self.root / "data" / f"{name}-{n}-{seed}"
        if not (folder / "data.jsonl").exists():
            materialise(name, folder, n=n, seed=seed)
        return read(folder)

    def states(
        self, asked: Sequence[Model], samples: Samples, site: Site, name: str
    ) -> list[ActivationStore]:
        """States of the samples, the answers being the first model's own."""
        return harvest(
            list(asked),
            samples,
            site,
            self.root / "states" / name,
            response="own" if len(asked) == 1 else "base",
            max_new_tokens=_NEW,
            batch_size=_BATCH,
        )

    def ask(self, model: Model, samples: Samples) -> list[str]:
        """Unsteered answers, asked once."""
        key = (model.label, samples.fingerprint)
        if key not in self._said:
            said = model.respond(samples, max_new_tokens=_NEW, batch_size=_BATCH)
            self._said[key] = [one.text for one in said]
        return self._said[key]

    def steer(
        self, model: Model, samples: Sequence[Sample], interventions: Sequence[Intervention]
    ) -> list[str]:
        """Steered answers."""
        return self._answer(model, samples, Arm("steered", tuple(interventions)))

    def controls(
        self, model: Model, samples: Sequence[Sample], interventions: Sequence[Intervention]
    ) -> list[list[str]]:
        """The same with random directions of equal length, once for each seed."""
        arm = Arm("steered", tuple(interventions))
        return [self._answer(model, samples, arm.control(seed)) for seed in CONTROLS]

    def _answer(self, model: Model, samples: Sequence[Sample], arm: Arm) -> list[str]:
        said, _ = arm.answer(model, samples, max_new_tokens=_NEW, batch_size=_BATCH)
        return [one.text for one in said]
