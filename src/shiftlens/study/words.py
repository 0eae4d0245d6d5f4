"""One token of interest, from samples to concepts, shift vectors and recovery."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from shiftlens.study.cache import Result
from shiftlens.study.context import Context
from shiftlens.study.experiment import WordsSpec

if TYPE_CHECKING:
    pass


def study_words(context: Context, spec: WordsSpec) -> Result:
    """Harvest, learn and compare one token of interest.

    Returns:
        a JSON object with the parts ``harvest``, ``learn`` and ``compare``; each is cached.
    """
    experiment, name = context.experiment, spec.name
    inputs: dict[str, Any] = {
        "models": context.models_key,
        "samples": context.samples(spec.data).fingerprint,
        "words": [name, spec.members, spec.layer],
        "run": [experiment.batch_size, experiment.max_new_tokens],
    }
    harvested = context.cache.run(f"harvest-{name}", inputs, lambda: _harvest(context, spec))
    inputs["stores"] = harvested["fingerprints"]
    inputs["learner"] = [spec.k, experiment.seed, experiment.n_words, experiment.stop_words]
    inputs["factors"] = spec.factors
    learned = context.cache.run(f"learn-{name}", inputs, lambda: _learn(context, spec))
    inputs["draws"] = spec.draws
    compared = context.cache.run(f"compare-{name}", inputs, lambda: _compare(context, spec))
    return {"harvest": harvested, "learn": learned, "compare": compared}


def _folder(context: Context, spec: WordsSpec) -> Path:
    return context.root / "words" / spec.name


def _harvest(context: Context, spec: WordsSpec) -> Result:
    """Base on its own text, and the tuned model both on that text and on its own."""
    from shiftlens.activations import tokens
    from shiftlens.activations.harvesting import harvest
    from shiftlens.activations.site import Site

    folder, experiment = _folder(context, spec), context.experiment
    samples, (base, tuned) = context.samples(spec.data), context.models
    site = Site(layer=spec.layer, tokens=tokens.word(*spec.members))
    options = {"batch_size": experiment.batch_size, "max_new_tokens": experiment.max_new_tokens}
    stores = [
        *harvest(
            [base, tuned],
            samples,
            site,
            folder / "base-text",
            response="base",
            progress=context.progress,
            **options,
        ),
        harvest(tuned, samples, site, folder / "own-text", progress=context.progress, **options),
    ]
    return {
        "counts": dict(
            zip(("base", "on_base_text", "tuned"), (s.counts for s in stores), strict=True)
        ),
        "fingerprints": [store.fingerprint for store in stores],
        "site": site.resolve(base).describe(),
        "samples": len(samples),
    }
