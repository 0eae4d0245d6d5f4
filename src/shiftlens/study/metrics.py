"""metrics.json: everything that a run found, in one document; the report is drawn from it."""

from collections.abc import Mapping
from typing import Any

from shiftlens.study.cache import Result
from shiftlens.study.experiment import Experiment, WordsSpec
from shiftlens.study.figures import study_figures

SCHEMA = 1


def collect_metrics(
    experiment: Experiment,
    words: Mapping[str, Result],
    steering: Mapping[str, Result],
    provenance: Mapping[str, Any],
    seconds: Mapping[str, float],
) -> dict[str, Any]:
    """Put the results of all stages together; keys are documented in docs/formats/metrics.md."""
    return {
        "schema": SCHEMA,
        "title": experiment.title,
        "subtitle": experiment.subtitle,
        "models": {
            "base": {"name": experiment.base, **provenance["base"]},
            "tuned": {"name": experiment.tuned_model, **provenance["tuned"]},
        },
        "versions": provenance["versions"],
        "seed": experiment.seed,
        "seconds": dict(seconds),
        "toi": {spec.name: _toi(spec, words[spec.name]) for spec in experiment.words},
        "steering": {spec.name: steering[spec.name] for spec in experiment.steering},
    }


def collect_study(
    experiment: Experiment,
    words: Mapping[str, Mapping[str, Result]],
    provenance: Mapping[str, Mapping[str, Any]],
    seconds: Mapping[str, float],
) -> dict[str, Any]:
    """The same for several fine-tunes: a token of interest for each of them, and ``study``.

    Args:
        experiment: of several fine-tunes.
        words: for each fine-tune and word what ``study_words`` found.
        provenance: for each fine-tune of both models.
        seconds: of the stages.
    """
    first = provenance[experiment.fine_tunes[0].name]
    tuned = {
        one.name: {"name": one.model, "about": one.about, **provenance[one.name]["tuned"]}
        for one in experiment.fine_tunes
    }
    return {
        "schema": SCHEMA,
        "title": experiment.title,
        "subtitle": experiment.subtitle,
        "models": {
            "base": {"name": experiment.base, **first["base"]},
            "tuned": {
                "name": ", ".join(one.model for one in experiment.fine_tunes),
                "fine_tunes": tuned,
            },
        },
        "versions": first["versions"],
        "seed": experiment.seed,
        "seconds": dict(seconds),
        "toi": {
            f"{spec.name} ({one.name})": _toi(spec, words[one.name][spec.name])
            for one in experiment.fine_tunes
            for spec in experiment.words
        },
        "steering": {},
        "study": study_figures(experiment, words),
    }


def _toi(spec: WordsSpec, found: Result) -> dict[str, Any]:
    harvest, learned, compared = found["harvest"], found["learn"], found["compare"]
    recovery = dict(compared["recovery"])
    # Words are compared the published way; the curve belongs beside the cosines.
    if compared.get("published"):
        recovery.setdefault("t_overlap", compared["published"]["t_overlap"])
    return {
        "layer": harvest["layer"],
        "members": list(spec.members),
        **({"normed": True} if spec.normed else {}),
        "samples": harvest["samples"],
        **({"data": harvest["data"]} if "data" in harvest else {}),
        "rows": harvest["counts"]["base"],
        "rows_by_text": harvest["counts"],
        "concepts": {"k": learned["k"], "explained": learned["explained"], "ami": learned["ami"]},
        **compared,
        "verdicts": found["verdicts"],
        **({"heat": found["heat"]} if "heat" in found else {}),
        **({"explained": found["explained"]["answers"]} if "explained" in found else {}),
        "recovery": recovery,
    }
