"""Which directions between concepts mean something (Khayatan et al. 2025, appendix B.3)."""

from typing import TYPE_CHECKING, Any

from shiftlens.study.asking import UNSTEERED
from shiftlens.study.cache import Result
from shiftlens.study.context import Context
from shiftlens.study.experiment import DiscoverSpec
from shiftlens.study.trial import Trial

if TYPE_CHECKING:
    from shiftlens.concepts.concepts import Concepts
    from shiftlens.data.sample import Samples
    from shiftlens.steering.discovering import Discovery

_LISTED = 15  # directions in metrics.json; all of them are in discovery.json
_ASKED = 64  # of the best direction, for examples


def study_discover(context: Context, spec: DiscoverSpec) -> Result:
    """Concepts from one part of the samples, their directions judged on the other.

    ``steering/NAME/discovery.json`` holds every direction, ``best-1`` and so on the best vectors.

    Raises:
        SteeringError: nothing to ask.
    """
    from shiftlens.steering.discovering import discover
    from shiftlens.steering.outcomes import share

    trial, experiment = Trial.begin(context, spec), context.experiment
    concepts = _concepts(trial, spec)
    concepts.save(trial.folder / "concepts")
    found = discover(
        trial.model,
        concepts,
        trial.judge,
        strength=spec.strength,
        scope=spec.scope,
        top=spec.top,
        n_random=spec.n_random,
        max_new_tokens=spec.max_new_tokens,
        seed=experiment.seed,
        batch_size=experiment.batch_size,
        out=trial.folder,
        progress=context.progress,
    )
    for rank in range(min(spec.kept, len(found.directions))):
        trial.keep(found.vector(rank, concepts), f"best-{rank + 1}")
    trial.figure(
        "meaningful",
        f"directions that score above all {spec.n_random} random ones",
        share([one in found.meaningful for one in found.directions]),
    )
    return trial.result(
        found.n,
        f"Every ordered pair of {concepts.k} concepts of the states that emit the answer gives a "
        "direction. Its score is how far the few answers that gain most are above the next; "
        "random directions as long are the null.",
        _examples(trial, found, concepts),
        kind="discover",
        concepts=concepts.k,
        meaningful=len(found.meaningful),
        tried=len(found.directions),
        directions=found.table()[:_LISTED],
        null=list(found.null),
    )


def _concepts(trial: Trial, spec: DiscoverSpec) -> "Concepts":
    """k-means on the last prompt position, with the words that each concept says."""
    from shiftlens.activations import tokens
    from shiftlens.activations.site import Site
    from shiftlens.concepts.grounding.ground import ground
    from shiftlens.concepts.learners.kmeans import KMeans
    from shiftlens.concepts.learning import learn

    experiment = trial.context.experiment
    site = Site(layer=spec.layer, tokens=tokens.last_prompt())
    store = trial.context.harvest([trial.model], trial.fit, site, trial.folder / "fit")[0]
    return ground(
        learn(store, KMeans(k=spec.k, seed=experiment.seed)),
        store,
        trial.model.readout,
        n_words=experiment.n_words,
        stop_words=experiment.stop_words,
    )


def _examples(trial: Trial, found: "Discovery", concepts: "Concepts") -> list[dict[str, Any]]:
    """Samples under the best direction; those whose answer it changed come first."""
    samples: Samples = trial.judge[:_ASKED]
    before = trial.ask(samples)
    after = trial.steered(samples, [trial.intervene(found.vector(0, concepts))], "best direction")
    rows = [
        (old == new, trial.example(sample, {UNSTEERED: old, "best direction": new}))
        for sample, old, new in zip(samples, before, after, strict=True)
    ]
    return [row for _, row in sorted(rows, key=lambda pair: pair[0])]
