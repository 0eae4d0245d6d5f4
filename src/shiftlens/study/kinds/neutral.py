"""Gendered words that should become neutral ones, the rest of the caption left alone."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from shiftlens.core.errors import SteeringError
from shiftlens.study.asking import UNSTEERED, Judged
from shiftlens.study.cache import Result
from shiftlens.study.context import Context
from shiftlens.study.experiment import NeutralSpec
from shiftlens.study.sweeping import Asked, sweep
from shiftlens.study.trial import Trial

if TYPE_CHECKING:
    from shiftlens.activations.store import ActivationStore
    from shiftlens.steering.applying import Intervention

_GATED = "gated"


def study_neutral(context: Context, spec: NeutralSpec) -> Result:
    """One vector and one nearest-concept gate for every gendered word.

    At the last block the gate decides at every step, and opens where the word is about to be said;
    before it nobody knows yet what will be said, and it is decided from an unsteered pass.
    """
    from shiftlens.activations import tokens
    from shiftlens.activations.site import Site
    from shiftlens.steering.outcomes import says
    from shiftlens.steering.tasks import GenderTask
    from shiftlens.study.moving import moves

    trial = Trial.begin(context, spec)
    spec = replace(spec, swaps={k.lower(): v.lower() for k, v in spec.swaps.items()})
    words = sorted({*spec.swaps, *spec.swaps.values()})
    site = Site(layer=spec.layer, tokens=tokens.word(*words))
    store = context.harvest([trial.model], trial.fit, site, trial.folder / "fit")[0]
    interventions = _interventions(trial, spec, store)
    said = trial.ask(trial.judge)
    gendered = {
        sample.id for sample, text in zip(trial.judge, said, strict=True) if says(text, spec.swaps)
    }
    if not gendered:
        raise SteeringError(f"no caption of {spec.data!r} says {' or '.join(spec.swaps)}")
    samples = trial.judge.where(lambda s: s.id in gendered)
    task = GenderTask(spec.swaps, max_new_tokens=spec.max_new_tokens)
    on = trial.judged(spec.data, task, samples, {_GATED: interventions}, randomised=_GATED)
    _figures(trial, spec, on)
    shown = [
        trial.example(sample, {UNSTEERED: old, "steered": new}, opened)
        for sample, old, new, opened in zip(
            samples, on.texts(), on.texts(_GATED), on.opened(_GATED), strict=True
        )
    ]
    rest = on.line(_GATED, "rest_unchanged") if on.has(_GATED, "rest_unchanged") else None
    return trial.result(
        len(samples),
        "From the mean state that emits the gendered word to the one that emits the neutral word, "
        "added only where a state is nearest to a concept of that word and, at the last block, "
        "about to say it.",
        shown,
        kind="neutral",
        neutralised=on.line(_GATED, "neutralised").value.estimate,
        rest_unchanged=None if rest is None else rest.value.estimate,
        meant=[{"before": old, "after": new} for old, new in spec.swaps.items()],
        changes={on.trial: moves(on, lambda _, text: _said(text, words))},
        **sweep(
            trial,
            [Asked(task, on)],
            _GATED,
            interventions,
            "neutralised",
            budgets={"rest_unchanged": round(1 - spec.goal_unchanged, 6)},
        ),
    )


def _said(text: str, words: Sequence[str]) -> str:
    """Which of the words a caption says, whole and in any letter case."""
    from shiftlens.steering.outcomes import says

    return " and ".join(word for word in words if says(text, [word])) or "(none of them)"


def _figures(trial: Trial, spec: NeutralSpec, on: Judged) -> None:
    trial.figure(
        "neutralised",
        "gendered captions neutralised",
        on.line(_GATED, "neutralised").value,
        goal=f">= {spec.goal_neutralised:g}",
    )
    if on.has(_GATED, "rest_unchanged"):
        rest = on.line(_GATED, "rest_unchanged")
        trial.figure(
            "rest_unchanged",
            f"rest of those captions unchanged (n = {rest.n})",
            rest.value,
            role="side effect",
            goal=f">= {spec.goal_unchanged:g}",
        )
    trial.figure(
        "neutralised_random",
        "neutralised by random directions of equal length",
        on.by_chance(_GATED, "neutralised"),
        role="control",
    )


def _interventions(
    trial: Trial, spec: NeutralSpec, store: "ActivationStore"
) -> "list[Intervention]":
    from shiftlens.concepts.learners.kmeans import KMeans
    from shiftlens.concepts.learning import learn
    from shiftlens.steering.directions import mean_difference
    from shiftlens.steering.gates import AboutToSay, NearestConcept, TwoPassGate

    layer = trial.model.address.layer(spec.layer, trial.model.name)
    last = layer == trial.model.address.n_layers - 1
    concepts = learn(store, KMeans(k=spec.k, seed=trial.context.experiment.seed))
    labels, rows = concepts.assign(store.states()).tolist(), store.rows
    counts = Counter((label, row.word.lower()) for label, row in zip(labels, rows, strict=True))
    found: list[Intervention] = []
    for gendered, neutral in spec.swaps.items():
        own = [
            index
            for index in range(concepts.k)
            if 2 * counts[index, gendered] > sum(counts[index, word] for word in _all(spec))
        ]
        if not own:
            raise SteeringError(
                f"no concept of {spec.data!r} belongs mostly to the word {gendered!r}",
                remedy="raise k, or give more samples in which the model says it",
            )
        vector = mean_difference(
            store,
            source=lambda row, word=gendered: row.word.lower() == word,
            target=lambda row, word=neutral: row.word.lower() == word,
            name=f"{gendered} to {neutral}",
        )
        trial.keep(vector, f"{gendered}-to-{neutral}")
        nearest = NearestConcept.of(concepts, own, store)
        said = AboutToSay.of(trial.model, gendered) if last else None
        gate = nearest.at_every_step() & said if said else TwoPassGate(nearest)
        found.append(trial.intervene(vector, gate=gate))
    return found


def _all(spec: NeutralSpec) -> set[str]:
    return {*spec.swaps, *spec.swaps.values()}
