"""Captions that should name something, by a vector of the base and by one of the fine-tune."""

from collections.abc import Sequence

from shiftlens.core.errors import SteeringError
from shiftlens.data.sample import Sample
from shiftlens.study.cache import Result
from shiftlens.study.context import Context
from shiftlens.study.experiment import StyleSpec
from shiftlens.study.trial import Trial


def study_style(context: Context, spec: StyleSpec) -> Result:
    """Both vectors come from where the choice is made: the word after which a caption may end."""
    from shiftlens.activations import tokens
    from shiftlens.activations.site import Site
    from shiftlens.steering.directions import mean_difference, mean_shift, random_like
    from shiftlens.steering.outcomes import says, share

    trial, (base, tuned) = Trial.begin(context, spec), context.models
    vocabulary = sorted({word for s in context.samples(spec.data) for word in _right(s, spec)})
    site = Site(layer=spec.layer, tokens=tokens.word(*spec.decide_after, alignment="read"))
    stores = context.harvest([base, tuned], trial.fit, site, trial.folder / "fit", response="base")
    vector = mean_difference(
        stores[0],
        source=lambda row: not says(row.response, vocabulary),
        target=lambda row: says(row.response, vocabulary),
        name=f"captions that name the {spec.factor}",
    )
    shift = mean_shift(stores[0], stores[1], name=f"fine-tuning for the {spec.factor}")
    trial.keep(vector, "vector")
    trial.keep(shift, "shift")
    said = trial.ask(trial.judge)
    chosen = [i for i, text in enumerate(said) if not says(text, vocabulary)]
    if not chosen:
        raise SteeringError(
            f"every caption of {spec.data!r} names the {spec.factor} without steering",
            remedy="give other samples, or steer towards something that is not there yet",
        )
    samples = [trial.judge[i] for i in chosen]
    before = [said[i] for i in chosen]
    by_shift = trial.intervene(shift, strength=spec.shift_strength)
    control = random_like(shift, context.experiment.seed)
    texts = {
        "vector": trial.steered(samples, [trial.intervene(vector)], "base vector"),
        "shift": trial.steered(samples, [by_shift], "shift vector"),
        "random": trial.steered(
            samples, [trial.intervene(control, strength=spec.shift_strength)], "random direction"
        ),
    }
    right = {
        name: share([says(text, _right(s, spec)) for s, text in zip(samples, said, strict=True)])
        for name, said in texts.items()
    }
    named = share([says(text, vocabulary) for text in texts["shift"]])
    goal = f">= {spec.goal_right:g}"
    trial.figure(
        "right_shift", f"right {spec.factor} named, shift vector", right["shift"], goal=goal
    )
    trial.figure("right", f"right {spec.factor} named, vector of the base alone", right["vector"])
    trial.figure("named_shift", f"any {spec.factor} named, shift vector", named)
    trial.figure(
        "right_random",
        "right one named, random direction as long as the shift",
        right["random"],
        role="control",
    )
    kept = share(_kept(before, texts["shift"], vocabulary))
    trial.figure("kept_shift", "caption goes on from the unsteered one, shift vector", kept,
                 role="side effect")  # fmt: skip
    shown = [
        trial.example(s, {"unsteered": old, "base vector": one, "shift vector": two})
        for s, old, one, two in zip(samples, before, texts["vector"], texts["shift"], strict=True)
    ]
    return trial.result(
        len(samples),
        "Both vectors taken at the word after which a caption either ends or goes on: captions "
        f"that name the {spec.factor} minus captions that do not; and tuned minus base on the same "
        "text.",
        shown,
        kind="style",
        right=right["vector"].estimate,
        right_shift=right["shift"].estimate,
    )


def _right(sample: Sample, spec: StyleSpec) -> list[str]:
    allowed = sample.labels.get("allowed")
    if not isinstance(allowed, dict) or spec.factor not in allowed:
        raise SteeringError(
            f"sample {sample.id!r} has no label 'allowed' with the words that are right for "
            f"{spec.factor!r}",
            remedy=f'give every sample labels like {{"allowed": {{"{spec.factor}": ["beach"]}}}}',
        )
    return [str(word) for word in allowed[spec.factor]]


def _kept(before: Sequence[str], after: Sequence[str], vocabulary: Sequence[str]) -> list[bool]:
    """Whether the steered caption begins with the unsteered one, words of the style set aside."""
    from shiftlens.steering.outcomes import words_of

    style = {word.lower() for word in vocabulary}

    def plain(text: str) -> list[str]:
        return [word for word in words_of(text) if word not in style]

    pairs = [(plain(old), plain(new)) for old, new in zip(before, after, strict=True)]
    return [new[: len(old)] == old for old, new in pairs]
