"""How good concepts are, beside the same figure for concepts that nobody learned."""

from collections.abc import Sequence

from torch import Tensor

from shiftlens.concepts.concepts import Concepts
from shiftlens.core.errors import LearnError
from shiftlens.core.shapes import Acts


def agreement(assignment: Tensor, factor: Sequence[object]) -> float:
    """Adjusted mutual information between concepts and a known factor.

    0 is what chance gives, 1 is perfect agreement; it does not reward many small concepts.

    Args:
        assignment: (n,) index of each row's concept.
        factor: n values of the known factor.

    Raises:
        LearnError: lengths differ.
    """
    from sklearn.metrics import adjusted_mutual_info_score

    if len(assignment) != len(factor):
        raise LearnError(f"{len(assignment)} rows with {len(factor)} values of the factor")
    score = adjusted_mutual_info_score([str(value) for value in factor], assignment.tolist())
    return float(score)


def explained(concepts: Concepts, acts: Acts) -> float:
    """Share of the states' variance that their concepts explain (R squared), for centroids.

    Raises:
        LearnError: the concepts are directions.
    """
    if concepts.kind != "centroid":
        raise LearnError("explained variance is defined here for centroids only")
    data = acts.float()
    rest = (data - concepts.vectors[concepts.assign(data)]).square().sum()
    return 1 - float(rest / (data - data.mean(dim=0)).square().sum())
