"""Captions that should name something, by a vector of the base and by one of the fine-tune."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from shiftlens.core.errors import SteeringError
from shiftlens.data.sample import Sample
from shiftlens.study.asking import UNSTEERED, Judged
from shiftlens.study.cache import Result
from shiftlens.study.context import Context
from shiftlens.study.experiment import StyleSpec
from shiftlens.study.sweeping import Asked, sweep
from shiftlens.study.trial import Trial

if TYPE_CHECKING:
    from shiftlens.concepts.vectors import SteeringVector
    from shiftlens.steering.applying import Intervention
    from shiftlens.study.moving import Outcome

_VECTOR, _SHIFT = "base vector", "shift vector"


def study_style(context: Context, spec: StyleSpec) -> Result:
    """Both vectors come from where the choice is made: the word after which a caption may end.

    Raises:
        SteeringError: nothing tells the style's words, or every caption has them already.
    """
    from shiftlens.steering.outcomes import says
    from shiftlens.steering.tasks import StyleTask
    from shiftlens.study.moving import moves

    vocabulary = _vocabulary(context, spec)
    trial = Trial.begin(context, spec)
    vector, shift = _vectors(trial, spec, vocabulary)
    said = trial.ask(trial.judge)
    before = {
        sample.id: text
        for sample, text in zip(trial.judge, said, strict=True)
        if not says(text, vocabulary)
    }
    if not before:
        raise SteeringError(
            f"every caption of {spec.data!r} names the {spec.factor} without steering",
            remedy="give other samples, or steer towards something that is not there yet",
        )
    samples = trial.judge.where(lambda s: s.id in before)
    arms: dict[str, Sequence[Intervention]] = {
        _VECTOR: [trial.intervene(vector)],
        _SHIFT: [trial.intervene(shift, strength=spec.shift_strength)],
    }
    task = StyleTask(
        vocabulary, "" if spec.words else spec.factor, max_new_tokens=spec.max_new_tokens
    )
    on = trial.judged(spec.data, task, samples, arms, randomised=_SHIFT)
    right = _figures(trial, spec, on)
    answers = [on.texts(arm) for arm in (UNSTEERED, *arms)]
    shown = [
        trial.example(sample, dict(zip((UNSTEERED, *arms), texts, strict=True)))
        for sample, *texts in zip(samples, *answers, strict=True)
    ]
    return trial.result(
        len(samples),
        "Both vectors taken at the word after which a caption either ends or goes on: captions "
        f"that name the {spec.factor} minus captions that do not; and tuned minus base on the same "
        "text.",
        shown,
        kind="style",
        right=on.line(_VECTOR, right).value.estimate,
        right_shift=on.line(_SHIFT, right).value.estimate,
        meant=[{"before": _none(spec), "after": _best(spec)}],
        changes={on.trial: moves(on, _outcome(spec, vocabulary))},
        **sweep(trial, [Asked(task, on)], _SHIFT, arms[_SHIFT], right),
    )


def _none(spec: StyleSpec) -> str:
    return f"no {spec.factor}"


def _best(spec: StyleSpec) -> str:
    return f"{'a' if spec.words else 'right'} {spec.factor}"


def _outcome(spec: StyleSpec, vocabulary: Sequence[str]) -> "Outcome":
    """Whether a caption names the right thing, another one, or none."""
    from shiftlens.steering.outcomes import says

    def outcome(sample: Sample, text: str) -> str:
        if not says(text, vocabulary):
            return _none(spec)
        right = bool(spec.words) or says(text, _right(sample, spec))
        return _best(spec) if right else f"another {spec.factor}"

    return outcome


def _vocabulary(context: Context, spec: StyleSpec) -> list[str]:
    """The words of the style: the spec's own, or all that are right for some sample."""
    if spec.words:
        return sorted(spec.words)
    return sorted({word for s in context.samples(spec.data) for word in _right(s, spec)})


def _vectors(
    trial: Trial, spec: StyleSpec, vocabulary: Sequence[str]
) -> "tuple[SteeringVector, SteeringVector]":
    """The base's own direction, and the fine-tune's shift on the same text."""
    from shiftlens.activations import tokens
    from shiftlens.activations.site import Site
    from shiftlens.steering.directions import mean_difference, mean_shift
    from shiftlens.steering.outcomes import says

    site = Site(layer=spec.layer, tokens=tokens.word(*spec.decide_after, alignment="read"))
    stores = trial.context.harvest(
        trial.context.models, trial.fit, site, trial.folder / "fit", response="base"
    )
    vector = mean_difference(
        stores[0],
        source=lambda row: not says(row.response, vocabulary),
        target=lambda row: says(row.response, vocabulary),
        name=f"captions that name the {spec.factor}",
    )
    shift = mean_shift(stores[0], stores[1], name=f"fine-tuning for the {spec.factor}")
    trial.keep(vector, "vector")
    trial.keep(shift, "shift")
    return vector, shift


def _figures(trial: Trial, spec: StyleSpec, on: Judged) -> str:
    """Write the figures down; the measure that says whether a caption is right."""
    right, what = ("styled", "any") if spec.words else ("right", "right")
    goal = f">= {spec.goal_right:g}"
    shift = on.line(_SHIFT, right).value
    trial.figure("right_shift", f"{what} {spec.factor} named, shift vector", shift, goal=goal)
    vector = on.line(_VECTOR, right).value
    trial.figure("right", f"{what} {spec.factor} named, vector of the base alone", vector)
    trial.figure(
        "named_shift",
        f"any {spec.factor} named, shift vector",
        on.line(_SHIFT, "styled").value,
    )
    trial.figure(
        "right_random",
        f"{what} one named, random direction as long as the shift",
        on.by_chance(_SHIFT, right),
        role="control",
    )
    trial.figure(
        "kept_shift",
        "caption goes on from the unsteered one, shift vector",
        on.line(_SHIFT, "kept").value,
        role="side effect",
    )
    return right


def _right(sample: Sample, spec: StyleSpec) -> list[str]:
    allowed = sample.labels.get("allowed")
    if not isinstance(allowed, dict) or spec.factor not in allowed:
        raise SteeringError(
            f"sample {sample.id!r} has no label 'allowed' with the words that are right for "
            f"{spec.factor!r}",
            remedy=f'give every sample labels like {{"allowed": {{"{spec.factor}": ["beach"]}}}}',
        )
    return [str(word) for word in allowed[spec.factor]]
