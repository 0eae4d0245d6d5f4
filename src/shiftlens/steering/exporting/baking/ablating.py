"""Ablation, baked: a direction taken out of everything that is written to the residual stream.

A hook after every block takes the direction out between blocks only: within a block, what attention
writes along it is read by the layers behind. Weights can do no such thing. What they can do is
stronger and is what is baked here: nothing writes the direction any more, so that no state has any
of it, anywhere. ``ablated_everywhere`` does the same to a loaded model, at the reading end, and is
what the baked checkpoint is held against.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from shiftlens.core.errors import ExportError
from shiftlens.models.model import Model
from shiftlens.models.prompts import Inputs
from shiftlens.steering.exporting.baking.changes import Changes, Edit
from shiftlens.steering.exporting.baking.linears import (
    last_run,
    lies_turned,
    through,
    writing_into,
)
from shiftlens.steering.exporting.refusing import HOOKS

# Parts of names by which families call what brings pictures to the width of the language model.
_BRINGING = (
    *("projector", "projection", "merger", "connector", "aligner", "resampler", "adapter"),
    *("embed_vision", "vision_embed", "visual_embed"),
)
_NOTE = (
    "the direction is taken out of everything that is written to the residual stream (embeddings, "
    "attention, feed-forward layers, pictures), so that no state has any of it: more than hooks "
    "after every block take, which leave it between a block's attention and what follows in it; "
    "measure the baked checkpoint itself before it is used"
)


@contextmanager
def ablated_everywhere(model: Model, direction: Tensor) -> Generator[None]:
    """Let nothing read a direction of the residual stream: what baking an ablation does.

    For every state that is read from the stream, in front of attention, feed-forward layers and the
    unembedding, h - (h . s) s / |s|^2 is read in its place. The model is given back bit for bit.

    Args:
        model: whose blocks read through norms.
        direction: (d,) of any length but 0.

    Yields:
        nothing; use the model meanwhile.

    Raises:
        ExportError: the final norm, or a norm in front of a block's parts, cannot be found.
    """
    readers = [module for block in _blocks(model) for module in _norms(block, model.address.d)]
    final = model.address.norm(model.hf)
    if final is None or not all(list(_norms(block, model.address.d)) for block in _blocks(model)):
        raise ExportError(
            f"blocks of {model.name} do not read the residual stream through norms that can be "
            "found, so that an ablation cannot be held against anything",
            remedy=HOOKS,
        )
    unit = (direction / direction.norm()).double()
    with ExitStack() as handles:
        for module in (*readers, final):
            hook = _reading_without(unit)
            handles.callback(module.register_forward_pre_hook(hook).remove)
        yield


def bake_ablation(model: Model, direction: Tensor, inputs: Sequence[Inputs]) -> Changes:
    """What takes a direction out of all that is written to the residual stream.

    Args:
        model: whose weights.
        direction: (d,) of any length but 0.
        inputs: on which blocks are watched; with a picture where the model reads any.
    """
    unit = (direction / direction.norm()).double()
    edits: dict[str, Edit] = {}
    for path in _linear_writers(model, inputs):
        module = model.hf.get_submodule(path)
        edits[f"{path}.weight"] = through(_without(unit), turned=lies_turned(module))
        if getattr(module, "bias", None) is not None:
            edits[f"{path}.bias"] = _without(unit)
    for name in (*_tables(model), *_bare(model)):
        edits[name] = _without(unit)
    untied = _is_tied(model)
    told = (
        "the unembedding is a tensor of its own now: it shared the embeddings' and must not lose "
        "the direction with them",
    )
    settings: dict[tuple[str, ...], Any] = dict.fromkeys(_tying(model), False) if untied else {}
    return Changes(edits, (), settings, untied, (_NOTE, *(told if untied else ())))


def _linear_writers(model: Model, inputs: Sequence[Inputs]) -> list[str]:
    """The last linear layer of each part of each block, and of what brings the pictures."""
    d, blocks = model.address.d, model.address.blocks_path
    groups: dict[str, list[str]] = {}
    for layer, block in enumerate(_blocks(model)):
        for name, _ in block.named_children():
            paths = writing_into(model.hf, f"{blocks}.{layer}.{name}", d)
            # Linear layers that lie in the block itself follow each other: the last one counts.
            own = f"{blocks}.{layer}" if paths == [f"{blocks}.{layer}.{name}"] else None
            if paths:
                groups.setdefault(own or f"{blocks}.{layer}.{name}", []).extend(paths)
    for path in _bringers(model):
        groups[path] = writing_into(model.hf, path, d)
    return list(last_run(model, groups, inputs).values())


def _bringers(model: Model) -> Iterator[str]:
    """Outermost modules outside of the decoder by which pictures get the width of the stream."""
    decoder = model.address.blocks_path.rpartition(".")[0]
    found: list[str] = []
    for path, module in model.hf.named_modules():
        inside = any(f"{path}.".startswith(f"{one}.") for one in (*found, decoder) if one)
        *above, name = path.split(".")
        # Blocks of towers have projections of their own, which stay inside.
        deep = any(part.isdigit() for part in above)
        if inside or deep or not any(part in name for part in _BRINGING):
            continue
        found.append(path)
        many = isinstance(module, nn.ModuleList)
        yield from ((f"{path}.{n}" for n in range(len(module))) if many else (path,))


def _tables(model: Model) -> list[str]:
    """Embeddings that are written to the stream: of tokens, and of places that are learned."""
    d, blocks = model.address.d, model.address.blocks_path
    decoder = blocks.rpartition(".")[0]
    tokens = model.hf.get_input_embeddings()
    return [
        f"{path}.weight"
        for path, module in model.hf.named_modules()
        if isinstance(module, nn.Embedding)
        and module.embedding_dim == d
        and not f"{path}.".startswith(f"{blocks}.")
        and (module is tokens or f"{path}.".startswith(f"{decoder}."))
    ]


def _bare(model: Model) -> list[str]:
    """States that are parameters themselves, such as the end of a row of patches."""
    apart = [f"{one}." for one in (model.address.blocks_path, model.address.vision_path) if one]
    return [
        name
        for name, tensor in model.hf.named_parameters()
        if name.rpartition(".")[2] not in ("weight", "bias")
        and tensor.ndim <= 2
        and tensor.shape[-1] == model.address.d
        and not any(name.startswith(one) for one in apart)
    ]


def _is_tied(model: Model) -> bool:
    head: Any = model.address.head(model.hf)
    return head.weight is model.hf.get_input_embeddings().weight


def _tying(model: Model) -> list[tuple[str, ...]]:
    """Settings that make one tensor of the embeddings and the unembedding."""
    config = model.hf.config
    text = config.get_text_config(decoder=True)
    found = [("tie_word_embeddings",)]
    found += [
        (name, "tie_word_embeddings") for name, value in vars(config).items() if value is text
    ]
    return found


def _blocks(model: Model) -> Iterator[nn.Module]:
    for layer in range(model.address.n_layers):
        yield model.address.block(model.hf, layer)


def _norms(block: nn.Module, d: int) -> Iterator[nn.Module]:
    """Norms that lie in a block itself: by their name, and as wide as the stream."""
    for name, module in block.named_children():
        weight = getattr(module, "weight", None)
        if "norm" in name.lower() and isinstance(weight, Tensor) and weight.shape == (d,):
            yield module


def _reading_without(unit: Tensor) -> Callable[[nn.Module, Any], Any]:
    def hook(_norm: nn.Module, args: Any) -> Any:
        state: Tensor = args[0]
        wide = state.to(torch.float32 if state.device.type == "mps" else torch.float64)
        along = unit.to(wide)
        return ((wide - (wide @ along)[..., None] * along).to(state.dtype), *args[1:])

    return hook


def _without(unit: Tensor) -> Edit:
    def edit(rows: Tensor) -> Tensor:
        along = unit.to(rows)
        return rows - (rows @ along)[..., None] * along

    return edit
