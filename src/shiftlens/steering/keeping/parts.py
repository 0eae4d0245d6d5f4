"""Tensors of parts inside one file: ``0.vector.direction`` is the direction of part 0."""

from collections.abc import Iterator, Mapping

from torch import Tensor

Tensors = dict[str, Tensor]


def under(name: str, tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a part, under the part's name."""
    return ((f"{name}.{key}", one) for key, one in tensors.items())


def below(name: str, tensors: Mapping[str, Tensor]) -> Tensors:
    """The tensors that stand under a part's name, by their own."""
    head = f"{name}."
    return {key[len(head) :]: one for key, one in tensors.items() if key.startswith(head)}
