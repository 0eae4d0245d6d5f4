"""Refusing the dangerous requests and no others: one vector, without a gate and with one."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from shiftlens.core.errors import SteeringError
from shiftlens.data.sample import Sample, Samples
from shiftlens.study.asking import UNSTEERED, Judged
from shiftlens.study.cache import Result
from shiftlens.study.context import Context
from shiftlens.study.experiment import RefusalSpec
from shiftlens.study.sweeping import Asked, sweep
from shiftlens.study.trial import Trial

if TYPE_CHECKING:
    from shiftlens.concepts.vectors import SteeringVector
    from shiftlens.steering.applying import Intervention
    from shiftlens.steering.gates import LinearGate
    from shiftlens.study.moving import Outcome

_DANGEROUS, _HARMLESS = "dangerous requests", "harmless requests"
_ANSWERED, _REFUSED = "answered", "refused"
_GATED_ON = {
    "answered": "dangerous requests that the model answers against all others",
    "dangerous": "dangerous requests against harmless ones",
}


def study_refusal(context: Context, spec: RefusalSpec) -> Result:
    """Direction and gate are fitted without the held-out labels and judged on those too.

    Judged are the dangerous requests that the unsteered model complies with, those that it refuses
    by itself, and all harmless ones.
    """
    from shiftlens.steering.tasks import SafetyTask
    from shiftlens.study.moving import moves

    requests = _requests(context, spec)
    trial = Trial.begin(context, spec, requests)
    _require_held_out(requests, spec)
    seen = trial.fit.where(lambda s: not _is_held_out(s, spec))
    vector, gate = _fit(trial, spec, seen)
    trial.keep(vector, "vector")
    arms: dict[str, Sequence[Intervention]] = {
        "ungated": [trial.intervene(vector)],
        "gated": [trial.intervene(vector, gate=gate)],
    }
    task = SafetyTask(spec.refusals, max_new_tokens=spec.max_new_tokens)
    on = trial.judged(spec.data, task, trial.judge, arms, randomised="ungated")
    numbers = _figures(trial, spec, on)
    numbers |= _held_out(trial, spec, on)
    return trial.result(
        on.line("gated", "safe").n,
        "Mean difference between refused and answered dangerous requests; the gate is a linear "
        f"discriminant of {_GATED_ON[spec.gate_on]} at block {gate.layer}.",
        _examples(trial, on, spec),
        kind="refusal",
        n_harmless=on.line("gated", "over_refusal").n,
        gate=gate.describe(),
        meant=[{"kind": _DANGEROUS, "before": _ANSWERED, "after": _REFUSED}],
        changes={on.trial: moves(on, _outcome(spec), _kind)},
        **numbers,
        **sweep(
            trial,
            [Asked(task, on)],
            "gated",
            arms["gated"],
            "safe",
            budgets={
                "over_refusal": spec.goal_over_refused,
                "refusals_kept": 1 - spec.goal_kept,
            },
        ),
    )


def _outcome(spec: RefusalSpec) -> "Outcome":
    from shiftlens.steering.measures.refusal import declines

    def outcome(_: Sample, text: str) -> str:
        return _REFUSED if declines([text], phrases=spec.refusals)[0] else _ANSWERED

    return outcome


def _kind(sample: Sample) -> str:
    return _DANGEROUS if _labelled(dict(sample.labels)) else _HARMLESS


def _requests(context: Context, spec: RefusalSpec) -> Samples:
    """The spec's data, and further data that are all harmless, under ids of their own."""
    samples = context.samples(spec.data)
    if not spec.harmless:
        return samples
    further = [
        replace(s, id=f"{spec.harmless}/{s.id}", labels={**s.labels, "dangerous": False})
        for s in context.samples(spec.harmless)
    ]
    return Samples([*samples, *further], root=samples.root)


def _figures(trial: Trial, spec: RefusalSpec, on: Judged) -> dict[str, dict[str, float]]:
    """Refusals of either kind of request, without the gate and with it; the same as numbers."""
    goals = (f">= {spec.goal_refused:g}", f"<= {spec.goal_over_refused:g}")
    numbers: dict[str, dict[str, float]] = {}
    for name in ("gated", "ungated"):
        right, wrong = (on.line(name, measure).value for measure in ("safe", "over_refusal"))
        numbers[name] = {"refused_dangerous": right.estimate, "refused_harmless": wrong.estimate}
        goal, over, role = (*goals, "side effect") if name == "gated" else ("", "", "control")
        trial.figure(f"{name}_dangerous", f"dangerous requests refused, {name}", right,
                     role="effect" if name == "gated" else "control", goal=goal)  # fmt: skip
        trial.figure(f"{name}_harmless", f"harmless requests refused, {name}", wrong,
                     role=role, goal=over)  # fmt: skip
        numbers[name] |= _kept(trial, spec, on, name)
    trial.figure(
        "random_dangerous",
        "dangerous requests refused, random direction of equal length",
        on.by_chance("ungated", "safe"),
        role="control",
    )
    return numbers


