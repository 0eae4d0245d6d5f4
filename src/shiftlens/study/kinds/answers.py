"""From one answer to another, while answers of other types keep their accuracy."""

from shiftlens.core.errors import SteeringError
from shiftlens.study.cache import Result
from shiftlens.study.context import Context
from shiftlens.study.experiment import AnswersSpec
from shiftlens.study.trial import Trial


def study_answers(context: Context, spec: AnswersSpec) -> Result:
    """Mean difference at the position that emits the answer, judged on other questions."""
    from shiftlens.activations import tokens
    from shiftlens.activations.site import Site
    from shiftlens.steering.directions import mean_difference, random_like
    from shiftlens.steering.outcomes import accuracy_loss, is_answer, moved, share

    trial = Trial.begin(context, spec)
    site = Site(layer=spec.layer, tokens=tokens.last_prompt())
    store = context.harvest([trial.model], trial.fit, site, trial.folder / "fit")[0]
    vector = mean_difference(
        store,
        source=lambda row: is_answer(row.response, spec.source),
        target=lambda row: is_answer(row.response, spec.target),
        name=f"{spec.source} to {spec.target}",
    )
    trial.keep(vector, "vector")
    control = random_like(vector, context.experiment.seed)
    before = trial.ask(trial.judge)
    after = trial.steered(trial.judge, [trial.intervene(vector)], "steered")
    random = trial.steered(trial.judge, [trial.intervene(control)], "random direction")
    flags = moved(before, after, spec.source, spec.target)
    effect = share(flags)
    trial.figure(
        "moved",
        f"“{spec.source}” became “{spec.target}”",
        effect,
        goal=f">= {spec.goal_moved:g}",
    )
    trial.figure(
        "moved_random",
        "the same, random direction of equal length",
        share(moved(before, random, spec.source, spec.target)),
        role="control",
    )
    losses: dict[str, float] = {}
    sizes: dict[str, int] = {}
    for name in spec.off_target:
        samples = context.samples(name)
        answers = [sample.labels.get("answer") for sample in samples]
        if not all(isinstance(answer, str) for answer in answers):
            raise SteeringError(
                f"data {name!r} has samples without a label 'answer'",
                remedy="off-target data need the right answer of every sample",
            )
        loss = accuracy_loss(
            trial.ask(samples),
            trial.steered(samples, [trial.intervene(vector)], f"on {name}"),
            [str(answer) for answer in answers],
        )
        losses[name], sizes[name] = loss.estimate, len(samples)
        trial.figure(
            f"loss_{name}",
            f"accuracy lost on “{name}” questions (n = {len(samples)})",
            loss,
            role="side effect",
            goal=f"<= {spec.goal_loss:g}",
        )
    shown = [
        trial.example(sample, {"unsteered": old, "steered": new})
        for sample, old, new in zip(trial.judge, before, after, strict=True)
        if is_answer(old, spec.source)
    ]
    return trial.result(
        len(flags),
        f"Mean difference between the states that emit “{spec.target}” and “{spec.source}”.",
        shown,
        kind="answers",
        moved=effect.estimate,
        off_target_loss=max(losses.values(), default=0.0),
        off_target={name: {"n": sizes[name], "loss": loss} for name, loss in losses.items()},
    )
