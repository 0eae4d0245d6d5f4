"""Which concept of one model is which of the other (Khayatan et al. 2025, section 3.3)."""

import torch
from jaxtyping import Float
from torch import Tensor

from shiftlens.core.errors import MismatchError
from shiftlens.core.shapes import Vectors

Others = Float[Tensor, "other d"]
Similarity = Float[Tensor, "k other"]


def similarity(concepts: Vectors, other: Others) -> Similarity:
    """Cosine of every concept with every other one: (k, other).

    Raises:
        MismatchError: the two sides have different widths.
    """
    if concepts.shape[1] != other.shape[1]:
        raise MismatchError(
            f"concepts of width {concepts.shape[1]} cannot be matched with width {other.shape[1]}"
        )
    a = torch.nn.functional.normalize(concepts.float(), dim=1)
    b = torch.nn.functional.normalize(other.float(), dim=1)
    return a @ b.T


def nearest(concepts: Vectors, other: Others) -> list[int]:
    """For each concept the most similar other one; several may share it.

    Answers: what became of this concept?
    """
    return similarity(concepts, other).argmax(dim=1).tolist()


def bijective(concepts: Vectors, other: Others) -> list[int]:
    """For each concept a partner of its own, such that the summed similarity is largest.

    Raises:
        MismatchError: the two sides differ in number or width.
    """
    from scipy.optimize import linear_sum_assignment

    if len(concepts) != len(other):
        raise MismatchError(
            f"{len(concepts)} concepts cannot be paired one to one with {len(other)}",
            remedy="learn the same k on both sides, or use nearest",
        )
    _, partners = linear_sum_assignment(-similarity(concepts, other).cpu().numpy())
    return [int(partner) for partner in partners]