def _kept(trial: Trial, spec: RefusalSpec, on: Judged, name: str) -> dict[str, float]:
    """Of the dangerous requests that the unsteered model refuses, how many are still refused."""
    if not on.has(name, "refusals_kept"):
        return {}
    line = on.line(name, "refusals_kept")
    gated = name == "gated"
    trial.figure(
        f"{name}_kept",
        f"own refusals kept, {name} (n = {line.n})",
        line.value,
        role="side effect" if gated else "control",
        goal=f">= {spec.goal_kept:g}" if gated else "",
    )
    return {"refusals_kept": line.value.estimate}


def _held_out(trial: Trial, spec: RefusalSpec, on: Judged) -> dict[str, dict[str, float]]:
    """The gated arm on dangerous requests of kinds that nothing was fitted on."""
    from shiftlens.steering.outcomes import share
    from shiftlens.steering.tasks import SafetyTask

    task = SafetyTask(spec.refusals, max_new_tokens=spec.max_new_tokens)
    safe = task.score(on.samples, on.texts(), on.texts("gated"))["safe"]
    flags = [
        flag == 1
        for sample, flag in zip(on.samples, safe, strict=True)
        if flag is not None and _is_held_out(sample, spec)
    ]
    if not flags:
        return {}
    held = share(flags)
    trial.figure("gated_held_out", "dangerous ones of kinds never fitted on, gated", held)
    return {"gated_held_out": {"refused_dangerous": held.estimate}}


def _fit(trial: Trial, spec: RefusalSpec, seen: Samples) -> "tuple[SteeringVector, LinearGate]":
    from shiftlens.activations import tokens
    from shiftlens.activations.site import Site
    from shiftlens.steering.directions import mean_difference
    from shiftlens.steering.gates import LDA
    from shiftlens.steering.outcomes import refuses

    layer, gate_layer = (
        trial.model.address.layer(one, trial.model.name) for one in (spec.layer, spec.gate_layer)
    )
    layers = (layer,) if layer == gate_layer else (layer, gate_layer)
    site = Site(layer=layers, tokens=tokens.last_prompt())
    store = trial.context.harvest([trial.model], seen, site, trial.folder / "fit")[0]
    vector = mean_difference(
        store,
        source=lambda row: _labelled(row.labels) and not refuses(row.response, spec.refusals),
        target=lambda row: _labelled(row.labels) and refuses(row.response, spec.refusals),
        layer=layer,
        name="answered to refused",
    )
    gate = LDA.fit(
        store,
        lambda row: (
            _labelled(row.labels)
            and (spec.gate_on == "dangerous" or not refuses(row.response, spec.refusals))
        ),
        layer=gate_layer,
        seed=trial.context.experiment.seed,
    )
    return vector, gate


def _examples(trial: Trial, on: Judged, spec: RefusalSpec) -> list[dict[str, Any]]:
    """Dangerous and harmless requests in turn, each kind in its own order."""
    from shiftlens.steering.outcomes import refuses

    names = (UNSTEERED, "ungated", "gated")
    rows = [
        (_dangerous(s), trial.example(s, dict(zip(names, texts, strict=True)), opened))
        for s, opened, *texts in zip(
            on.samples, on.opened("gated"), *map(on.texts, names), strict=True
        )
        if not (_dangerous(s) and refuses(texts[0], spec.refusals))
    ]
    kinds = [[row for flag, row in rows if flag == wanted] for wanted in (True, False)]
    return [row for pair in zip(*kinds, strict=False) for row in pair]


def _is_held_out(sample: Sample, spec: RefusalSpec) -> bool:
    return any(str(sample.labels.get(label)) in values for label, values in spec.held_out.items())


def _require_held_out(samples: Sequence[Sample], spec: RefusalSpec) -> None:
    """A value that no sample has holds nothing out: a typo must not go unseen."""
    for label, values in spec.held_out.items():
        known = {str(sample.labels.get(label)) for sample in samples}
        missing = sorted(set(values) - known)
        if missing:
            raise SteeringError(
                f"held_out names {label} = {missing[0]!r}, which no sample of {spec.data!r} has",
                allowed=f"{label}: {', '.join(sorted(known)[:20])}",
            )


def _dangerous(sample: Sample) -> bool:
    if not isinstance(sample.labels.get("dangerous"), bool):
        raise SteeringError(
            f"sample {sample.id!r} has no label 'dangerous'", allowed="true or false"
        )
    return _labelled(dict(sample.labels))


def _labelled(labels: dict[str, Any]) -> bool:
    return labels.get("dangerous") is True
