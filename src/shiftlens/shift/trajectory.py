"""``trajectory``: follow a base's concepts along checkpoints, or along the scale of an adapter.

The base's own text is generated once; every step reads it token by token, in one pass over the
data. Concepts are learned once, on the base's states of one half of the pictures; how far they
drifted is judged on the other half, at all steps with the same resamples.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from shiftlens.activations.asking import Asking, readable
from shiftlens.activations.harvesting import harvest
from shiftlens.activations.site import Site
from shiftlens.activations.store import ActivationStore
from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.grounding.ground import ground
from shiftlens.concepts.learners.learner import ConceptLearner, Learned
from shiftlens.core.errors import DataError, MismatchError, SiteError
from shiftlens.core.intervals import Interval, wilson
from shiftlens.core.progress import Progress, Silent
from shiftlens.data.sample import Samples
from shiftlens.models.model import Model
from shiftlens.models.pairs import check_pair
from shiftlens.shift.along import Along, Followed, follow
from shiftlens.shift.curves import ConceptCurve, Curve, Trajectory
from shiftlens.shift.cutting import Cutting
from shiftlens.shift.effects import STATISTICS
from shiftlens.shift.margins import Margins
from shiftlens.shift.refits import Split
from shiftlens.shift.states_only import require_states
from shiftlens.shift.verdicts import FEWEST_PICTURES, measured, pass_verdict, simultaneous

Step = tuple[float, Model]

SCALES = (0.0, 0.1, 0.2, 0.5, 1.0)
"""Adapter scales that are followed unless others are named."""


def scales(tuned: Model, values: Sequence[float] = SCALES) -> list[Step]:
    """Steps of one adapter: from the base at 0 to the tuned model at 1.

    Args:
        tuned: a model with an adapter whose contribution can be multiplied (LoRA).
        values: scales in [0, 1].

    Raises:
        DataError: no scales, or one outside [0, 1].
        MismatchError: the adapter cannot be scaled.
    """
    if not len(values):
        raise DataError("no scales to follow an adapter along", allowed="numbers from 0 to 1")
    return [(float(value), tuned.at_scale(value)) for value in values]


def trajectory(
    base: Model,
    steps: Sequence[Step],
    samples: Samples,
    site: Site,
    out: str | Path,
    *,
    learner: ConceptLearner,
    margins: Margins | None = None,
    placebos: Sequence[Model] = (),
    answers: bool = False,
    n_words: int = 8,
    stop_words: Collection[str] = (),
    max_new_tokens: int = 64,
    batch_size: int = 32,
    seed: int = 0,
    draws: int = 200,
    progress: Progress | None = None,
) -> Trajectory:
    """Follow the base's concepts along fine-tunes of it.

    Args:
        base: the original model.
        steps: (x, model) pairs in any order: checkpoints at training steps, or one adapter at
            scales (see ``scales``). The base itself may be the step 0.
        samples: what the base is asked; every step reads the base's answers.
        site: which states, at one layer.
        out: the directory of the states and of the results; a run that was interrupted goes on
            there. It ends with ``trajectory.json``, ``scalars.jsonl`` and the base's ``concepts``.
        learner: learns the base's concepts, and again in every refit.
        margins: what counts as nothing; without it, and without placebos, nothing is judged.
        placebos: fine-tunes of the same base that teach nothing; what they move is the margin.
        answers: let every step answer by itself too, to see how many answers differ.
        n_words: words a concept.
        stop_words: never listed.
        max_new_tokens: where an answer is cut off.
        batch_size: samples at once.
        seed: of the cut, the resamples and the refits.
        draws: refits behind the intervals.
        progress: who is told.

    Returns:
        the trajectory, which is in ``out`` as well.

    Raises:
        DataError: no steps, two at one x, or no readable samples.
        MismatchError: a step is no fine-tune of the base, or ``out`` holds another trajectory.
        SiteError: several layers, or one that the model does not have.
        LearnError: too few states for the learner, or too few placebos.
    """
    require_states(learner)
    if placebos and margins is not None:
        raise DataError("margins and placebos were both given", allowed="one or the other")
    if draws < 20:
        raise DataError(f"{draws} refits say nothing", allowed="20 or more; 200 are usual")
    ordered, where = _ordered(base, steps, placebos), _one_layer(base, site)
    root, listener = Path(out), progress or Silent()
    read, quarantine = readable(samples)
    asking = Asking(read, root / "answers", max_new_tokens, batch_size, listener)
    spare = [replace(one, label=f"placebo-{number}") for number, one in enumerate(placebos)]
    stores = _states(asking, [base, *(model for _, model in ordered), *spare], where, root)
    cutting = Cutting(stores[0], learner, seed)
    splits = [cutting.split(store) for store in stores[1:]]
    null = _null(margins, splits[len(ordered) :], cutting.learned)
    named = ground(
        cutting.concepts, cutting.estimation, base.readout, n_words=n_words, stop_words=stop_words
    )
    named.save(root / "concepts")
    followed = follow(
        Along.of(splits[: len(ordered)]), learner, cutting.learned,
        seed=seed, draws=draws, progress=listener,
    )  # fmt: skip
    xs = tuple(x for x, _ in ordered)
    found = Trajectory(
        axis=_axis(steps),
        xs=xs,
        names=tuple(model.adapter or model.name for _, model in ordered),
        concepts=_curves(followed, named, cutting.pictures, null, xs),
        everything=_everything(followed),
        answers=_answers(asking, base, ordered) if answers else None,
        margins=null.to_dict(),
        about={
            "base": base.provenance,
            "models": [model.identity for _, model in ordered],
            "site": where.describe(),
            "rows": stores[0].counts,
            "pictures": cutting.sizes,
            "quarantine": quarantine,
            "learner": learner.options(),
            "seed": seed,
            "draws": draws,
        },
    )
    found.save(root / "trajectory.json")
    found.save_scalars(root / "scalars.jsonl")
    return found


def _ordered(base: Model, steps: Sequence[Step], placebos: Sequence[Model]) -> list[Step]:
    """Steps in rising order, under labels that tell them apart, each proven to be of the base."""
    if not len(steps):
        raise DataError("no steps to follow", allowed="one or more (x, model) pairs")
    xs = [float(x) for x, _ in steps]
    if not all(map(math.isfinite, xs)):
        raise DataError(f"steps {xs} are not all numbers")
    twice = sorted({x for x in xs if xs.count(x) > 1})
    if twice:
        raise DataError(
            f"several models are given for step {twice[0]:g}",
            allowed="one model a step",
            remedy="leave one out, or number the steps yourself",
        )
    for model in (*(model for _, model in steps), *placebos):
        _require_fine_tune(base, model)
    named = [
        (x, replace(model, label=f"at-{x:.12g}")) for x, (_, model) in zip(xs, steps, strict=True)
    ]
    return sorted(named, key=lambda step: step[0])


def _require_fine_tune(base: Model, model: Model) -> None:
    if model.hf is base.hf:
        return
    if model.adapter_on and model.identity["weights"] != base.identity["weights"]:
        raise MismatchError(
            f"{model} is an adapter on other weights than those of {base}",
            allowed="fine-tunes of one base",
            remedy="load them together: load_variants(base, [checkpoints])",
        )
    check_pair(base, model, () if model.proof is None else tuple(model.proof.allowed))


def _axis(steps: Sequence[Step]) -> str:
    """``scale`` where every step is one adapter at that scale."""
    scaled = all(model.adapter_on and model.adapter_scale == x for x, model in steps)
    return "scale" if scaled and len({model.adapter_slot for _, model in steps}) == 1 else "step"


def _one_layer(base: Model, site: Site) -> Site:
    where = site.resolve(base)
    if len(where.layers) != 1:
        raise SiteError(f"a trajectory at {len(where.layers)} layers", allowed="one layer")
    return where.at(where.layers[0])


def _states(
    asking: Asking, models: Sequence[Model], site: Site, root: Path
) -> list[ActivationStore]:
    """States of all models on the base's text, in one pass over the data.

    The base is given its own text too: states that are to be equal must come from equal batches.
    """
    return harvest(
        models,
        asking.samples,
        site,
        root / "states",
        response="base",
        said=asking.said(models[0]),
        max_new_tokens=asking.max_new_tokens,
        batch_size=asking.batch_size,
        progress=asking.progress,
    )


def _null(margins: Margins | None, placebos: Sequence[Split], learned: Learned) -> Margins:
    if placebos:
        return Margins.from_placebos([measured(split, learned) for split in placebos])
    return margins or Margins.none()


def _curves(
    followed: Followed,
    named: Concepts,
    pictures: Sequence[int],
    null: Margins,
    xs: Sequence[float],
) -> tuple[ConceptCurve, ...]:
    """Verdicts at every step, with intervals that hold over the whole table at once."""
    few = np.asarray(pictures) < FEWEST_PICTURES
    estimates = np.where(few[:, None, None], np.nan, followed.concepts)
    errors, width = simultaneous(estimates, followed.refits)
    found: list[ConceptCurve] = []
    for i, n in enumerate(pictures):
        stability = float(followed.refits.stability[i])
        curves = {
            name: Curve.of(
                [
                    pass_verdict(
                        name,
                        float(estimates[i, at, s]),
                        float(width * errors[i, at, s]),
                        null.values[name],
                        n,
                        stability,
                    )
                    for at in range(len(xs))
                ],
                xs,
            )
            for s, name in enumerate(STATISTICS)
        }
        found.append(ConceptCurve(i, named.contrastive[i], n, stability, curves))
    return tuple(found)


def _everything(followed: Followed) -> tuple[Interval, ...]:
    """How far all states moved, with intervals that hold at all steps at once."""
    errors, width = simultaneous(followed.everything, followed.whole_refits)
    middle, half = followed.everything[0, :, 0], width * errors[0, :, 0]
    return tuple(
        Interval(float(m), float(m - h), float(m + h)) for m, h in zip(middle, half, strict=True)
    )


def _answers(asking: Asking, base: Model, steps: Sequence[Step]) -> tuple[Interval, ...]:
    """Share of answers that differ in any word from the base's, at each step."""
    own, found = asking.said(base), list[Interval]()
    for _, model in steps:
        other = asking.said(model)
        changed = sum(one.text.split() != other[name].text.split() for name, one in own.items())
        found.append(wilson(changed, len(own)))
    return tuple(found)
