"""From the name of a module to the layer that its output is the state of."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from shiftlens.core.errors import DataError

_BLOCK = re.compile(r"(?:^|\.)(?:layers|blocks|h)\.(\d+)$")
_NORM = re.compile(r"(?:^|\.)(?:norm|ln_f|final_layernorm|final_layer_norm|final_norm)$")
_WITHIN = re.compile(r"(?:^|\.)(?:layers|blocks|h)\.\d+\.")
_PICTURES = re.compile(r"vision|visual|image|encoder|projector|connector|resampler|perceiver")
_HEADS = ("lm_head", "ff_out", "embed_out")


@dataclass(frozen=True)
class Block:
    """What a module's output is.

    Attributes:
        name: of the module.
        layer: which block; ``None`` for the final norm, behind the last one.
    """

    name: str
    layer: int | None


def chosen_blocks(names: Sequence[str], wanted: str | None, file: str) -> list[Block]:
    """The modules of a file that one store can hold: blocks, or a final norm alone.

    Args:
        names: of the modules.
        wanted: the one that the user names; all of them by default.
        file: for messages.

    Raises:
        DataError: there is no such module, one is no residual stream, or blocks and a final norm
            would have to be told apart.
    """
    if wanted is not None and wanted not in names:
        raise DataError(f"{file} has no states of {wanted}", allowed=", ".join(names))
    found = [_block(name, file) for name in (names if wanted is None else [wanted])]
    norms = [one.name for one in found if one.layer is None]
    if norms and len(found) > 1:
        raise DataError(
            f"{file} holds blocks and a final norm ({norms[0]}), which are two kinds of states",
            allowed=f"one store of a kind: {', '.join(names)}",
            remedy="name one of them: --module NAME",
        )
    layers = [one.layer for one in found]
    if len(set(layers)) < len(layers):
        raise DataError(
            f"{file} holds several modules of one layer: {', '.join(names)}",
            remedy="name one of them: --module NAME",
        )
    return sorted(found, key=lambda one: -1 if one.layer is None else one.layer)


def _block(name: str, file: str) -> Block:
    if name.rpartition(".")[2] in _HEADS:
        raise _refused(name, file, "is the unembedding: its output is logits, not states")
    if _PICTURES.search(name):
        raise _refused(name, file, "lies before the language model")
    if (block := _BLOCK.search(name)) is not None:
        return Block(name, int(block[1]))
    if _WITHIN.search(name):
        raise _refused(name, file, "is a part of a block: its output is not the residual stream")
    if _NORM.search(name):
        return Block(name, None)
    raise _refused(name, file, "is no module that is known to put out the residual stream")


def _refused(name: str, file: str, why: str) -> DataError:
    return DataError(
        f"{name} in {file} {why}",
        allowed="blocks of the language model (...layers.N), or its final norm (...norm)",
        remedy="where the file has others, name one: --module NAME",
    )
