"""What the kinds of steering share: who fits, who judges, what is said, how it is written down."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shiftlens.core.goals import meets
from shiftlens.core.intervals import Interval
from shiftlens.data.sample import Sample, Samples
from shiftlens.study.asking import Judged, arms_of
from shiftlens.study.context import Context
from shiftlens.study.experiment import SteeringSpec

if TYPE_CHECKING:
    from shiftlens.concepts.vectors import SteeringVector
    from shiftlens.models.model import Model
    from shiftlens.steering.applying import Intervention
    from shiftlens.steering.tasks import Task


@dataclass
class Trial:
    """One steering under way: its parts of the data, and what has been found so far."""

    context: Context
    spec: SteeringSpec
    fit: Samples
    judge: Samples
    receipts: list[str] = field(default_factory=list[str])
    figures: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    table: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    @staticmethod
    def begin(context: Context, spec: SteeringSpec, samples: Samples | None = None) -> "Trial":
        """Cut the samples: vectors and gates are fitted on one part and judged on the other.

        Args:
            context: of the run.
            spec: of the steering.
            samples: in place of the spec's data.
        """
        samples = context.samples(spec.data) if samples is None else samples
        fit, judge = samples.split(spec.fit, 1 - spec.fit, seed=context.experiment.seed)
        return Trial(context, spec, fit, judge)

    @property
    def model(self) -> "Model":
        """The base model: the one that is steered."""
        return self.context.models[0]

    @property
    def folder(self) -> Path:
        """Where this steering keeps its stores and vectors."""
        return self.context.root / "steering" / self.spec.name

    def ask(self, samples: Sequence[Sample]) -> list[str]:
        """What the unsteered model says."""
        said = self.model.respond(
            samples,
            max_new_tokens=self.spec.max_new_tokens,
            batch_size=self.context.experiment.batch_size,
            progress=self.context.progress,
        )
        return [one.text for one in said]

    def intervene(
        self, vector: "SteeringVector", *, strength: float | None = None, gate: Any = None
    ) -> "Intervention":
        """The vector in the experiment's scope and strength."""
        from shiftlens.steering.applying import Intervention

        chosen = self.spec.strength if strength is None else strength
        return Intervention(vector, chosen, self.spec.scope, gate)

    def steered(
        self, samples: Sequence[Sample], interventions: "Sequence[Intervention]", label: str
    ) -> list[str]:
        """What the steered model says; the receipt is kept under the label."""
        from shiftlens.steering.responding import steer_responses

        said, receipt = steer_responses(
            self.model,
            samples,
            interventions,
            max_new_tokens=self.spec.max_new_tokens,
            batch_size=self.context.experiment.batch_size,
            progress=self.context.progress,
        )
        self.receipts += [f"{label}: {line}" for line in receipt.summary().splitlines()]
        return [one.text for one in said]

    def judged(
        self,
        name: str,
        task: "Task",
        samples: Samples,
        steered: "Mapping[str, Sequence[Intervention]]",
        *,
        randomised: str = "",
    ) -> Judged:
        """Ask all arms, baselines included; their lines join the table, their receipts the rest.

        Args:
            name: of what is asked.
            task: that scores the answers.
            samples: what is asked.
            steered: by the arm's name what it steers with.
            randomised: the arm that also comes as a random direction where the spec asks for no
                further ``controls``; empty for none.
        """
        from shiftlens.steering.evaluating import Trial as Asked
        from shiftlens.steering.evaluating import evaluate

        spec, experiment = self.spec, self.context.experiment
        arms = arms_of(
            steered,
            randomised="" if spec.controls else randomised,
            instruction=spec.instruction,
            tuned=self.context.models[1] if spec.with_tuned else None,
            seed=experiment.seed,
        )
        found = evaluate(
            self.model,
            [Asked(name, task, samples)],
            arms,
            controls=spec.controls,
            fluency=spec.fluency,
            n_examples=len(samples),
            batch_size=experiment.batch_size,
            seed=experiment.seed,
            progress=self.context.progress,
        )
        judged = Judged(name, samples, found)
        self.receipts += judged.receipts()
        self.table += judged.lines()
        return judged

    def keep(self, vector: "SteeringVector", name: str) -> None:
        """Save a vector as an artefact of the run."""
        vector.save(self.folder / name)

    def figure(
        self, name: str, label: str, interval: Interval, *, role: str = "effect", goal: str = ""
    ) -> None:
        """Write down a number with its interval and, where there is one, its goal."""
        self.figures.append(
            {
                "name": name,
                "label": label,
                **interval.to_dict(),
                "role": role,
                "goal": goal or None,
                "holds": meets(interval.estimate, goal) if goal else None,
            }
        )

    def example(
        self, sample: Sample, answers: Mapping[str, str], gate: bool | None = None
    ) -> dict[str, Any]:
        """One sample as the report shows it."""
        return {
            "id": sample.id,
            "image": self.context.shown(sample),
            "prompt": sample.prompt,
            "answers": [{"label": label, "text": text} for label, text in answers.items()],
            "gate": None if gate is None else ("open" if gate else "closed"),
        }

    def result(
        self, n: int, method: str, examples: Sequence[dict[str, Any]], **numbers: Any
    ) -> dict[str, Any]:
        """Everything about this steering, as metrics.json and the report hold it."""
        spec = self.spec
        return {
            "title": spec.title,
            "question": spec.question,
            "method": method,
            "layer": self.model.address.layer(spec.layer, self.model.name),
            "strength": spec.strength,
            "scope": spec.scope,
            "n": n,
            **numbers,
            "figures": self.figures,
            **({"table": self.table} if self.table else {}),
            "receipt": self.receipts,
            "examples": list(examples)[: spec.n_examples],
        }
