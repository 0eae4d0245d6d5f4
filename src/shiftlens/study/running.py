"""``run_study``: every stage of an experiment, in order, each cached; metrics.json and the report."""

import platform
import time
from collections.abc import Callable
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
from shiftlens.study.metrics import collect_metrics
from shiftlens.study.page import report_data


@dataclass(frozen=True)
class Outcome:
    """What a run leaves behind.

    Attributes:
        metrics: the content of metrics.json.
        data: what the report is drawn from.
        report: the HTML file.
        reused: stages taken from an earlier run.
        computed: stages computed in this run.
        seconds: wall time of this run, resumed or not.
    """

    metrics: dict[str, Any]
    data: dict[str, Any]
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
    root = Path(out)
    context = Context(experiment, root, StageCache(root), progress or Silent())
    words = {spec.name: _words(context, spec) for spec in experiment.words}
    steering = {spec.name: _steering(context, spec) for spec in experiment.steering}
    provenance = context.cache.run("provenance", [context.models_key], lambda: _origin(context))
    data = report_data(experiment, words, steering, provenance)
    seconds = _report(context, data, start)
    metrics = collect_metrics(experiment, words, steering, seconds)
    write_json(root / "metrics.json", metrics)
    return Outcome(
        metrics=metrics,
        data=data,
        report=root / "report.html",
        reused=tuple(context.cache.reused),
        computed=tuple(context.cache.computed),
        seconds=time.perf_counter() - start,
    )


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


def _report(context: Context, data: dict[str, Any], start: float) -> dict[str, float]:
    """Write the page when its data are new; returns the seconds of every stage."""
    from shiftlens.reporting.html import write_report

    path = context.root / "report.html"

    def write() -> Result:
        context.progress.start("report", 1)
        write_report({**data, "seconds": stages()}, path, image_root=context.root)
        context.progress.stop()
        return {"bytes": path.stat().st_size}

    def stages() -> dict[str, float]:
        names = ("data", "harvest", "learn", "compare", "steer")
        return {name: round(context.cache.seconds(name), 2) for name in names}

    write_once: Callable[[], Result] = write
    found = context.cache.run("report", data, write_once)
    if not path.exists() or path.stat().st_size != found["bytes"]:
        write()
    seconds = {**stages(), "report": round(context.cache.seconds("report"), 2)}
    # The total is what the results cost, also when this run only read them back.
    fresh = time.perf_counter() - start if not context.cache.reused else sum(seconds.values())
    return {"total": round(fresh, 2), **seconds}
