"""Captions that should name something: whether they do, rightly, and keep what they said."""

from collections.abc import Sequence
from dataclasses import dataclass

from shiftlens.core.errors import SteeringError
from shiftlens.data.sample import Sample, Samples
from shiftlens.steering.measures.captions import CiderD
from shiftlens.steering.outcomes import says, words_of
from shiftlens.steering.tasks.registry import tasks
from shiftlens.steering.tasks.task import Measure, Scores, Task, label_of, words_from


@tasks.register("style")
@dataclass(frozen=True)
class StyleTask(Task):
    """Captions in a style that is told by its words, whole and in any letter case.

    All measures but ``cider`` are about captions that were without the style before: ``styled``
    (any of its words), ``right`` (one that the label ``allowed`` lists for the factor), ``kept``
    (the caption begins with every word that it had). ``cider`` is CIDEr-D against the label
    ``captions``, where there is one.

    Attributes:
        words: of the style.
        factor: in the label ``allowed``, whose words are right; empty where nobody knows.
        max_new_tokens: where a caption is cut off.
    """

    words: Sequence[str]
    factor: str = ""
    max_new_tokens: int = 40

    name = "style"
    measures = (
        Measure("styled", "captions that have the style now"),
        Measure("right", "captions that name the right thing now"),
        Measure("kept", "captions that keep what they said", role="side effect"),
        Measure("cider", "CIDEr-D of the captions", role="side effect", is_share=False),
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "words", words_from(self.words, "words of a style"))
        if not self.words:
            raise SteeringError("a style without words", allowed='words=["beach", "forest"]')

    def check(self, samples: Samples) -> None:
        """Refuse samples that do not say what is right, where a factor is named."""
        for sample in samples if self.factor else ():
            self._right(sample)

    def _right(self, sample: Sample) -> list[str]:
        allowed = label_of(
            sample, "allowed", dict, f'{{"allowed": {{"{self.factor}": ["beach"]}}}}'
        )
        if self.factor not in allowed:
            raise SteeringError(
                f"sample {sample.id!r} does not say which words are right for {self.factor!r}",
                allowed=f"factors: {', '.join(map(str, allowed))}",
            )
        return [str(word) for word in allowed[self.factor]]

    def score(
        self, samples: Sequence[Sample], before: Sequence[str], after: Sequence[str]
    ) -> Scores:
        """The four measures of every sample."""
        found: dict[str, list[float | None]] = {one.name: [] for one in self.measures}
        style = {word.lower() for word in self.words}
        for sample, old, new in zip(samples, before, after, strict=True):
            plain = not says(old, self.words)
            found["styled"].append(float(says(new, self.words)) if plain else None)
            right = float(says(new, self._right(sample))) if self.factor and plain else None
            found["right"].append(right)
            kept = [word for word in words_of(new) if word not in style]
            said = words_of(old)
            found["kept"].append(float(kept[: len(said)] == said) if plain else None)
        found["cider"] = _cider(samples, after)
        return found


def _cider(samples: Sequence[Sample], captions: Sequence[str]) -> list[float | None]:
    """CIDEr-D of the captions that have references; document frequencies are theirs."""
    known = [i for i, sample in enumerate(samples) if sample.labels.get("captions")]
    scores: list[float | None] = [None] * len(samples)
    if len(known) > 1:
        scorer = CiderD([[str(c) for c in samples[i].labels["captions"]] for i in known])
        for i, value in zip(known, scorer.per_caption([captions[i] for i in known]), strict=True):
            scores[i] = value
    return scores
