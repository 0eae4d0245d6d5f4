"""What becomes of some rows in another dictionary, told from how they are shared out there."""

import torch
from torch import Tensor

KEPT, SPLIT, MERGED, VANISHED, MIXED = "kept", "split", "merged", "vanished", "mixed"

_MOST = 0.5  # of a concept's rows
_OWN = 0.6  # of an heir's rows: two equal concepts in one are no heir of either
_WHOLE = 0.7  # of a concept's rows, for a fate that claims nearly all of them
_PIECE = 0.2  # smallest share that makes a piece of a split
_HOSTS = 2  # concepts that a merged one may lie in, with this share of its rows
_ALL = 0.85
_SCATTERED = 0.3  # with less than this in heirs of its own, a concept has none


def fate(mine: Tensor, labels: Tensor, k: int) -> str:
    """What becomes of some rows in another dictionary.

    Args:
        mine: (n,) booleans, the rows of one concept.
        labels: (n,) concept of every row in the other dictionary.
        k: number of concepts there.

    Returns:
        ``kept`` (most of it forms most of one concept), ``split`` (nearly all of it forms several
        concepts that are mostly its own), ``merged`` (nearly all of it lies in one or two larger
        concepts: a larger k cuts what was merged in two),
        ``vanished`` (scattered, hardly any of it in concepts of its own), or ``mixed``.
    """
    inside = torch.bincount(labels[mine], minlength=k)
    return fate_of(inside, torch.bincount(labels, minlength=k))


def fate_of(inside: Tensor, sizes: Tensor) -> str:
    """The same from counts.

    Args:
        inside: (k,) how many of the concept's rows lie in each concept of the other dictionary.
        sizes: (k,) how many rows these have in all.
    """
    counted = inside.double()
    of_mine = counted / counted.sum().clamp_min(1)
    of_other = counted / sizes.clamp_min(1)
    heirs = of_other > _OWN
    pieces = heirs & (of_mine >= _PIECE)
    if int(pieces.sum()) > 1 and float(of_mine[pieces].sum()) >= _WHOLE:
        return SPLIT
    if bool((heirs & (of_mine > _MOST)).any()):
        return KEPT
    hosts = of_mine >= _PIECE
    if int(hosts.sum()) <= _HOSTS and float(of_mine[hosts].sum()) >= _ALL:
        return MERGED
    if float(of_mine.max()) <= _MOST and float(of_mine[heirs].sum()) < _SCATTERED:
        return VANISHED
    return MIXED
