"""Gendered words that should become neutral ones, the rest of the caption left alone."""

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from shiftlens.core.errors import SteeringError
from shiftlens.study.cache import Result
from shiftlens.study.context import Context
from shiftlens.study.experiment import NeutralSpec
from shiftlens.study.trial import Trial

if TYPE_CHECKING:
    from shiftlens.activations.store import ActivationStore
    from shiftlens.steering.applying import Intervention


def study_neutral(context: Context, spec: NeutralSpec) -> Result:
    """One vector and one nearest-concept gate for every gendered word.

    At the last block the gate decides at every step, and opens where the word is about to be said;
    before it nobody knows yet what will be said, and it is decided from an unsteered pass.
    """
    from shiftlens.activations import tokens
    from shiftlens.activations.site import Site
    from shiftlens.steering.outcomes import neutralised, rest_unchanged, says, share
    from shiftlens.steering.random_controls import random_like_this

    trial = Trial.begin(context, spec)
    spec = replace(spec, swaps={k.lower(): v.lower() for k, v in spec.swaps.items()})
    words = sorted({*spec.swaps, *spec.swaps.values()})
    site = Site(layer=spec.layer, tokens=tokens.word(*words))
    store = context.harvest([trial.model], trial.fit, site, trial.folder / "fit")[0]
    interventions = _interventions(trial, spec, store)
    said = trial.ask(trial.judge)
    chosen = [i for i, text in enumerate(said) if says(text, spec.swaps)]
    if not chosen:
        raise SteeringError(f"no caption of {spec.data!r} says {' or '.join(spec.swaps)}")
    samples, before = [trial.judge[i] for i in chosen], [said[i] for i in chosen]
    after, opened = trial.gated(samples, interventions, "gated")
    controls = [random_like_this(one, context.experiment.seed) for one in interventions]
    random = trial.steered(samples, controls, "random direction")
    done = [neutralised(text, spec.swaps) for text in after]
    kept = [
        rest_unchanged(old, new, spec.swaps)
        for old, new, flag in zip(before, after, done, strict=True)
        if flag
    ]
    effect = share(done)
    trial.figure("neutralised", "gendered captions neutralised", effect,
                 goal=f">= {spec.goal_neutralised:g}")  # fmt: skip
    if kept:
        trial.figure(
            "rest_unchanged",
            f"rest of those captions unchanged (n = {len(kept)})",
            share(kept),
            role="side effect",
            goal=f">= {spec.goal_unchanged:g}",
        )
    trial.figure(
        "neutralised_random",
        "neutralised by random directions of equal length",
        share([neutralised(text, spec.swaps) for text in random]),
        role="control",
    )
    shown = [
        trial.example(s, {"unsteered": old, "steered": new}, gate)
        for s, old, new, gate in zip(samples, before, after, opened, strict=True)
    ]
    return trial.result(
        len(samples),
        "From the mean state that emits the gendered word to the one that emits the neutral word, "
        "added only where a state is nearest to a concept of that word and, at the last block, "
        "about to say it.",
        shown,
        kind="neutral",
        neutralised=effect.estimate,
        rest_unchanged=sum(kept) / len(kept) if kept else None,
    )


def _interventions(
    trial: Trial, spec: NeutralSpec, store: "ActivationStore"
) -> "list[Intervention]":
    from shiftlens.concepts.kmeans import KMeans
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
