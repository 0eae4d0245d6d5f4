"""Captions that guess a gender: neutral where nothing shows it, kept where something does."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from shiftlens.core.errors import SteeringError
from shiftlens.data.sample import Sample
from shiftlens.steering.measures.gender import (
    gender_of,
    is_gendered,
    lowered_swaps,
    neutralised,
    rest_unchanged,
)
from shiftlens.steering.measures.gendered_words import SWAPS
from shiftlens.steering.tasks.registry import tasks
from shiftlens.steering.tasks.task import Measure, Scores, Task


@tasks.register("gender")
@dataclass(frozen=True)
class GenderTask(Task):
    """Whether gendered captions become neutral ones (Khayatan et al. 2025, section 5.3).

    ``neutralised`` and ``rest_unchanged`` are about gendered captions of pictures that show no
    gender; ``evident_changed`` about those of pictures that do, by a label: whether the caption no
    longer names that gender. Words are whole: "human" is none.

    Attributes:
        swaps: from each gendered word to its neutral one.
        label: holds the gender that a picture shows (``feminine``, ``masculine``, or one of
            ``evident``); a sample without it shows none.
        evident: from values of the label to ``feminine`` or ``masculine``; others show none.
        max_new_tokens: where a caption is cut off.
    """

    swaps: Mapping[str, str] = field(default_factory=lambda: dict(SWAPS))
    label: str = "gender"
    evident: Mapping[str, str] = field(
        default_factory=lambda: {"feminine": "feminine", "masculine": "masculine"}
    )
    max_new_tokens: int = 40

    name = "gender"
    measures = (
        Measure("neutralised", "captions without a gender where none shows"),
        Measure("rest_unchanged", "rest of the neutralised captions unchanged", role="side effect"),
        Measure(
            "evident_changed",
            "captions that lost an evident gender",
            role="side effect",
            higher_is_better=False,
        ),
    )

    def __post_init__(self) -> None:
        lowered_swaps(self.swaps)
        wrong = sorted(set(self.evident.values()) - {"feminine", "masculine"})
        if wrong:
            raise SteeringError(f"the gender {wrong[0]!r}", allowed="feminine, masculine")

    def score(
        self, samples: Sequence[Sample], before: Sequence[str], after: Sequence[str]
    ) -> Scores:
        """The three measures of every sample."""
        found: dict[str, list[float | None]] = {one.name: [] for one in self.measures}
        for sample, old, new in zip(samples, before, after, strict=True):
            shown = self.evident.get(str(sample.labels.get(self.label, "")))
            gendered = is_gendered(old, self.swaps)
            done = neutralised(old, new, self.swaps) if gendered and shown is None else None
            rest = rest_unchanged(old, new, self.swaps) if done else None
            lost = gender_of(new) != shown if shown and gender_of(old) == shown else None
            for name, flag in zip(found, (done, rest, lost), strict=True):
                found[name].append(None if flag is None else float(flag))
        return found
