"""T-Overlap: how many of a concept's words its partner has too."""

from collections.abc import Collection, Sequence

from shiftlens.core.errors import GroundingError


def t_overlap(words: Collection[str], other: Collection[str]) -> float:
    """Share of ``words`` that are also among ``other``, from 0 to 1.

    Khayatan et al. 2025, section 3.3, print it times 100.

    Raises:
        GroundingError: there are no words.
    """
    if not words:
        raise GroundingError("a concept without words has no overlap", remedy="ground it first")
    return len(set(words) & set(other)) / len(set(words))


def mean_overlap(lists: Sequence[Collection[str]], others: Sequence[Collection[str]]) -> float:
    """Mean T-Overlap of matched lists of words, in the order given."""
    pairs = zip(lists, others, strict=True)
    return sum(t_overlap(words, other) for words, other in pairs) / len(lists)
