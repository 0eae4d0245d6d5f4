"""Means and covariances of states, one shard at a time, in float64."""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from shiftlens.activations.store import ActivationStore, Row
from shiftlens.core.errors import SteeringError

Labels = Callable[[Row], Hashable] | Sequence[Hashable]
"""For each row its class: a function of the row, or one value a row."""


@dataclass
class Covariance:
    """Running mean and scatter (Chan, Golub and LeVeque 1983): the order of the rows is no matter.

    Attributes:
        d: width of the states.
        n: how many rows were seen.
        mean: (d,) float64.
        scatter: (d, d) sum of the products of centred rows.
        lengths: sum of the lengths of the rows.
    """

    d: int
    n: int = field(default=0, init=False)
    mean: Float[Tensor, " d"] = field(init=False)
    scatter: Float[Tensor, "d d"] = field(init=False)
    lengths: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self.mean = torch.zeros(self.d, dtype=torch.float64)
        self.scatter = torch.zeros(self.d, self.d, dtype=torch.float64)

    def update(self, states: Float[Tensor, "n d"]) -> None:
        """Take in rows.

        Raises:
            SteeringError: another width, or entries that are not finite.
        """
        if states.ndim != 2 or states.shape[1] != self.d:
            raise SteeringError(f"states of shape {tuple(states.shape)}", allowed=f"(n, {self.d})")
        if not len(states):
            return
        rows = states.to("cpu", torch.float64)
        if not bool(torch.isfinite(rows).all()):
            raise SteeringError(
                "states have entries that are not finite",
                remedy="harvest in bfloat16 or float32 instead of float16",
            )
        mean = rows.mean(dim=0)
        centred = rows - mean
        self._add(len(rows), mean, centred.T @ centred, float(rows.norm(dim=1).sum()))

    def merge(self, other: "Covariance") -> None:
        """Take in what another one has seen.

        Raises:
            SteeringError: another width.
        """
        if other.d != self.d:
            raise SteeringError(f"covariances of widths {self.d} and {other.d}")
        if other.n:
            self._add(other.n, other.mean, other.scatter, other.lengths)

    def _add(self, n: int, mean: Tensor, scatter: Tensor, lengths: float) -> None:
        total, gap = self.n + n, mean - self.mean
        self.scatter += scatter + torch.outer(gap, gap) * (self.n * n / total)
        self.mean = self.mean + gap * (n / total)
        self.n = total
        self.lengths += lengths

    @property
    def state_norm(self) -> float:
        """Mean length of the rows; 0 without rows."""
        return self.lengths / max(self.n, 1)

    @property
    def matrix(self) -> Float[Tensor, "d d"]:
        """The covariance, divided by n.

        Raises:
            SteeringError: fewer than two rows were seen.
        """
        if self.n < 2:
            raise SteeringError(f"{self.n} rows have no covariance", allowed="at least 2")
        return self.scatter / self.n


@dataclass(frozen=True, eq=False)
class Classes:
    """Covariance of all rows, and the mean of each class.

    Attributes:
        whole: of all rows.
        names: of the classes, in the order of their first row.
        counts: rows of each.
        means: (classes, d) float64.
    """

    whole: Covariance
    names: tuple[Hashable, ...]
    counts: tuple[int, ...]
    means: Float[Tensor, "c d"]

    @property
    def cross(self) -> Float[Tensor, "d c"]:
        """Covariance of states with the classes, written as zeros and ones."""
        shares = torch.tensor(self.counts, dtype=torch.float64) / self.whole.n
        return ((self.means - self.whole.mean) * shares[:, None]).T


def classes_of(store: ActivationStore, labels: Labels, layer: int | None = None) -> Classes:
    """Covariance and class means of a store's rows, read shard by shard.

    Args:
        store: the states.
        labels: for each row its class.
        layer: which of the store's layers; may be left out when there is one.

    Raises:
        SteeringError: states that are not finite, another number of labels than rows, or a label
            that is no class.
    """
    given = _labels_of(store, labels)
    whole: Covariance | None = None
    sums: dict[Hashable, Tensor] = {}
    for indices, states in store.shards(layer):
        whole = whole or Covariance(states.shape[1])
        whole.update(states)
        own = [given[index] for index in indices]
        for name in dict.fromkeys(own):
            rows = torch.tensor([one == name for one in own])
            total = states[rows].to(torch.float64).sum(dim=0)
            sums[name] = sums[name] + total if name in sums else total
    if whole is None:
        raise SteeringError(f"{store.path} holds no rows to fit on")
    counts = Counter(given)
    means = torch.stack([sums[name] / n for name, n in counts.items()])
    return Classes(whole, tuple(counts), tuple(counts.values()), means)


def _labels_of(store: ActivationStore, labels: Labels) -> list[Hashable]:
    given = [labels(row) for row in store.rows] if callable(labels) else list(labels)
    if len(given) != len(store):
        raise SteeringError(f"{len(given)} labels for {len(store)} rows")
    for row, label in zip(store.rows, given, strict=True):
        # What does not equal itself, as a number that is missing, belongs to no class.
        if not isinstance(label, Hashable) or label != label:
            raise SteeringError(
                f"sample {row.sample_id!r} has the label {label!r}",
                allowed="texts, whole numbers, booleans, or tuples of them",
                remedy="leave such rows out: store.where(...)",
            )
    return given


def shrinkage_for(covariance: Float[Tensor, "d d"], n: int) -> float:
    """How far a covariance from n rows is best drawn towards a sphere: a share in [0, 1].

    The oracle approximating shrinkage (Chen, Wiesel, Eldar and Hero 2010, equation 23), which needs
    no more than the covariance itself, and so no second pass over the rows.

    Args:
        covariance: of the rows, divided by n.
        n: how many rows.
    """
    d = len(covariance)
    trace, squares = float(covariance.diagonal().sum()), float(covariance.square().sum())
    above = (1 - 2 / d) * squares + trace**2
    below = (n + 1 - 2 / d) * (squares - trace**2 / d)
    return min(1.0, above / below) if below > 0 else 1.0


def roots(
    covariance: Float[Tensor, "d d"], shrinkage: float = 0.0
) -> tuple[Float[Tensor, "d d"], Float[Tensor, "d d"]]:
    """Square root of a covariance and the pseudo-inverse of that root.

    Directions in which nothing varies have neither: both roots are 0 there.

    Args:
        covariance: symmetric, float64.
        shrinkage: share, in [0, 1], by which it is drawn towards a sphere of the same trace.

    Raises:
        SteeringError: the shrinkage lies outside [0, 1], or nothing varies at all.
    """
    if not 0 <= shrinkage <= 1:
        raise SteeringError(f"a shrinkage of {shrinkage}", allowed="between 0 and 1")
    sphere = torch.eye(len(covariance), dtype=covariance.dtype) * covariance.diagonal().mean()
    values, vectors = torch.linalg.eigh((1 - shrinkage) * covariance + shrinkage * sphere)
    floor = float(values.max()) * len(values) * torch.finfo(values.dtype).eps
    kept = values > max(floor, 0.0)
    if not bool(kept.any()):
        raise SteeringError("the states do not vary at all: there is nothing to fit")
    root = torch.where(kept, values, torch.zeros_like(values)).sqrt()
    inverse = torch.where(kept, values, torch.ones_like(values)).rsqrt() * kept
    return (vectors * root) @ vectors.T, (vectors * inverse) @ vectors.T
