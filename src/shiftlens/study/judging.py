"""Verdicts on the concepts of one token of interest: which moved, and what became of them."""

from typing import TYPE_CHECKING, Any

from shiftlens.core.errors import LearnError
from shiftlens.core.progress import Progress
from shiftlens.study.cache import Result

if TYPE_CHECKING:
    from shiftlens.activations.store import ActivationStore
    from shiftlens.concepts.learners.learner import ConceptLearner
    from shiftlens.shift.concept_shift import ConceptShift

_FEWEST_DRAWS, _KIND_DRAWS = 10, 5  # refits for kinds are a fifth: each learns both dictionaries


def judge_concepts(
    shift: "ConceptShift",
    base: "ActivationStore",
    on_base_text: "ActivationStore",
    learner: "ConceptLearner",
    *,
    margin: float | None,
    seed: int,
    draws: int,
    progress: Progress,
) -> Result:
    """Judge the concepts of a comparison on the base's text.

    The concepts are those of the comparison, from all samples: they were learned without looking at
    any change. Changes are measured on one half of the pictures; the mean change of all, and the
    refits, come from the other.

    Args:
        shift: the comparison.
        base: states of the base model.
        on_base_text: states of the tuned model on the same text.
        learner: of the concepts.
        margin: what counts as nothing, in spreads; without one every verdict is undecided.
        seed: of the cut and the refits.
        draws: refits behind the intervals.
        progress: who is told.

    Returns:
        the part ``verdicts`` of metrics.json; ``{"reason"}`` where the samples are too few.
    """
    from shiftlens.activations.store import paired
    from shiftlens.reporting.numbers import clean
    from shiftlens.shift.cutting import Cutting
    from shiftlens.shift.kinds import kinds
    from shiftlens.shift.margins import Margins
    from shiftlens.shift.verdicts import judge, summary

    margins = Margins.none() if margin is None else Margins.named(margin)
    before, after = paired(base, on_base_text)
    cutting = Cutting(before, learner, seed)
    try:
        split = cutting.split(after)
    except LearnError as error:
        return {"reason": error.given}
    own, other = shift.base.learned, shift.tuned.learned
    judged = judge(split, learner, own, margins, seed=seed, draws=draws, progress=progress)
    told = kinds(
        split, learner, own, other, seed=seed, draws=max(_FEWEST_DRAWS, draws // _KIND_DRAWS),
        progress=progress,
    )  # fmt: skip
    concepts: list[dict[str, Any]] = [
        {
            **{name: verdict.to_dict() for name, verdict in one.items()},
            "stability": judged.stability[index],
            "kind": told.base[index].to_dict(),
        }
        for index, one in enumerate(judged.concepts)
    ]
    return clean(
        {
            "margins": margins.to_dict(),
            "summary": {name: summary(judged, name) for name in ("moved", "own")},
            "interval_width": judged.width,
            "draws": draws,
            "pictures": cutting.sizes,
            "concepts": concepts,
            "tuned": [one.to_dict() for one in told.tuned],
        }
    )
