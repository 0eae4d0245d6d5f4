"""Which factors of a scene can be read from a state by a linear probe."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from benchmarks.concepts.world_data import Rows
from benchmarks.figures import Figure, from_interval
from shiftlens.core.intervals import Interval, bootstrap_mean

FOLDS = 5
REGULARISATION = 0.1


@dataclass(frozen=True)
class Probed:
    """One factor in one block.

    Attributes:
        factor: its name.
        accuracy: share of held-out rows that the probe gets right.
        gain: that minus the share of the commonest value, paired by row.
        variance: share of the states' variance that lies between the factor's values, beyond
            what chance puts there. A probe reads what it likes; groups form where variance is.
    """

    factor: str
    accuracy: float
    gain: Interval
    variance: float

    @property
    def decodable(self) -> bool:
        """Whether the whole interval of the gain lies above chance."""
        return self.gain.low > 0

    def figure(self, layer: int) -> Figure:
        """How well the probe does."""
        how = (
            f"accuracy of a logistic probe minus that of the commonest value, {FOLDS} folds by "
            f"picture; accuracy {self.accuracy:.3f}; {self.variance:.1%} of the states' variance "
            "lies between its values"
        )
        return from_interval(
            f"block {layer}: {self.factor} read by a probe", self.gain, "share", "", how
        )


def probe(rows: Rows, layer: int, factor: str) -> Probed:
    """Cross-validated by picture."""
    from sklearn.model_selection import GroupKFold

    states, values = rows.states(layer).numpy(), rows.factor(factor)
    right, usual = np.zeros(len(values)), np.zeros(len(values))
    for train, test in GroupKFold(FOLDS).split(states, values, rows.pictures):
        common = Counter(values[train].tolist()).most_common(1)[0][0]
        right[test] = _predicted(states[train], values[train], states[test]) == values[test]
        usual[test] = values[test] == common
    # One mean a picture, so that rows of one picture are not counted as independent.
    names = np.unique(rows.pictures, return_inverse=True)[1]
    counts = np.bincount(names)
    gain = np.bincount(names, right - usual) / counts
    between = variance_between(states, values)
    return Probed(factor, float(right.mean()), bootstrap_mean(gain), between)


def variance_between(states: np.ndarray, values: np.ndarray) -> float:
    """Share of the variance of states (n, d) between the groups of equal values (omega squared).

    Within-group variance puts some between the groups by chance; that is taken off.
    """
    kinds, numbers = np.unique(values, return_inverse=True)
    centred = states.astype(np.float64) - states.mean(axis=0)
    sums = np.zeros((len(kinds), states.shape[1]))
    np.add.at(sums, numbers, centred)
    total = float((centred**2).sum())
    between = float((sums**2 / np.bincount(numbers)[:, None]).sum())
    within = (total - between) / max(1, len(states) - len(kinds))
    return (between - (len(kinds) - 1) * within) / (total + within)


def _predicted(states: np.ndarray, values: np.ndarray, new: np.ndarray) -> np.ndarray:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if len(set(values.tolist())) == 1:
        return np.full(len(new), values[0])
    model = make_pipeline(StandardScaler(), LogisticRegression(C=REGULARISATION, max_iter=1000))
    return model.fit(states, values).predict(new)
