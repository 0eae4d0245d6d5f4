"""Where the residual stream of a model is: one rule for every family, a few exceptions.

The rule: the decoder's blocks are the shallowest ``ModuleList`` inside ``get_decoder()`` that has
as many members as the text configuration has hidden layers. Guessing by names instead finds the
vision tower of about one family in four. Encoder-decoder models are refused: their answers are not
decoded from the stream that the pictures are in.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn

from shiftlens.core.errors import DataError, SiteError

_NORMS = (
    "norm",
    "final_layernorm",
    "final_layer_norm",
    "embedding_norm",
    "ln_f",
    "norm_f",
    "layer_norm",
)
_PROJECTORS = (
    "multi_modal_projector",
    "multimodal_projector",
    "connector",
    "embed_vision",
    "language_projection",
    "aligner",
)
# Parts of names by which the others call it, outside of the decoder and the towers.
_PROJECTING = (
    "projector",
    "projection",
    "merger",
    "resampler",
    "vision_embed",
    "visual_embed",
)
# How configurations call the number of blocks and the width, most of them by the first name.
_COUNTS = ("num_hidden_layers", "num_layers", "n_layers", "n_layer")
_WIDTHS = ("hidden_size", "d_model", "n_embd", "dim")
# Families whose get_decoder() does not lead to the blocks: model type -> path of the block list.
_OVERRIDES = {"idefics": "model.layers"}


@dataclass(frozen=True)
class Address:
    """Paths, inside a transformers model, of what the analysis reads and edits.

    Attributes:
        blocks_path: the list of decoder blocks.
        n_layers: how many blocks there are.
        d: width of the residual stream.
        norm_path: the final norm; ``None`` where the family has none.
        head_path: the unembedding.
        vision_path: the vision encoder, where it is a module of its own.
        projector_path: what maps its output to the width of the language model.
    """

    blocks_path: str
    n_layers: int
    d: int
    norm_path: str | None
    head_path: str
    vision_path: str | None = None
    projector_path: str | None = None

    def layer(self, index: int, name: str) -> int:
        """The non-negative index of a layer.

        Args:
            index: negative ones count from the end.
            name: what the user calls the model, for the message.

        Raises:
            SiteError: there is no such block.
        """
        if -self.n_layers <= index < self.n_layers:
            return index % self.n_layers
        last = self.n_layers - 1
        raise SiteError(
            f"layer {index} is outside {name}",
            allowed=f"{self.blocks_path} has {self.n_layers} blocks: use 0..{last}, "
            f"or -{self.n_layers}..-1",
        )

    def block(self, hf: nn.Module, layer: int) -> nn.Module:
        """The block of a non-negative layer."""
        return hf.get_submodule(f"{self.blocks_path}.{layer}")

    def norm(self, hf: nn.Module) -> nn.Module | None:
        """The final norm, if there is one."""
        return None if self.norm_path is None else hf.get_submodule(self.norm_path)

    def head(self, hf: nn.Module) -> nn.Module:
        """The unembedding."""
        return hf.get_submodule(self.head_path)


def has_two_stacks(config: Any) -> bool:
    """Whether an encoder reads the text and another stack decodes the answer.

    InstructBLIP with Flan-T5 says so of its language model only.
    """
    text = config.get_text_config(decoder=True)
    return any(getattr(one, "is_encoder_decoder", False) for one in (config, text))


def find_address(hf: nn.Module) -> Address:
    """Find blocks, final norm, unembedding and vision tower of an image-text-to-text model.

    Args:
        hf: a model of transformers, bare or within PEFT's; it may be on the meta device.

    Raises:
        DataError: the model is not one whose answers are decoded from a residual stream.
    """
    raw: Any = hf
    name = type(_inner(raw)).__name__
    text = _text_config(raw, name)
    if has_two_stacks(raw.config):
        raise DataError(
            f"{name} is an encoder-decoder model",
            allowed="models whose pictures and text share one decoder",
        )
    # Identity finds a path even where the family's getters return modules that sit deep inside.
    paths = {id(module): path for path, module in hf.named_modules(remove_duplicate=False) if path}
    decoder = _decoder(raw, name)
    head = _head(raw, decoder)
    if head is None or id(head) not in paths:
        raise DataError(f"{name} has no unembedding: it does not write text")
    n_layers = _number(text, _COUNTS, "decoder blocks", name)
    blocks_path, blocks = _blocks(raw, decoder, n_layers, paths, name)
    vision_path = _vision_path(raw, blocks_path, paths)
    return Address(
        blocks_path=blocks_path,
        n_layers=len(blocks),
        d=_number(text, _WIDTHS, "features of a state", name),
        norm_path=_norm_path(hf, blocks_path),
        head_path=paths[id(head)],
        vision_path=vision_path,
        projector_path=_projector_path(hf, blocks_path, vision_path),
    )


def _inner(raw: Any) -> Any:
    """The transformers model within PEFT's wrapper, or the model itself."""
    unwrap: Callable[[], Any] | None = getattr(raw, "get_base_model", None)
    return raw if unwrap is None else unwrap()


