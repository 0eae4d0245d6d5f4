"""From one answer to another, while answers of other types keep their accuracy."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shiftlens.core.errors import SteeringError
from shiftlens.data.sample import Sample, Samples
from shiftlens.study.asking import UNSTEERED, Judged
from shiftlens.study.cache import Result
from shiftlens.study.context import Context
from shiftlens.study.experiment import AnswersSpec
from shiftlens.study.sweeping import Asked, sweep
from shiftlens.study.trial import Trial

if TYPE_CHECKING:
    from shiftlens.concepts.vectors import SteeringVector
    from shiftlens.steering.applying import Intervention
    from shiftlens.steering.gates import AboutToSay
    from shiftlens.steering.tasks import Task

_STEERED, _GATED = "steered", "gated"
_COUNTED = 20  # answers whose change is written down, for each arm and data


def study_answers(context: Context, spec: AnswersSpec) -> Result:
    """Mean difference at the position that emits the answer, judged on other questions.

    Raises:
        SteeringError: an answer is never given, off-target data lack answers, or a gate is asked
            for before the last block.
    """
    from shiftlens.steering.measures.vqa import normalised

    _check_answers(context, spec)
    trial = Trial.begin(context, spec)
    gate = _gate(trial, spec)
    vector = _vector(trial, spec)
    trial.keep(vector, "vector")
    arms: dict[str, Sequence[Intervention]] = {_STEERED: [trial.intervene(vector)]}
    if gate is not None:
        arms[_GATED] = [trial.intervene(vector, gate=gate)]
    main = _GATED if _GATED in arms else _STEERED
    task = _task(trial.judge, spec, on_target=True)
    on = trial.judged(spec.data, task, trial.judge, arms, randomised=main)
    moved = _figures(trial, spec, on, main)
    off = {name: _off_target(trial, spec, name, arms, main) for name in spec.off_target}
    losses = {name: one.loss(main, "accuracy").estimate for name, one in off.items()}
    return trial.result(
        on.line(main, "moved").n,
        f"Mean difference between the states that emit “{spec.target}” and “{spec.source}”"
        + (f", added only where “{spec.source}” is about to be said." if spec.gate else "."),
        _examples(trial, spec, on, main, list(arms)),
        kind="answers",
        moved=moved,
        off_target_loss=max(losses.values(), default=0.0),
        off_target={n: {"n": len(off[n].samples), "loss": loss} for n, loss in losses.items()},
        gate=None if gate is None else gate.describe(),
        meant=[{"before": normalised(spec.source), "after": normalised(spec.target)}],
        changes={one.trial: _changes(one, spec) for one in (on, *off.values())},
        **_sweep(trial, spec, [on, *off.values()], main, arms[main]),
    )


def _sweep(
    trial: Trial,
    spec: AnswersSpec,
    judged: Sequence[Judged],
    main: str,
    interventions: "Sequence[Intervention]",
) -> dict[str, Any]:
    asked = [Asked(_task(one.samples, spec, on_target=one is judged[0]), one) for one in judged]
    budgets = {"accuracy": spec.goal_loss}
    return sweep(trial, asked, main, interventions, "moved", budgets=budgets)


def _figures(trial: Trial, spec: AnswersSpec, on: Judged, main: str) -> float:
    """Write down the share of source answers that became the target, and give it back."""
    moved = on.line(main, "moved").value
    trial.figure(
        "moved",
        f"“{spec.source}” became “{spec.target}”",
        moved,
        goal=f">= {spec.goal_moved:g}",
    )
    trial.figure(
        "moved_random",
        "the same, random direction of equal length",
        on.by_chance(main, "moved"),
        role="control",
    )
    return moved.estimate


def _examples(
    trial: Trial, spec: AnswersSpec, on: Judged, main: str, arms: Sequence[str]
) -> list[dict[str, Any]]:
    """Every sample whose unsteered answer was the source, with the answers of the arms."""
    from shiftlens.steering.outcomes import is_answer

    opened = on.opened(main)
    said = {arm: on.texts(arm) for arm in (UNSTEERED, *arms)}
    return [
        trial.example(
            sample,
            {arm: texts[i] for arm, texts in said.items()},
            opened[i] if spec.gate else None,
        )
        for i, sample in enumerate(on.samples)
        if is_answer(said[UNSTEERED][i], spec.source)
    ]


def _check_answers(context: Context, spec: AnswersSpec) -> None:
    """Off-target data must know what is right; said before anything is harvested."""
    for name in spec.off_target:
        if not all(_is_answered(sample) for sample in context.samples(name)):
            raise SteeringError(
                f"data {name!r} has samples without a label 'answer'",
                allowed="labels 'answer' (a text) or 'answers' (those of several people)",
                remedy="off-target data need the right answer of every sample",
            )


def _vector(trial: Trial, spec: AnswersSpec) -> "SteeringVector":
    from shiftlens.activations import tokens
    from shiftlens.activations.site import Site
    from shiftlens.steering.directions import mean_difference
    from shiftlens.steering.outcomes import is_answer

    site = Site(layer=spec.layer, tokens=tokens.last_prompt())
    store = trial.context.harvest([trial.model], trial.fit, site, trial.folder / "fit")[0]
    return mean_difference(
        store,
        source=lambda row: is_answer(row.response, spec.source),
        target=lambda row: is_answer(row.response, spec.target),
        name=f"{spec.source} to {spec.target}",
    )


def _gate(trial: Trial, spec: AnswersSpec) -> "AboutToSay | None":
    """The gate at the vector's block, which must be the last one.

    Raises:
        SteeringError: it is an earlier one.
    """
    from shiftlens.steering.gates import AboutToSay

    if not spec.gate:
        return None
    last = trial.model.address.n_layers - 1
    layer = trial.model.address.layer(spec.layer, trial.model.name)
    if layer != last:
        raise SteeringError(
            f"the gate {spec.gate!r} of {spec.name!r} at block {layer}, which does not know yet "
            "what will be said",
            allowed=f"the last block: layer = -1, or {last}",
        )
    return AboutToSay.of(trial.model, spec.source, layer=layer)


def _task(samples: Samples, spec: AnswersSpec, *, on_target: bool) -> "Task":
    """Soft accuracy where several people answered, else exact."""
    from shiftlens.steering.tasks import AccuracyTask, AnswersTask, VQATask

    soft = all(isinstance(sample.labels.get("answers"), list) for sample in samples)
    n = spec.max_new_tokens
    if on_target:
        return (VQATask if soft else AnswersTask)(spec.source, spec.target, max_new_tokens=n)
    return VQATask(max_new_tokens=n) if soft else AccuracyTask(max_new_tokens=n)


def _off_target(
    trial: Trial,
    spec: AnswersSpec,
    name: str,
    arms: "Mapping[str, Sequence[Intervention]]",
    main: str,
) -> Judged:
    samples = trial.context.samples(name)
    judged = trial.judged(name, _task(samples, spec, on_target=False), samples, arms)
    trial.figure(
        f"loss_{name}",
        f"accuracy lost on “{name}” questions (n = {len(samples)})",
        judged.loss(main, "accuracy"),
        role="side effect",
        goal=f"<= {spec.goal_loss:g}",
    )
    return judged


def _changes(judged: Judged, spec: AnswersSpec) -> dict[str, Any]:
    """For each arm how answer counts changed, and which answers became which, by answer type."""
    from shiftlens.steering.measures.rates import rates_by_kind
    from shiftlens.steering.measures.vqa import (
        counts,
        net_change,
        normalised,
        transitions_by_type,
    )
    from shiftlens.study.moving import changed

    before = judged.texts()
    was, kinds = counts(before), [_kind(sample) for sample in judged.samples]
    found: dict[str, Any] = {}
    for arm in judged.arms[1:]:
        after = judged.texts(arm)
        change = Counter(counts(after))
        change.subtract(was)
        largest = sorted(change.items(), key=lambda pair: (-abs(pair[1]), pair[0]))[:_COUNTED]
        net = net_change(before, after, spec.source, spec.target)
        found[arm] = {
            "source": net.source,
            "target": net.target,
            "counts": {
                answer: {"unsteered": was.get(answer, 0), "change": by}
                for answer, by in largest
                if by
            },
            "transitions": transitions_by_type(before, after, kinds),
            "rates": rates_by_kind(kinds, before, after, judged.samples, answers=10),
            "changed": changed(kinds, list(map(normalised, before)), list(map(normalised, after))),
        }
    return found


def _kind(sample: Sample) -> str:
    from shiftlens.steering.measures.vqa import NO_TYPE

    kinds = [sample.labels.get(key) for key in ("answer_type", "kind")]
    return next((str(kind) for kind in kinds if kind is not None), NO_TYPE)


def _is_answered(sample: Sample) -> bool:
    several = sample.labels.get("answers")
    return isinstance(sample.labels.get("answer"), str) or (
        isinstance(several, list) and bool(several)
    )
