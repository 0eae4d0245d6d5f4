"""Where the residual stream of a model is: one rule for every family, a few exceptions.

The rule: the decoder's blocks are the shallowest ``ModuleList`` inside ``get_decoder()`` that has
as many members as the text configuration has hidden layers. Guessing by names instead finds the
vision tower of about one family in four.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn

from shiftlens.core.errors import DataError, SiteError

_NORMS = ("norm", "final_layernorm", "final_layer_norm", "embedding_norm", "ln_f", "norm_f")
_PROJECTORS = (
    "multi_modal_projector",
    "multimodal_projector",
    "connector",
    "embed_vision",
    "language_projection",
    "aligner",
)
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


def find_address(hf: nn.Module) -> Address:
    """Find blocks, final norm, unembedding and vision tower of an image-text-to-text model.

    Args:
        hf: a model of transformers; it may be on the meta device.

    Raises:
        DataError: the model is not one whose answers are decoded from a residual stream.
    """
    raw: Any = hf
    text = raw.config.get_text_config(decoder=True)
    # Identity finds a path even where the family's getters return modules that sit deep inside.
    paths = {id(module): path for path, module in hf.named_modules(remove_duplicate=False) if path}
    blocks_path, blocks = _blocks(raw, text.num_hidden_layers, paths)
    head = raw.get_output_embeddings()
    if head is None or id(head) not in paths:
        raise DataError(f"{type(hf).__name__} has no unembedding: it does not write text")
    vision = raw.get_encoder(modality="image")
    return Address(
        blocks_path=blocks_path,
        n_layers=len(blocks),
        d=int(text.hidden_size),
        norm_path=_norm_path(hf, blocks_path),
        head_path=paths[id(head)],
        vision_path=None if vision is raw else paths.get(id(vision)),
        projector_path=_projector_path(hf),
    )


def _blocks(raw: Any, n_layers: int, paths: dict[int, str]) -> tuple[str, nn.ModuleList]:
    override = _OVERRIDES.get(raw.config.model_type)
    if override is not None:
        return override, raw.get_submodule(override)
    for module in _breadth_first(raw.get_decoder()):
        if isinstance(module, nn.ModuleList) and len(module) == n_layers:
            return paths[id(module)], module
    raise DataError(
        f"no list of {n_layers} decoder blocks in {type(raw).__name__}",
        allowed="a decoder whose blocks are a ModuleList as long as its configuration says",
    )


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


def _projector_path(hf: nn.Module) -> str | None:
    for path, _ in hf.named_modules():
        if path.rpartition(".")[2] in _PROJECTORS or path.endswith("visual.merger"):
            return path
    return None
