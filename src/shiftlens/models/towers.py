"""Where states can be read and edited beside the language model: vision tower and projector.

A layer of the language model is a block of its decoder, one of the vision tower a block of its
encoder; the projector, which maps its output to the width of the language model, has one layer.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from shiftlens.core.errors import SiteError
from shiftlens.models.model import Model

Tower = Literal["language", "vision", "projector"]
_DEPTHS = ("num_hidden_layers", "depth", "n_layers", "num_layers")


def modules_of(model: Model, tower: Tower) -> Sequence[nn.Module]:
    """The modules after which a tower's states are taken, in their order.

    Raises:
        SiteError: the model has no such tower, or its blocks cannot be found.
    """
    address = model.address
    if tower == "language":
        return [address.block(model.hf, layer) for layer in range(address.n_layers)]
    path = address.vision_path if tower == "vision" else address.projector_path
    if path is None:
        raise SiteError(f"{model.name} has no {tower} of its own", allowed="tower: language")
    module = model.hf.get_submodule(path)
    return [module] if tower == "projector" else vision_blocks(model.hf, path, model.name)


def layer_of(model: Model, tower: Tower, index: int) -> int:
    """The non-negative index of a layer of a tower.

    Raises:
        SiteError: there is no such layer, or no such tower.
    """
    if tower == "language":
        return model.address.layer(index, model.name)
    n = len(modules_of(model, tower))
    if not -n <= index < n:
        raise SiteError(
            f"layer {index} is outside the {tower} of {model.name}",
            allowed=f"0..{n - 1}, or -{n}..-1",
        )
    return index % n


def vision_blocks(hf: nn.Module, path: str, name: str) -> Sequence[nn.Module]:
    """The blocks of a vision tower, in their order.

    Args:
        hf: a model of transformers; it may be on the meta device.
        path: of the tower in it.
        name: what the user calls the model.

    Raises:
        SiteError: its configuration does not tell how many there are, or there is no such list.
    """
    raw: Any = hf
    module: Any = hf.get_submodule(path)
    config = getattr(raw.config, "vision_config", None) or getattr(module, "config", None)
    depths = {getattr(config, name, None) for name in _DEPTHS}
    waiting: deque[nn.Module] = deque([module])
    while waiting:
        current = waiting.popleft()
        if isinstance(current, nn.ModuleList) and len(current) in depths:
            return list(current)
        waiting.extend(current.children())
    raise SiteError(
        f"the blocks of the vision tower of {name} cannot be found",
        allowed=f"a list as long as its configuration says: {sorted(d for d in depths if d)}",
    )


@dataclass(frozen=True)
class Piece:
    """The rows of one picture in a tower's state.

    Attributes:
        sample: which sample of the batch it belongs to.
        number: which of the sample's pictures it is, from 0.
        index: where it lies: ``state[index]`` is (patches, d).
        patches: how many there are.
    """

    sample: int
    number: int
    index: int | slice
    patches: int


def pieces_of(
    model: Model, tower: Tower, state: Tensor, counts: Sequence[int], grid: Any
) -> list[Piece]:
    """Which rows of a tower's state are which picture.

    Args:
        model: whose tower.
        tower: vision or projector.
        state: (pictures, patches, d), or (all patches, d) where pictures differ in length.
        counts: how many pictures each sample of the batch has.
        grid: (pictures, 3) patches in time, height and width, where the family says so.

    Raises:
        SiteError: the state cannot be told apart by picture.
    """
    owners = [(row, number) for row, n in enumerate(counts) for number in range(n)]
    if state.ndim == 3 and len(state) == len(owners):
        n = state.shape[1]
        return [Piece(row, number, at, n) for at, (row, number) in enumerate(owners)]
    if isinstance(grid, Tensor) and len(grid) == len(owners):
        lengths = [int(one.prod()) for one in grid]
        flat = state.shape[0] if state.ndim == 2 else state.shape[0] * state.shape[1]
        merge = sum(lengths) // flat if flat else 0
        if state.ndim == 2 and merge and sum(length // merge for length in lengths) == flat:
            return _cut(owners, [length // merge for length in lengths])
    raise SiteError(
        f"a state of shape {tuple(state.shape)} of the {tower} of {model.name} cannot be told "
        f"apart into {len(owners)} pictures",
        allowed="families with one row a picture, or with a grid of patches for each",
        remedy="use a site in the language model: tokens.mean_image() keeps the picture's tokens",
    )


def _cut(owners: Sequence[tuple[int, int]], lengths: Sequence[int]) -> list[Piece]:
    pieces: list[Piece] = []
    start = 0
    for (row, number), length in zip(owners, lengths, strict=True):
        pieces.append(Piece(row, number, slice(start, start + length), length))
        start += length
    return pieces
