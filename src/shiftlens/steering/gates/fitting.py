"""Thresholds of gates: chosen on rows that the gate has not seen, with what they do there."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from shiftlens.core.errors import SteeringError
from shiftlens.core.fields import Fields

FEWEST = 8
"""Rows of each class that a gate is fitted on, at least."""


@dataclass(frozen=True)
class HeldOut:
    """What a gate does on the rows that its threshold was chosen on: optimistic for that reason.

    Attributes:
        true_positive: share of the positive rows for which it opens.
        false_positive: share of the negative ones.
        rows: how many there were.
    """

    true_positive: float
    false_positive: float
    rows: int

    def to_dict(self) -> dict[str, float]:
        """JSON."""
        return {
            "true_positive": self.true_positive,
            "false_positive": self.false_positive,
            "rows": self.rows,
        }

    @staticmethod
    def from_data(data: Fields) -> "HeldOut":
        """What ``to_dict`` wrote.

        Raises:
            StoreError: something is missing, or of the wrong kind.
        """
        found = HeldOut(
            data.number("true_positive"), data.number("false_positive"), data.whole("rows")
        )
        data.done()
        return found


def choose_threshold(scores: Tensor, positive: Sequence[bool]) -> tuple[float, HeldOut]:
    """The middle of the stretch where true minus false positive rate is largest.

    Args:
        scores: (n,) larger means rather positive.
        positive: for each row whether the gate should open; both kinds must occur.

    Raises:
        SteeringError: scores that are not finite.
    """
    truth = np.array(positive, dtype=bool)
    values = scores.detach().cpu().numpy().astype(np.float64)
    if not np.isfinite(values).all():
        raise SteeringError("a gate's scores are not finite on its fitting rows")
    order = np.argsort(-values, kind="stable")
    ranked, labels = values[order], truth[order]
    gain = np.cumsum(labels) / labels.sum() - np.cumsum(~labels) / (~labels).sum()
    # Between equal scores no threshold can lie.
    gain[:-1][ranked[:-1] == ranked[1:]] = -np.inf
    best = int(np.argmax(gain))
    after = ranked[best + 1] if best + 1 < len(ranked) else ranked[best] - 1.0
    threshold = float((ranked[best] + after) / 2)
    opened = values > threshold
    rates = HeldOut(float(opened[truth].mean()), float(opened[~truth].mean()), len(truth))
    return threshold, rates


def require_change(opened: np.ndarray) -> None:
    """Refuse a gate that is open, or closed, on every row that it was fitted on.

    Raises:
        SteeringError: it is.
    """
    if opened.all() or not opened.any():
        raise SteeringError(
            "the gate is constant over its fitting rows: the classes do not differ there",
            remedy="read another layer, or other samples",
        )


def require_classes(truth: np.ndarray) -> None:
    """Refuse too few rows of a class.

    Raises:
        SteeringError: fewer than 8 of one.
    """
    for name, count in (("positive", int(truth.sum())), ("negative", int((~truth).sum()))):
        if count < FEWEST:
            raise SteeringError(
                f"only {count} {name} rows to fit a gate on", allowed=f"at least {FEWEST}"
            )


def folds_of(truth: np.ndarray, groups: Sequence[str], folds: int, seed: int) -> np.ndarray:
    """(n,) number of the fold of each row: rows of one picture together, classes spread evenly.

    Raises:
        SteeringError: fewer than two folds, or fewer pictures of a class than folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    names = np.array(groups)
    most = min(len(set(names[truth == side].tolist())) for side in (True, False))
    if not 2 <= folds <= most:
        raise SteeringError(
            f"{folds} folds of rows from {most} pictures of a class",
            allowed=f"2 to {most}" if most > 1 else "at least two pictures of each class",
            remedy="give more samples, or fewer folds",
        )
    number = np.zeros(len(truth), dtype=np.int64)
    cut = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    for fold, (_, held_out) in enumerate(cut.split(names, truth, groups=names)):
        number[held_out] = fold
    return number
