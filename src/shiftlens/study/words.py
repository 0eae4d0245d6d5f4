"""One token of interest, from samples to concepts, shift vectors and recovery."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shiftlens.core.errors import DataError, ShiftLensError
from shiftlens.study.cache import Result
from shiftlens.study.context import Context
from shiftlens.study.experiment import WordsSpec

if TYPE_CHECKING:
    from shiftlens.activations.store import ActivationStore
    from shiftlens.concepts.learners.kmeans import KMeans
    from shiftlens.shift.concept_shift import ConceptShift

_TEXTS = ("base", "on_base_text", "tuned")
_RANDOM_DRAWS = 5


def study_words(context: Context, spec: WordsSpec) -> Result:
    """Harvest, learn and compare one token of interest.

    Returns:
        a JSON object with the parts ``harvest``, ``learn`` and ``compare``, and, among several
        fine-tunes, ``gains``; each is cached.
    """
    experiment, name = context.experiment, spec.name
    _require_factors(context, spec)
    inputs: dict[str, Any] = {
        "models": context.models_key,
        "samples": context.samples(spec.data).fingerprint,
        # Named only where it is true, so that finished stages of other experiments stay good.
        "words": [name, spec.members, spec.layer, *(["normed"] if spec.normed else [])],
        "run": [experiment.batch_size, experiment.max_new_tokens],
    }
    harvested = context.cache.run(
        context.stage("harvest", name), inputs, lambda: _harvest(context, spec)
    )
    inputs["stores"] = harvested["fingerprints"]
    inputs["learner"] = [spec.k, experiment.seed, experiment.n_words, experiment.stop_words]
    inputs["factors"] = spec.factors
    learned = context.cache.run(
        context.stage("learn", name), inputs, lambda: _learn(context, spec, harvested)
    )
    inputs["draws"] = spec.draws
    compared = context.cache.run(
        context.stage("compare", name), inputs, lambda: _compare(context, spec, harvested)
    )
    judged_by = {**inputs, "margin": spec.margin}
    judged = context.cache.run(
        context.stage("verdicts", name), judged_by, lambda: _judge(context, spec, harvested)
    )
    found: Result = {
        "harvest": harvested, "learn": learned, "compare": compared, "verdicts": judged
    }  # fmt: skip
    if spec.explain:
        # Named only where it is asked, so that finished stages of other experiments stay good.
        asked = {**inputs, "explain": spec.explain}
        found["explained"] = context.cache.run(
            context.stage("explain", name), asked, lambda: _explain(context, spec, harvested)
        )
    if spec.heat_maps and experiment.images:
        asked = {**inputs, "heat_maps": spec.heat_maps, "sides": 2}
        found["heat"] = context.cache.run(
            context.stage("heat", name), asked, lambda: _heat(context, spec, harvested)
        )
    if context.fine_tune:
        found["gains"] = context.cache.run(
            context.stage("gains", name), inputs, lambda: _gains(context, spec, harvested)
        )
    return found


def _require_factors(context: Context, spec: WordsSpec) -> None:
    """A factor that no label tells is found before any model is loaded."""
    for sample in context.samples(spec.data):
        missing = [factor for factor in spec.factors if factor not in sample.labels]
        if missing:
            raise DataError(
                f"[[words]] {spec.name}: sample {sample.id!r} of {spec.data!r} has no label "
                f"{missing[0]!r}",
                allowed=f"labels: {', '.join(map(str, sample.labels)) or 'none'}",
                remedy="leave the factor out, or name a .jsonl file whose rows have labels",
            )


def _folder(context: Context, spec: WordsSpec) -> Path:
    return context.folder("words", spec.name)


def _harvest(context: Context, spec: WordsSpec) -> Result:
    """Base on its own text, and the tuned model both on that text and on its own."""
    from shiftlens.activations import tokens
    from shiftlens.activations.site import Site

    folder, (base, tuned) = _folder(context, spec), context.models
    samples = context.samples(spec.data)
    site = Site(layer=spec.layer, tokens=tokens.word(*spec.members), normed=spec.normed)
    pair = context.harvest([base, tuned], samples, site, folder / "base-text", response="base")
    # A fine-tune may never say the word again: that is a finding, not an error.
    own = context.harvest([tuned], samples, site, folder / "own-text", allow_empty=True)
    stores = [*pair, *own]
    return {
        "counts": dict(zip(_TEXTS, (store.counts for store in stores), strict=True)),
        "fingerprints": [store.fingerprint for store in stores],
        "paths": [str(store.path.relative_to(context.root)) for store in stores],
        "layer": site.resolve(base).layer,
        "samples": len(samples),
        "data": _origin(context, spec),
    }


def _origin(context: Context, spec: WordsSpec) -> Result:
    """Which data were asked: where they come from, and their fingerprint."""
    data, samples = context.experiment.data[spec.data], context.samples(spec.data)
    # A source may be the path of a folder, which says more than its owner wants.
    source = data.source if context.experiment.images else None
    return {"name": spec.data, "source": source, "fingerprint": samples.fingerprint}


def _stores(context: Context, spec: WordsSpec, harvested: Result) -> "list[ActivationStore]":
    """The stores of the harvest stage; made again where they are gone or are not the same."""
    from shiftlens.activations.store import ActivationStore
    from shiftlens.core.errors import StoreError

    base, tuned = context.models
    folder = _folder(context, spec)
    paths = (
        folder / "base-text" / base.label,
        folder / "base-text" / tuned.label,
        folder / "own-text" / tuned.label,
    )
    try:
        stores = [ActivationStore.open(path) for path in paths]
        if [store.fingerprint for store in stores] == harvested["fingerprints"]:
            return stores
    except StoreError:
        pass
    _harvest(context, spec)
    return [ActivationStore.open(path) for path in paths]


def _learner(context: Context, spec: WordsSpec) -> "KMeans":
    from shiftlens.concepts.learners.kmeans import KMeans

    return KMeans(k=spec.k, seed=context.experiment.seed)


def _learn(context: Context, spec: WordsSpec, harvested: Result) -> Result:
    """Concepts of the base model, and how well they agree with what is known of the pictures."""
    from shiftlens.concepts.grounding.ground import ground
    from shiftlens.concepts.learners.baselines import RandomSamples
    from shiftlens.concepts.learning import learn
    from shiftlens.concepts.quality.agreement import agreement
    from shiftlens.concepts.quality.reconstruction import explained

    experiment, (base, _) = context.experiment, context.models
    store = _stores(context, spec, harvested)[0]
    learned = learn(store, _learner(context, spec))
    concepts = ground(
        learned, store, base.readout, n_words=experiment.n_words, stop_words=experiment.stop_words
    )
    concepts.save(_folder(context, spec) / "concepts")
    acts = store.states()
    baselines = [
        learn(store, RandomSamples(k=spec.k, seed=experiment.seed + draw))
        for draw in range(_RANDOM_DRAWS)
    ]

    def scores(factor: str) -> dict[str, float]:
        values: Sequence[Any] = store.label(factor)
        random = [agreement(one.assign(acts), values) for one in baselines]
        return {
            "learned": agreement(concepts.assign(acts), values),
            "random": sum(random) / len(random),
        }

    return {
        "k": spec.k,
        "explained": explained(concepts, acts),
        "ami": {factor: scores(factor) for factor in spec.factors},
    }


def _explain(context: Context, spec: WordsSpec, harvested: Result) -> Result:
    """Answers of the base model, word by word."""
    from shiftlens.reporting.numbers import clean
    from shiftlens.study.explaining import explain_first, load_or

    path = _folder(context, spec) / "concepts"
    concepts = load_or(lambda: _learn(context, spec, harvested), path)
    store = _stores(context, spec, harvested)[0]
    return clean({"answers": explain_first(context, spec, concepts, store)})


def _compare(context: Context, spec: WordsSpec, harvested: Result) -> Result:
    """What fine-tuning did to the concepts; the shift itself lies beside as an artefact."""
    from shiftlens.reporting.data import describe_shift
    from shiftlens.shift.comparing import compare

    experiment, (base, tuned) = context.experiment, context.models
    on_own, on_base, own = _stores(context, spec, harvested)
    shift = compare(
        on_own,
        own,
        _learner(context, spec),
        readouts=(base.readout, tuned.readout),
        on_base_text=on_base,
        n_words=experiment.n_words,
        stop_words=experiment.stop_words,
        seed=experiment.seed,
        draws=spec.draws,
        progress=context.progress,
    )
    shift.save(_folder(context, spec) / "shift")
    samples = context.samples(spec.data)
    shown = {one.id: context.shown(one) for one in samples}
    pictures = {name: path for name, path in shown.items() if path is not None}
    described = describe_shift(shift, pictures)
    return {**described, "spectrum": shift.spectrum}


def _shift(context: Context, spec: WordsSpec, harvested: Result) -> "ConceptShift":
    """The shift of the compare stage; made again where it is gone."""
    from shiftlens.shift.concept_shift import ConceptShift

    path = _folder(context, spec) / "shift"
    try:
        return ConceptShift.load(path)
    except ShiftLensError:
        _compare(context, spec, harvested)
        return ConceptShift.load(path)


def _judge(context: Context, spec: WordsSpec, harvested: Result) -> Result:
    """Which concepts moved, how sure that is, and what refits say became of them."""
    from shiftlens.study.judging import judge_concepts

    on_own, on_base, _ = _stores(context, spec, harvested)
    return judge_concepts(
        _shift(context, spec, harvested),
        on_own,
        on_base,
        _learner(context, spec),
        margin=spec.margin,
        seed=context.experiment.seed,
        draws=spec.draws,
        progress=context.progress,
    )


def _heat(context: Context, spec: WordsSpec, harvested: Result) -> Result:
    """Where the concepts of both models are in their most activating pictures."""
    from shiftlens.study.heating import heat_of_concepts

    shift, stores = _shift(context, spec, harvested), _stores(context, spec, harvested)
    return heat_of_concepts(context, spec, (shift.base, shift.tuned), stores[:2])


def _gains(context: Context, spec: WordsSpec, harvested: Result) -> Result:
    """The published figures, on each model's own text (as published) and on the base's."""
    from shiftlens.reporting.numbers import clean
    from shiftlens.shift.gains import published_gains

    experiment, (base, tuned) = context.experiment, context.models
    on_own, on_base, own = _stores(context, spec, harvested)
    texts = {"own_text": own, "base_text": on_base}
    # A fine-tune may hardly say the word: on its own text there is then nothing to count.
    common = {name: {*store.sample_ids} & {*on_own.sample_ids} for name, store in texts.items()}
    return clean(
        {
            name: None
            if len(common[name]) < spec.k
            else published_gains(
                on_own,
                store,
                _learner(context, spec),
                readouts=(base.readout, tuned.readout),
                n_words=experiment.n_words,
                stop_words=experiment.stop_words,
            ).to_dict()
            for name, store in texts.items()
        }
    )
