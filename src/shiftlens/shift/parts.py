"""Three disjoint parts of the data: what is chosen, what is learned, what is judged.

Words, layer, k and thresholds are chosen on the selection part and nowhere else; concepts and
vectors are learned on the estimation part; verdicts are passed on the judging part. Rows of one
picture stay together, so that no picture helps to judge itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shiftlens.core.errors import LearnError

NAMES = ("selection", "estimation", "judging")


@dataclass(frozen=True)
class Parts:
    """Row indices of the three parts, each sorted.

    Attributes:
        selection: where words, layer and k are chosen.
        estimation: where concepts and vectors are learned.
        judging: where verdicts are passed.
    """

    selection: np.ndarray
    estimation: np.ndarray
    judging: np.ndarray

    def sizes(self) -> dict[str, int]:
        """Rows of each part."""
        return {name: len(getattr(self, name)) for name in NAMES}


def thirds(groups: Sequence[str], *, seed: int = 0) -> Parts:
    """Cut rows into three random parts of equal numbers of groups.

    Args:
        groups: n names; rows of one name stay in one part (a picture, or a sample without any).
        seed: of the cut.

    Raises:
        LearnError: fewer than three groups.
    """
    named = np.asarray(groups)
    unique = np.unique(named)
    if len(unique) < len(NAMES):
        raise LearnError(
            f"{len(unique)} pictures cannot be cut into three parts",
            allowed="at least three, and some dozens for any verdict",
            remedy="give more samples",
        )
    shuffled = np.random.default_rng([seed, len(unique)]).permutation(unique)
    found = [np.flatnonzero(np.isin(named, part)) for part in np.array_split(shuffled, len(NAMES))]
    return Parts(*found)
