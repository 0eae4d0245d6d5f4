"""Steerings of an experiment: each kind is one function in ``kinds``, each run one cached stage."""

from dataclasses import asdict

from shiftlens.core.errors import DataError
from shiftlens.study.cache import Result
from shiftlens.study.context import Context
from shiftlens.study.experiment import (
    AnswersSpec,
    DiscoverSpec,
    NeutralSpec,
    RefusalSpec,
    SteeringSpec,
    StyleSpec,
    data_of,
)


def study_steering(context: Context, spec: SteeringSpec) -> Result:
    """Run one steering, or take its result from an earlier run of the same one.

    Raises:
        ShiftLensError: the data lack labels, nothing qualified, or nothing was touched.
    """
    experiment = context.experiment
    inputs = {
        "models": context.models_key,
        "samples": {name: context.samples(name).fingerprint for name in data_of(spec)},
        "spec": {"kind": type(spec).__name__, **asdict(spec)},
        "run": [experiment.seed, experiment.batch_size, experiment.max_new_tokens],
    }
    return context.cache.run(f"steer-{spec.name}", inputs, lambda: _run(context, spec))


def _run(context: Context, spec: SteeringSpec) -> Result:
    if isinstance(spec, AnswersSpec):
        from shiftlens.study.kinds.answers import study_answers

        return study_answers(context, spec)
    if isinstance(spec, StyleSpec):
        from shiftlens.study.kinds.style import study_style

        return study_style(context, spec)
    if isinstance(spec, NeutralSpec):
        from shiftlens.study.kinds.neutral import study_neutral

        return study_neutral(context, spec)
    if isinstance(spec, RefusalSpec):
        from shiftlens.study.kinds.refusal import study_refusal

        return study_refusal(context, spec)
    if isinstance(spec, DiscoverSpec):
        from shiftlens.study.kinds.discover import study_discover

        return study_discover(context, spec)
    raise DataError(f"a steering of kind {type(spec).__name__} cannot be run")