def _text_config(raw: Any, name: str) -> Any:
    try:
        return raw.config.get_text_config(decoder=True)
    except ValueError as error:  # several candidates
        raise DataError(f"the text configuration of {name} cannot be told ({error})") from error


def _number(text: Any, names: tuple[str, ...], what: str, name: str) -> int:
    for field in names:
        value = getattr(text, field, None)
        if isinstance(value, int):
            return value
    raise DataError(
        f"the text configuration of {name} does not say how many {what} there are",
        allowed=f"one of {', '.join(names)} in {type(text).__name__}",
    )


def _decoder(raw: Any, name: str) -> nn.Module:
    get: Callable[[], Any] | None = getattr(raw, "get_decoder", None)
    decoder = None if get is None else get()
    if not isinstance(decoder, nn.Module):
        raise DataError(
            f"{name} does not say which of its modules is the decoder",
            allowed="a model of transformers, whose get_decoder() returns it",
        )
    return decoder


def _head(raw: Any, decoder: Any) -> nn.Module | None:
    """The unembedding, which some families leave to their decoder to name."""
    for owner in (raw, decoder):
        get = getattr(owner, "get_output_embeddings", None)
        head = None if get is None else get()
        if head is not None:
            return head
    return None


def _blocks(
    raw: Any, decoder: nn.Module, n_layers: int, paths: dict[int, str], name: str
) -> tuple[str, nn.ModuleList]:
    override = _OVERRIDES.get(raw.config.model_type)
    if override is not None:
        blocks = _inner(raw).get_submodule(override)
        return paths[id(blocks)], blocks
    for module in _breadth_first(decoder):
        if isinstance(module, nn.ModuleList) and len(module) == n_layers:
            return paths[id(module)], module
    raise DataError(
        f"no list of {n_layers} decoder blocks in {name}",
        allowed="a decoder whose blocks are a ModuleList as long as its configuration says",
    )


def _vision_path(raw: Any, blocks_path: str, paths: dict[int, str]) -> str | None:
    """Where the vision tower is, as the family says, or else by its configuration."""
    get = getattr(raw, "get_encoder", None)
    path = None if get is None else paths.get(id(get(modality="image")))
    if path is not None and not _is_within(blocks_path, path):
        return path
    config = getattr(raw.config, "vision_config", None)
    towers = [
        path
        for path, module in raw.named_modules()
        if path and config is not None and getattr(module, "config", None) is config
    ]
    found = min(towers, key=lambda path: path.count("."), default=None)
    return None if found is None or _is_within(blocks_path, found) else found


def _is_within(path: str, owner: str) -> bool:
    return f"{path}.".startswith(f"{owner}.")


def _breadth_first(module: nn.Module) -> Iterator[nn.Module]:
    waiting = deque([module])
    while waiting:
        current = waiting.popleft()
        yield current
        waiting.extend(current.children())


def _norm_path(hf: nn.Module, blocks_path: str) -> str | None:
    owner_path = blocks_path.rpartition(".")[0]
    owner = hf.get_submodule(owner_path)
    for name in _NORMS:
        if isinstance(getattr(owner, name, None), nn.Module):
            return f"{owner_path}.{name}" if owner_path else name
    return None


def _projector_path(hf: nn.Module, blocks_path: str, vision_path: str | None) -> str | None:
    for path, _ in hf.named_modules():
        if path.rpartition(".")[2] in _PROJECTORS or path.endswith("visual.merger"):
            return path
    decoder_path = blocks_path.rpartition(".")[0]
    apart = [one for one in (decoder_path, vision_path) if one]
    found = [
        path
        for path, _ in hf.named_modules()
        if any(part in path.rpartition(".")[2] for part in _PROJECTING)
        and not any(_is_within(path, owner) for owner in apart)
        and "audio" not in path
    ]
    return min(found, key=lambda path: path.count("."), default=None)
