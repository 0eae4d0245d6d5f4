"""Linear probes as gates: Fisher's discriminant in closed form, and logistic regression."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from shiftlens.activations.store import ActivationStore, Row
from shiftlens.concepts.files import direction_of, load_pair, provenance_of, refusing, save_pair
from shiftlens.core.errors import SteeringError
from shiftlens.core.fields import Fields
from shiftlens.steering.gates.fitting import (
    HeldOut,
    choose_threshold,
    folds_of,
    require_change,
    require_classes,
)
from shiftlens.steering.gates.gate import StateGate
from shiftlens.steering.whitening import shrunk_covariance

_SCHEMA = 1

Positive = Callable[[Row], bool] | Sequence[bool]


@dataclass(frozen=True, eq=False)
class LinearGate(StateGate):
    """Open where ``states @ weights`` exceeds a threshold.

    Attributes:
        weights: (d,) of the probe.
        threshold: chosen on rows that the weights have not seen.
        layer: the block after which the state is read.
        held_out: what the gate does on those rows.
        kind: of probe, for people.
        every_step: decide again for every position that emits a token.
        provenance: JSON: model, data and rows that it came from.
    """

    weights: Float[Tensor, " d"]
    threshold: float
    layer: int  # pyright: ignore[reportIncompatibleVariableOverride]
    held_out: HeldOut
    kind: str
    every_step: bool = False
    provenance: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def opens(self, states: Float[Tensor, "m d"]) -> Bool[Tensor, " m"]:
        """Whether each state lies on the positive side."""
        return states.float() @ self.weights.to(states.device) > self.threshold

    def save(self, path: str | Path) -> None:
        """Write ``path.safetensors`` and ``path.json``."""
        save_pair(Path(path), "linear gate", _SCHEMA, self.tensors(), self.to_data())

    @classmethod
    def load(cls, path: str | Path) -> "LinearGate":
        """Read a gate written by ``save``.

        Raises:
            StoreError: missing, damaged, or something else.
        """
        tensors, data = load_pair(Path(path), "linear gate", _SCHEMA)
        with refusing(f"{path}.json"):
            return cls.from_data(tensors, Fields(data, f"data of {path}.json"))

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor, by name."""
        return {"weights": self.weights}

    def to_data(self) -> dict[str, Any]:
        """Everything but the tensors, as JSON."""
        return {
            "threshold": self.threshold,
            "layer": self.layer,
            "held_out": self.held_out.to_dict(),
            "kind": self.kind,
            "every_step": self.every_step,
            "provenance": dict(self.provenance),
        }

    @classmethod
    def from_data(cls, tensors: Mapping[str, Tensor], data: Fields) -> "LinearGate":
        """The gate that ``tensors`` and ``to_data`` described.

        Raises:
            StoreError: something is missing, or of the wrong kind.
        """
        made = cls(
            direction_of(tensors, "weights", data.where),
            threshold=data.number("threshold"),
            layer=data.whole("layer"),
            held_out=HeldOut.from_data(data.inner("held_out")),
            kind=data.text("kind"),
            every_step=data.flag("every_step", False),
            provenance=provenance_of(data),
        )
        data.done()
        return made

    def describe(self) -> dict[str, Any]:
        """The gate as JSON."""
        return {
            "gate": self.kind,
            "layer": self.layer,
            "threshold": self.threshold,
            "held_out": self.held_out.to_dict(),
            "every_step": self.every_step,
        }


class LDA:
    """Fisher's linear discriminant with shrunk covariance: the gate of choice, in closed form."""

    @staticmethod
    def fit(
        store: ActivationStore,
        positive: Positive,
        *,
        layer: int | None = None,
        folds: int = 5,
        seed: int = 0,
    ) -> LinearGate:
        """Fit on a store's rows and choose the threshold on scores from the other folds.

        Args:
            store: states of the positions at which the gate will read.
            positive: the rows for which the gate should open; the others should keep it closed.
            layer: which of the store's layers; may be left out when there is one.
            folds: each row is scored by a probe fitted on the folds that it is not in, rows of one
                picture together; the threshold is chosen on these scores, and the probe then
                fitted on all rows. Few labels are used fully that way.
            seed: of the folds.

        Raises:
            SteeringError: fewer than 8 rows of a class, or a gate that is constant on its rows.
        """
        return _fit(store, positive, layer, folds, seed, _discriminant, "linear discriminant")


