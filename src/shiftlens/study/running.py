"""``run_study``: every stage of an experiment, each cached, then metrics.json and the report."""

import platform
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from shiftlens import __version__
from shiftlens.core.manifest import write_json
from shiftlens.core.progress import Progress, Silent
from shiftlens.study.cache import Result, StageCache
from shiftlens.study.context import Context
from shiftlens.study.experiment import Experiment, SteeringSpec, WordsSpec
from shiftlens.study.metrics import collect_metrics, collect_study


@dataclass(frozen=True)
class Outcome:
    """What a run leaves behind.

    Attributes:
        metrics: the content of metrics.json, from which the report is drawn.
        report: the HTML file.
        reused: stages taken from an earlier run.
        computed: stages computed in this run.
        seconds: wall time of this run, resumed or not.
    """

    metrics: dict[str, Any]
    report: Path
    reused: tuple[str, ...]
    computed: tuple[str, ...]
    seconds: float


def run_study(
    experiment: Experiment, out: str | Path, *, progress: Progress | None = None
) -> Outcome:
    """Run an experiment; stages finished in an earlier run of the same experiment are reused.

    Args:
        experiment: what to do.
        out: the run's directory; made when absent.
        progress: who is told how far it is.

    Returns:
        the metrics and where the report lies.

    Raises:
        ShiftLensError: anything that the experiment asks for and that is not possible.
    """
    start = time.perf_counter()
    root = Path(out).resolve()  # samples name their pictures by whole paths
    listener = progress or Silent()
    try:
        return _run(Context(experiment, root, StageCache(root), listener), start)
    finally:
        listener.stop()


def _run(context: Context, start: float) -> Outcome:
    root = context.root
    draft = _several(context) if context.experiment.fine_tunes else _single(context)
    _report(context, draft)
    metrics = {**draft, "seconds": _seconds(context, start)}
    write_json(root / "metrics.json", metrics)
    return Outcome(
        metrics=metrics,
        report=root / "report.html",
        reused=tuple(context.cache.reused),
        computed=tuple(context.cache.computed),
        seconds=time.perf_counter() - start,
    )


def _single(context: Context) -> dict[str, Any]:
    """The document of a base and its fine-tune."""
    experiment = context.experiment
    words = {spec.name: _words(context, spec) for spec in experiment.words}
    steering = {spec.name: _steering(context, spec) for spec in experiment.steering}
    return collect_metrics(experiment, words, steering, _provenance(context), _stages(context))


def _several(context: Context) -> dict[str, Any]:
    """The document of several fine-tunes; one pair of models is in memory at a time."""
    experiment = context.experiment
    words: dict[str, dict[str, Result]] = {}
    provenance: dict[str, Result] = {}
    for fine_tune in experiment.fine_tunes:
        own = context.of(fine_tune)
        words[fine_tune.name] = {spec.name: _words(own, spec) for spec in experiment.words}
        provenance[fine_tune.name] = _provenance(own)
    return collect_study(experiment, words, provenance, _stages(context))


def _provenance(context: Context) -> Result:
    stage = context.stage("provenance")
    return context.cache.run(stage, [context.models_key], lambda: _origin(context))


def _words(context: Context, spec: WordsSpec) -> Result:
    from shiftlens.study.words import study_words

    return study_words(context, spec)


def _steering(context: Context, spec: SteeringSpec) -> Result:
    from shiftlens.study.steerings import study_steering

    return study_steering(context, spec)


def _origin(context: Context) -> Result:
    base, tuned = context.models
    return {
        "base": base.provenance,
        "tuned": tuned.provenance,
        "versions": {
            "shiftlens": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "transformers", "scikit-learn", "numpy")},
        },
    }


def _report(context: Context, draft: dict[str, Any]) -> None:
    """Write the page when what it shows is new, or when it is gone."""
    path = context.root / "report.html"

    def write() -> Result:
        from shiftlens.reporting.html import write_report

        context.progress.start("report", 1)
        write_report(draft, path, image_root=context.root)
        context.progress.stop()
        return {"bytes": path.stat().st_size}

    # How long the stages took does not make a new page.
    found = context.cache.run("report", {**draft, "seconds": None}, write)
    if not path.exists() or path.stat().st_size != found["bytes"]:
        write()


def _stages(context: Context) -> dict[str, float]:
    names = ("data", "harvest", "learn", "compare", "verdicts", "steer")
    names += ("heat",) if any(spec.heat_maps for spec in context.experiment.words) else ()
    names += ("explain",) if any(spec.explain for spec in context.experiment.words) else ()
    names += ("gains",) if context.experiment.fine_tunes else ()
    return {name: round(context.cache.seconds(name), 2) for name in names}


def _seconds(context: Context, start: float) -> dict[str, float]:
    """Of every stage; the total is what the results cost, also when a run only read them back."""
    seconds = {**_stages(context), "report": round(context.cache.seconds("report"), 2)}
    total = sum(seconds.values()) if context.cache.reused else time.perf_counter() - start
    return {"total": round(total, 2), **seconds}
