"""The ``study`` part of metrics.json: published figures of several fine-tunes of one base."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shiftlens.study.cache import Result
from shiftlens.study.experiment import Experiment

if TYPE_CHECKING:
    from shiftlens.shift.correlation import Correlation

TEXTS = ("own_text", "base_text")
FIGURES = ("consistency", "consistency_published", "magnitude")
"""What the relative gain in cosine is correlated with."""

NOTE = (
    "Learned and judged on the same samples, as published: a gain is nearly built in. Pooling "
    "fine-tunes inflates a correlation: read the within-run figure beside it."
)


def study_figures(experiment: Experiment, words: Mapping[str, Mapping[str, Result]]) -> Result:
    """Figures of every fine-tune and word, and the correlations over their concepts.

    Args:
        experiment: of several fine-tunes.
        words: for each fine-tune and word what ``study_words`` found.

    Returns:
        ``runs`` (fine-tune, word, text), ``pooled`` (word, text) and ``note``;
        docs/formats/metrics.md describes the keys.
    """
    runs = {
        fine_tune.name: {
            word: {text: _run(figures, experiment.seed) for text, figures in found["gains"].items()}
            for word, found in words[fine_tune.name].items()
        }
        for fine_tune in experiment.fine_tunes
    }
    pooled = {
        spec.name: {
            text: _pooled({name: run[spec.name][text] for name, run in runs.items()}, experiment)
            for text in TEXTS
        }
        for spec in experiment.words
    }
    return {"note": NOTE, "runs": runs, "pooled": pooled}


def _run(figures: Result | None, seed: int) -> Result | None:
    """The figures of one fine-tune and word, with its own correlations."""
    if figures is None:
        return None
    concepts = figures["concepts"]
    return {**figures, "correlation": {name: _json(concepts, name, seed) for name in FIGURES}}


def _pooled(runs: Mapping[str, Result | None], experiment: Experiment) -> Result:
    """Correlations over the concepts of all fine-tunes together, plain and within runs."""
    concepts = [one for run in runs.values() if run is not None for one in run["concepts"]]
    owners = [
        name for name, run in runs.items() if run is not None for _ in range(len(run["concepts"]))
    ]
    return {
        name: {
            "pooled": _json(concepts, name, experiment.seed, owners),
            "within": _json(concepts, name, experiment.seed, owners, within=True),
        }
        for name in FIGURES
    }


def _json(
    concepts: Sequence[Mapping[str, Any]],
    name: str,
    seed: int,
    runs: Sequence[str] | None = None,
    *,
    within: bool = False,
) -> Result | None:
    from shiftlens.shift.correlation import correlate

    gains, other = (
        [float("nan") if one[key] is None else float(one[key]) for one in concepts]
        for key in ("relative_gain", name)
    )
    found: Correlation | None = correlate(gains, other, runs, within=within, seed=seed)
    return None if found is None else found.to_dict()
