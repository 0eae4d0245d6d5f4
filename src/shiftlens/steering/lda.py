"""A linear probe in closed form: Fisher's discriminant with shrunk covariance, as a gate."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from shiftlens.activations.store import ActivationStore, Row
from shiftlens.core.errors import SteeringError
from shiftlens.steering.gates import Gate
from shiftlens.steering.whitening import shrunk_covariance

_FEWEST = 8


@dataclass(frozen=True, eq=False)
class LDA(Gate):
    """Open where ``states @ weights`` exceeds a threshold.

    Attributes:
        weights: (d,) inverse within-class covariance times the difference of the class means.
        threshold: chosen on rows that the weights have not seen.
        layer: the block after which the state is read.
        held_out: true and false positive rate on those rows, and how many there were; optimistic,
            because the threshold was chosen on them.
    """

    weights: Float[Tensor, " d"]
    threshold: float
    layer: int
    held_out: dict[str, float]

    @staticmethod
    def fit(
        store: ActivationStore,
        positive: Callable[[Row], bool] | Sequence[bool],
        *,
        layer: int | None = None,
        held_out: float = 0.3,
        seed: int = 0,
    ) -> "LDA":
        """Fit on some of a store's rows and choose the threshold on the others.

        Args:
            store: states at the last prompt position.
            positive: the rows for which the gate should open; the others should keep it closed.
            layer: which of the store's layers; may be left out when there is one.
            held_out: share of each class that only the threshold sees.
            seed: of that cut.

        Raises:
            SteeringError: fewer than 8 rows of a class, or a gate that is constant on its rows.
        """
        flags = [positive(row) for row in store.rows] if callable(positive) else list(positive)
        if store.site.normed:
            raise SteeringError(
                "the gate would be fitted on states behind the final norm, and read others",
                remedy="harvest the same site without normed=True",
            )
        acts, truth = store.states(layer).float(), np.array(flags, dtype=bool)
        for name, count in (("positive", int(truth.sum())), ("negative", int((~truth).sum()))):
            if count < _FEWEST:
                raise SteeringError(
                    f"only {count} {name} rows to fit a gate on", allowed=f"at least {_FEWEST}"
                )
        kept = _stratified(truth, held_out, seed)
        weights = _discriminant(acts[kept], torch.from_numpy(truth[kept]))
        rest = ~kept
        scores = (acts @ weights).numpy()
        threshold = _threshold(scores[rest], truth[rest])
        opened = scores > threshold
        if opened.all() or not opened.any():
            raise SteeringError(
                "the gate is constant over its fitting rows: the classes do not differ there",
                remedy="read another layer, or other samples",
            )
        rates = {
            "true_positive": float(opened[rest & truth].mean()),
            "false_positive": float(opened[rest & ~truth].mean()),
            "rows": float(rest.sum()),
        }
        return LDA(weights, threshold, store.site_at(layer).layers[0], rates)

    def decide(self, states: Float[Tensor, "b d"]) -> Bool[Tensor, " b"]:
        """Whether each state lies on the positive side."""
        return states.float() @ self.weights.to(states.device) > self.threshold

    def describe(self) -> dict[str, Any]:
        """The gate as JSON."""
        return {"gate": "linear discriminant", "layer": self.layer, "held_out": self.held_out}


def _stratified(truth: np.ndarray, held_out: float, seed: int) -> np.ndarray:
    """True for the rows to fit on; each class keeps at least two rows on either side."""
    rng = np.random.default_rng(seed)
    kept = np.ones(len(truth), dtype=bool)
    for label in (True, False):
        rows = rng.permutation(np.flatnonzero(truth == label))
        kept[rows[: min(max(2, round(held_out * len(rows))), len(rows) - 2)]] = False
    return kept


def _discriminant(acts: Tensor, truth: Tensor) -> Tensor:
    means = [acts[truth].mean(dim=0), acts[~truth].mean(dim=0)]
    centred = torch.cat([acts[truth] - means[0], acts[~truth] - means[1]])
    return torch.linalg.solve(shrunk_covariance(centred), means[0] - means[1])


def _threshold(scores: np.ndarray, truth: np.ndarray) -> float:
    """The middle of the stretch where true minus false positive rate is largest."""
    order = np.argsort(-scores, kind="stable")
    ranked, labels = scores[order], truth[order]
    gain = np.cumsum(labels) / labels.sum() - np.cumsum(~labels) / (~labels).sum()
    best = int(np.argmax(gain))
    after = ranked[best + 1] if best + 1 < len(ranked) else ranked[best] - 1.0
    return float((ranked[best] + after) / 2)
