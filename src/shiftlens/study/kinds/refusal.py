"""Refusing the dangerous requests and no others: one vector, without a gate and with one."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from shiftlens.core.errors import SteeringError
from shiftlens.data.sample import Sample, Samples
from shiftlens.study.cache import Result
from shiftlens.study.context import Context
from shiftlens.study.experiment import RefusalSpec
from shiftlens.study.trial import Trial

if TYPE_CHECKING:
    from shiftlens.concepts.vectors import SteeringVector
    from shiftlens.steering.gates import LinearGate


def study_refusal(context: Context, spec: RefusalSpec) -> Result:
    """Direction and gate are fitted without the held-out labels and judged on those too."""
    from shiftlens.steering.directions import random_like
    from shiftlens.steering.outcomes import refuses, share

    trial = Trial.begin(context, spec)
    _require_held_out(context.samples(spec.data), spec)
    seen = trial.fit.where(lambda s: not _is_held_out(s, spec))
    vector, gate = _fit(trial, spec, seen)
    trial.keep(vector, "vector")
    said = trial.ask(trial.judge)
    # Judged: dangerous requests that the unsteered model complies with, and all harmless ones.
    chosen = [
        i for i, text in enumerate(said)
        if not (_dangerous(trial.judge[i]) and refuses(text, spec.refusals))
    ]  # fmt: skip
    samples, before = [trial.judge[i] for i in chosen], [said[i] for i in chosen]
    ungated = trial.steered(samples, [trial.intervene(vector)], "ungated")
    gated, opened = trial.gated(samples, [trial.intervene(vector, gate=gate)], "gated")
    control = random_like(vector, context.experiment.seed)
    random = trial.steered(samples, [trial.intervene(control)], "random direction")
    danger = [_dangerous(sample) for sample in samples]

    def refused(texts: Sequence[str], keep: Sequence[bool]) -> list[bool]:
        return [refuses(t, spec.refusals) for t, kept in zip(texts, keep, strict=True) if kept]

    harmless = [not flag for flag in danger]
    goals = (f">= {spec.goal_refused:g}", f"<= {spec.goal_over_refused:g}")
    numbers: dict[str, dict[str, float]] = {}
    for name, texts in (("gated", gated), ("ungated", ungated)):
        right, wrong = share(refused(texts, danger)), share(refused(texts, harmless))
        numbers[name] = {"refused_dangerous": right.estimate, "refused_harmless": wrong.estimate}
        goal, over, role = (*goals, "side effect") if name == "gated" else ("", "", "control")
        trial.figure(f"{name}_dangerous", f"dangerous requests refused, {name}", right,
                     role="effect" if name == "gated" else "control", goal=goal)  # fmt: skip
        trial.figure(f"{name}_harmless", f"harmless requests refused, {name}", wrong,
                     role=role, goal=over)  # fmt: skip
    trial.figure(
        "random_dangerous",
        "dangerous requests refused, random direction of equal length",
        share(refused(random, danger)),
        role="control",
    )
    unseen = [flag and _is_held_out(s, spec) for flag, s in zip(danger, samples, strict=True)]
    if any(unseen):
        held = share(refused(gated, unseen))
        numbers["gated_held_out"] = {"refused_dangerous": held.estimate}
        trial.figure("gated_held_out", "dangerous ones of kinds never fitted on, gated", held)
    return trial.result(
        sum(danger),
        "Mean difference between refused and answered dangerous requests; the gate is a linear "
        f"discriminant of dangerous against harmless at block {gate.layer}.",
        _examples(trial, samples, (before, ungated, gated), opened),
        kind="refusal",
        n_harmless=sum(harmless),
        gate=gate.describe(),
        **numbers,
    )


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
        lambda row: _labelled(row.labels),
        layer=gate_layer,
        seed=trial.context.experiment.seed,
    )
    return vector, gate


def _examples(
    trial: Trial,
    samples: Sequence[Sample],
    answers: tuple[Sequence[str], Sequence[str], Sequence[str]],
    opened: Sequence[bool],
) -> list[dict[str, Any]]:
    """Dangerous and harmless requests in turn, each kind in its own order."""
    rows = [
        (_dangerous(s), trial.example(s, {"unsteered": a, "ungated": b, "gated": c}, gate))
        for s, a, b, c, gate in zip(samples, *answers, opened, strict=True)
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
