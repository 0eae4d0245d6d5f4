"""What of a file becomes rows of a store, found from shapes alone, and cut into parts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from shiftlens.activations.importing.features import Features
from shiftlens.activations.importing.modules import Block
from shiftlens.core.errors import DataError

_MOST_BYTES = 2**26  # of the states of a part: 64 MB
_MOST_SAMPLES = 2**12
_TYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@dataclass(frozen=True)
class Plan:
    """How a file becomes a store.

    Attributes:
        features: the file.
        blocks: modules whose states are kept, by layer.
        mean: one state a sample, the mean over its tokens, in place of one a token.
        d: width of the states.
        dtype: their type.
        sizes: rows of each sample; 0 where it is left out.
    """

    features: Features
    blocks: Sequence[Block]
    mean: bool
    d: int
    dtype: torch.dtype
    sizes: Sequence[int]

    @property
    def rows(self) -> int:
        """How many rows the store will have."""
        return sum(self.sizes)

    @property
    def bytes(self) -> int:
        """Size of all states."""
        return self.rows * self.d * self.dtype.itemsize * len(self.blocks)

    def parts(self) -> list[range]:
        """Ranges of samples, each of bounded size; one sample is never cut."""
        each = self.d * self.dtype.itemsize * len(self.blocks)
        most, cuts, held = max(1, _MOST_BYTES // each), [0], 0
        for number, size in enumerate(self.sizes):
            if number > cuts[-1] and (held + size > most or number - cuts[-1] >= _MOST_SAMPLES):
                cuts.append(number)
                held = 0
            held += size
        ends = [*cuts[1:], len(self.sizes)]
        return [range(start, stop) for start, stop in zip(cuts, ends, strict=True)]

    def states(self, number: int) -> Iterator[tuple[Block, Tensor]]:
        """The states of one sample: (rows, d) of each block, read from the file.

        Raises:
            DataError: they are not finite.
        """
        for block in self.blocks:
            tensor = _rows(self.features.states[number][block.name])
            if not bool(torch.isfinite(tensor).all()):
                raise DataError(
                    f"sample {number} of {self.features.path} has states of {block.name} that are "
                    "not finite",
                    allowed="numbers; float16 ends at 65,504",
                    remedy="leave the sample out, or save the features in a wider type",
                )
            if self.mean and len(tensor) > 1:
                tensor = tensor.float().mean(dim=0, keepdim=True).to(tensor.dtype)
            yield block, tensor


def plan_of(features: Features, blocks: Sequence[Block], *, mean: bool) -> Plan:
    """Check the shapes of all samples.

    Args:
        features: the file.
        blocks: modules whose states are kept.
        mean: one state a sample.

    Raises:
        DataError: a tensor is of another shape, width or type than is possible, or the file has no
            sample with the token of interest.
    """
    first = features.states[0][blocks[0].name]
    sizes: list[int] = []
    for number, sample in enumerate(features.states):
        found = {_checked(sample[one.name], first, number, one, features) for one in blocks}
        if len(found) > 1:
            raise DataError(
                f"sample {number} of {features.path} has {min(found)} tokens in one module and "
                f"{max(found)} in another",
                remedy="name one of the modules: --module NAME",
            )
        kept = features.kept[number]
        sizes.append((1 if mean else found.pop()) if kept else 0)
    if not any(sizes):
        raise DataError(f"no sample of {features.path} has the token of interest")
    return Plan(features, blocks, mean, first.shape[-1], first.dtype, sizes)


def _checked(tensor: Tensor, first: Tensor, number: int, block: Block, features: Features) -> int:
    """How many tokens a tensor has."""
    where = f"{block.name} of sample {number} of {features.path}"
    shape = tuple(tensor.shape)
    if len(shape) not in (2, 3) or 0 in shape or (len(shape) == 3 and shape[0] != 1):
        raise DataError(
            f"{where} has the shape {shape}", allowed="(1, tokens, width), or (tokens, width)"
        )
    if tensor.layout is not torch.strided or tensor.dtype not in _TYPES:
        raise DataError(f"{where} is of type {tensor.dtype}", allowed=", ".join(map(str, _TYPES)))
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise DataError(f"{where} claims more numbers than the file holds")
    if (shape[-1], tensor.dtype) != (first.shape[-1], first.dtype):
        raise DataError(
            f"{where} has width {shape[-1]} in {tensor.dtype}, the first sample {first.shape[-1]} "
            f"in {first.dtype}",
            allowed="states of one width and type",
        )
    return shape[-2]


def _rows(tensor: Tensor) -> Tensor:
    return tensor[0] if tensor.ndim == 3 else tensor
