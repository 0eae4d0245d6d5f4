"""``evaluate``: arms side by side on trials, with paired intervals, tests and random controls."""

from collections.abc import Sequence
from typing import Any

from shiftlens.core.errors import MismatchError, SteeringError
from shiftlens.core.progress import Progress
from shiftlens.data.privacy import path_of
from shiftlens.models.model import Model
from shiftlens.steering.arms import Arm
from shiftlens.steering.evaluating.evaluation import Evaluation
from shiftlens.steering.evaluating.judging import Asking, Judged
from shiftlens.steering.evaluating.lines import Line, line_of
from shiftlens.steering.evaluating.trials import Trial

UNSTEERED = "unsteered"
"""The name of the arm that every other one is held against."""


def evaluate(
    model: Model,
    trials: Sequence[Trial],
    arms: Sequence[Arm],
    *,
    controls: int = 3,
    fluency: bool = True,
    n_examples: int = 6,
    batch_size: int = 32,
    seed: int = 0,
    progress: Progress | None = None,
) -> Evaluation:
    """Ask every arm every trial, and hold each against the unsteered model and against chance.

    Everything is judged on the samples given: fit vectors, gates and strengths on others. Beside
    each arm that steers, ``controls`` random directions of equal length with the same scope and
    gate are asked; beside each measure stands how much it changed, paired by sample.

    Args:
        model: who is steered; also the unsteered arm.
        trials: what is asked; off-target trials belong among them.
        arms: ways of steering, instructions in words, other models; names are unique.
        controls: random directions for each arm that steers; 0 for none.
        fluency: measure repetition, and how surprising each answer is to the unsteered model,
            which costs a pass over every answer; arms with another model must share its tokens.
        n_examples: samples of each trial that are kept with all answers, changed ones first.
        batch_size: samples at once.
        seed: of random directions.
        progress: who is told.

    Returns:
        one line for each arm, trial and measure.

    Raises:
        SteeringError: no trial or arm, a name used twice, an arm that changes nothing, or something
            that cannot be steered.
        MismatchError: a vector of another model, or fluency of a model with other tokens.
        DataError: a picture cannot be read.
    """
    _check(trials, arms, controls)
    if fluency:
        _require_same_tokens(model, arms)
    asking = Asking(model, controls, fluency, batch_size, seed, progress)
    lines: list[Line] = []
    details: dict[str, dict[str, Any]] = {}
    receipts: dict[str, dict[str, Any]] = {}
    examples: dict[str, list[dict[str, Any]]] = {}
    for trial in trials:
        plain = asking.ask(trial, Arm(UNSTEERED), None)
        judged = [plain, *(asking.ask(trial, arm, plain) for arm in arms)]
        measures = (*trial.task.measures, *asking.measures)
        lines += [
            line
            for measure in measures
            for one in judged
            if (line := line_of(trial, measure, one, plain)) is not None
        ]
        before = plain.texts
        details[trial.name] = {
            one.arm.name: trial.task.details(trial.samples, before, one.texts) for one in judged
        }
        receipts[trial.name] = {
            one.arm.name: one.receipt.to_dict() | {"summary": one.receipt.summary()}
            for one in judged
            if one.receipt is not None
        }
        examples[trial.name] = _examples(trial, judged, n_examples)
    return Evaluation(
        tuple(lines), details, receipts, examples, _about(model, trials, arms, controls, seed)
    )


def _check(trials: Sequence[Trial], arms: Sequence[Arm], controls: int) -> None:
    for what, names in (
        ("trial", [trial.name for trial in trials]),
        ("arm", [UNSTEERED, *(arm.name for arm in arms)]),
    ):
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise SteeringError(f"two {what}s are called {twice[0]!r}")
    if not trials:
        raise SteeringError("no trial to evaluate on", allowed="Trial(name, task, samples)")
    if not arms:
        raise SteeringError("no arm to evaluate", allowed="Arm(name, interventions), ...")
    for arm in arms:
        if arm.changes_nothing:
            raise SteeringError(
                f"the arm {arm.name!r} changes nothing: it is the unsteered model, which is asked "
                "anyway",
                allowed="interventions, an instruction, or another model",
            )
    if controls < 0:
        raise SteeringError(f"{controls} random controls", allowed="0 or more")


def _require_same_tokens(model: Model, arms: Sequence[Arm]) -> None:
    """Refuse to let a model read tokens that mean something else to it."""
    for arm in arms:
        other = arm.model
        if other is None or other.hf is model.hf:
            continue
        if other.tokenizer.get_vocab() != model.tokenizer.get_vocab():
            raise MismatchError(
                f"the model of the arm {arm.name!r} has other tokens than {model.name}",
                remedy="evaluate without fluency (fluency=False)",
            )


def _examples(trial: Trial, judged: Sequence[Judged], n: int) -> list[dict[str, Any]]:
    """A few samples with all answers, those that any arm changed first."""
    plain = judged[0].texts
    changed = [
        any(one.texts[i] != plain[i] for one in judged[1:]) for i in range(len(trial.samples))
    ]
    order = sorted(range(len(trial.samples)), key=lambda i: (not changed[i], i))[:n]
    return [
        {
            "id": trial.samples[i].id,
            "image": path_of(trial.samples[i]),
            "prompt": trial.samples[i].prompt,
            "answers": {one.arm.name: one.texts[i] for one in judged},
        }
        for i in order
    ]


def _about(
    model: Model, trials: Sequence[Trial], arms: Sequence[Arm], controls: int, seed: int
) -> dict[str, Any]:
    return {
        "model": model.provenance,
        "seed": seed,
        "controls": controls,
        "trials": {trial.name: trial.describe() for trial in trials},
        "arms": {arm.name: arm.describe() for arm in arms},
        "notes": _notes(trials, arms),
    }


def _notes(trials: Sequence[Trial], arms: Sequence[Arm]) -> list[str]:
    """What was fitted on the very samples that it is judged on, as far as that can be seen."""
    found = [
        f"{one.vector.name!r} comes from the samples of {trial.name!r}: its effect there is too "
        "good to be true"
        for trial in trials
        for arm in arms
        for one in arm.interventions
        if one.vector.provenance.get("data") == trial.samples.fingerprint
    ]
    return list(dict.fromkeys(found))
