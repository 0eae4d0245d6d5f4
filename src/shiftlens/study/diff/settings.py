"""What a diff can be told; every field is an option of the command line too."""

import math
from dataclasses import dataclass, field

from shiftlens.core.errors import DataError, LearnError


@dataclass(frozen=True)
class DiffSettings:
    """Options of ``diff``; the defaults are meant for most pairs.

    Attributes:
        words: token of interest; chosen on the selection third where it is empty.
        layer: block whose states are judged; the last by default.
        k: number of concepts; chosen on the selection third where it is ``None``.
        margin: the effect, in spreads, that counts as nothing; where there are no placebos.
        topic: words of the fine-tuning's topic; needed for *refined*.
        n_examined: changed concepts whose visible effect is tried by steering.
        n_restored: changed answers that are steered for each of them, at most.
        n_words: words a concept.
        stop_words: never listed.
        draws: refits behind the intervals; ``kind_draws`` behind the kinds.
        max_new_tokens: where an answer is cut off.
        batch_size: samples at once.
        images: whether diff.json names pictures; off, no path leaves the directory.
        seed: of cuts, learners, refits and random directions.
    """

    words: tuple[str, ...] = ()
    layer: int = -1
    k: int | None = None
    margin: float | None = None
    topic: tuple[str, ...] = ()
    n_examined: int = 4
    n_restored: int = 60
    n_words: int = 8
    stop_words: tuple[str, ...] = field(default_factory=tuple)
    draws: int = 200
    kind_draws: int = 30
    max_new_tokens: int = 64
    batch_size: int = 32
    images: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        least = {"draws": 20, "kind_draws": 10, "batch_size": 1, "max_new_tokens": 1, "n_words": 1}
        for name, fewest in least.items():
            if getattr(self, name) < fewest:
                raise DataError(
                    f"{name} = {getattr(self, name)}", allowed=f"a whole number from {fewest} up"
                )
        # Said here too, because settings are made before anything that imports torch.
        if self.margin is not None and not (math.isfinite(self.margin) and self.margin > 0):
            raise LearnError(
                f"the margin {self.margin!r} is not possible", allowed="a number above 0"
            )
        if self.k is not None and self.k < 2:
            raise DataError(f"k = {self.k}", allowed="at least 2 concepts, or none to choose it")
