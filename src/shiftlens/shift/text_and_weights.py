"""How much of a shift is due to new weights, and how much to different words before the word.

On own text, tuned state minus base state splits in two: what the weights change on the base's text,
and what the tuned model's own text changes under its weights.
"""

from dataclasses import asdict, dataclass

from torch import Tensor

from shiftlens.core.shapes import Acts, Assignment
from shiftlens.shift.vectors import shift_vectors


@dataclass(frozen=True)
class Shares:
    """Squared length of the parts over that of the whole shift; the three sum to 1.

    ``cross`` is twice the inner product of the two parts: negative where they work against each
    other, in which case a part alone can exceed 1.
    """

    weights: float
    text: float
    cross: float

    def to_dict(self) -> dict[str, float]:
        """JSON."""
        return asdict(self)


def shares(
    base: Acts, tuned_on_base_text: Acts, tuned: Acts, assignment: Assignment, k: int
) -> Shares:
    """Shares of the concepts' mean shifts, weighted by the number of samples.

    Args:
        base: (n, d) base model on its own text.
        tuned_on_base_text: (n, d) tuned model on the base's text, the same samples.
        tuned: (n, d) tuned model on its own text, the same samples.
        assignment: (n,) concept of each sample.
        k: number of concepts.

    Raises:
        MismatchError: the three do not hold the same samples.
    """
    counts = assignment.bincount(minlength=k).double()
    weights, text = _parts(base, tuned_on_base_text, tuned, assignment, k)
    whole = _weighted(weights + text, weights + text, counts)
    if whole == 0:
        return Shares(0.0, 0.0, 0.0)
    return Shares(
        weights=_weighted(weights, weights, counts) / whole,
        text=_weighted(text, text, counts) / whole,
        cross=2 * _weighted(weights, text, counts) / whole,
    )


def shares_by_concept(
    base: Acts, tuned_on_base_text: Acts, tuned: Acts, assignment: Assignment, k: int
) -> tuple[Shares | None, ...]:
    """The same for each concept alone; ``None`` where it has no sample or did not move.

    Args:
        base, tuned_on_base_text, tuned, assignment, k: see ``shares``.

    Raises:
        MismatchError: the three do not hold the same samples.
    """
    weights, text = _parts(base, tuned_on_base_text, tuned, assignment, k)
    found: list[Shares | None] = []
    for own, said in zip(weights.double(), text.double(), strict=True):
        whole = float((own + said).square().sum())
        if not whole:
            found.append(None)
            continue
        mine, text_s = float(own.square().sum()), float(said.square().sum())
        found.append(Shares(mine / whole, text_s / whole, 2 * float(own @ said) / whole))
    return tuple(found)


def _parts(
    base: Acts, tuned_on_base_text: Acts, tuned: Acts, assignment: Assignment, k: int
) -> tuple[Tensor, Tensor]:
    """Mean shifts (k, d) that the weights make on the base's text, and that the text makes."""
    return (
        shift_vectors(base, tuned_on_base_text, assignment, k),
        shift_vectors(tuned_on_base_text, tuned, assignment, k),
    )


def _weighted(a: Tensor, b: Tensor, counts: Tensor) -> float:
    return float(((a.double() * b.double()).sum(dim=1) * counts).sum())
