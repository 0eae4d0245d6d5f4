"""What answer counts say about a direction: which few answers gained far above all others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Gain:
    """One answer that a direction gives more often.

    Attributes:
        answer: in lower case, without a last mark.
        before: how often the unsteered model gave it.
        after: how often it is given under steering.
    """

    answer: str
    before: int
    after: int

    @property
    def gained(self) -> int:
        """How many more there are."""
        return self.after - self.before

    @property
    def ratio(self) -> float:
        """Relative increase, with one added to both counts: a new answer does not divide by 0."""
        return (self.after + 1) / (self.before + 1)


@dataclass(frozen=True)
class Score:
    """What answer counts say about one direction.

    Attributes:
        score: smallest gain of a primary answer minus largest gain of a secondary one.
        primary: the direction's target, largest gain first; empty where no answer gained.
        secondary: the other answers that gained most.
        lost: the answer that lost most, and how many; ``None`` where none did.
    """

    score: int
    primary: tuple[Gain, ...]
    secondary: tuple[Gain, ...]
    lost: tuple[str, int] | None


def score(before: Mapping[str, int], after: Mapping[str, int], top: int = 5) -> Score:
    """Judge a direction by exact answer counts (METHOD: appendix B.3).

    Args:
        before: counts of the unsteered answers.
        after: counts of the steered ones.
        top: how many answers with the largest relative increase are looked at.
    """
    gains = [Gain(a, before.get(a, 0), n) for a, n in after.items() if n > before.get(a, 0)]
    kept = sorted(gains, key=lambda one: (-one.ratio, -one.gained, one.answer))[:top]
    kept.sort(key=lambda one: (-one.gained, -one.ratio, one.answer))
    cut = _two_means([one.gained for one in kept])
    primary, secondary = tuple(kept[:cut]), tuple(kept[cut:])
    least = min((one.gained for one in primary), default=0)
    most = max((one.gained for one in secondary), default=0)
    falls = {answer: n - after.get(answer, 0) for answer, n in before.items()}
    fallen = max(falls, key=lambda answer: (falls[answer], answer), default=None)
    lost = None if fallen is None or falls[fallen] <= 0 else (fallen, falls[fallen])
    return Score(least - most, primary, secondary, lost)


def _two_means(values: Sequence[int]) -> int:
    """Size of the upper of two groups of falling values with the least squares within groups.

    Values that are all alike are one group.
    """
    if len(set(values)) < 2:
        return len(values)
    return min(range(1, len(values)), key=lambda cut: _spread(values[:cut]) + _spread(values[cut:]))


def _spread(values: Sequence[int]) -> float:
    mean = sum(values) / len(values)
    return sum((value - mean) ** 2 for value in values)