class LogisticProbe:
    """Logistic regression on standardised states, as a gate."""

    @staticmethod
    def fit(
        store: ActivationStore,
        positive: Positive,
        *,
        layer: int | None = None,
        folds: int = 5,
        seed: int = 0,
        penalty: float = 1.0,
    ) -> LinearGate:
        """Fit on a store's rows and choose the threshold on scores from the other folds.

        Args:
            store: states of the positions at which the gate will read.
            positive: the rows for which the gate should open; the others should keep it closed.
            layer: which of the store's layers; may be left out when there is one.
            folds: each row is scored by a probe fitted on the folds that it is not in, rows of one
                picture together; the threshold is chosen on these scores, and the probe then
                fitted on all rows. Few labels are used fully that way.
            seed: of the folds.
            penalty: strength of the ridge penalty, above 0.

        Raises:
            SteeringError: a penalty that is not positive, fewer than 8 rows of a class, or a gate
                that is constant on its rows.
        """
        if not penalty > 0:
            raise SteeringError(f"a penalty of {penalty}", allowed="above 0")

        def probe(acts: Tensor, truth: Tensor) -> Tensor:
            return _logistic(acts, truth, penalty)

        return _fit(store, positive, layer, folds, seed, probe, "logistic probe")


def _fit(
    store: ActivationStore,
    positive: Positive,
    layer: int | None,
    folds: int,
    seed: int,
    probe: Callable[[Tensor, Tensor], Tensor],
    kind: str,
) -> LinearGate:
    if store.site.normed or store.site.tower != "language":
        where = "behind the final norm" if store.site.normed else f"of the {store.site.tower}"
        raise SteeringError(
            f"the gate would be fitted on states {where}, and read others",
            remedy="harvest the same site without normed=True, tower='language'",
        )
    flags = [positive(row) for row in store.rows] if callable(positive) else list(positive)
    acts, truth = store.states(layer).float(), np.array(flags, dtype=bool)
    require_classes(truth)
    number = folds_of(truth, [row.image or row.sample_id for row in store.rows], folds, seed)
    classes, scores = torch.from_numpy(truth), torch.zeros(len(acts))
    for fold in range(folds):
        others = torch.from_numpy(number != fold)
        one = _centred(probe, acts[others], classes[others])
        scores[~others] = one(acts[~others])
    threshold, rates = choose_threshold(scores, truth.tolist())
    weights, middle = _whole(probe, acts, classes)
    # Scores of all folds are counted from the middle between the classes.
    threshold += float(middle @ weights)
    require_change((acts @ weights > threshold).numpy())
    about = {**store.provenance, "store": store.fingerprint}
    at = store.site_at(layer).layers[0]
    return LinearGate(weights, threshold, at, rates, kind, provenance=about)


def _whole(
    probe: Callable[[Tensor, Tensor], Tensor], acts: Tensor, truth: Tensor
) -> tuple[Tensor, Tensor]:
    """Weights, and the middle between the class means."""
    middle = (acts[truth].mean(dim=0) + acts[~truth].mean(dim=0)) / 2
    return probe(acts, truth), middle


def _centred(
    probe: Callable[[Tensor, Tensor], Tensor], acts: Tensor, truth: Tensor
) -> Callable[[Tensor], Tensor]:
    """A probe that counts from the middle between the class means."""
    weights, middle = _whole(probe, acts, truth)
    return lambda states: (states - middle) @ weights


def _discriminant(acts: Tensor, truth: Tensor) -> Tensor:
    means = [acts[truth].mean(dim=0), acts[~truth].mean(dim=0)]
    centred = torch.cat([acts[truth] - means[0], acts[~truth] - means[1]])
    return torch.linalg.solve(shrunk_covariance(centred), means[0] - means[1])


def _logistic(acts: Tensor, truth: Tensor, penalty: float) -> Tensor:
    from sklearn.linear_model import LogisticRegression

    spread = acts.std(dim=0).clamp_min(1e-6)
    model = LogisticRegression(C=1 / penalty, max_iter=2000)
    model.fit(((acts - acts.mean(dim=0)) / spread).numpy(), truth.numpy())
    weights = torch.from_numpy(np.asarray(model.coef_[0], dtype=np.float32))
    return weights / spread
