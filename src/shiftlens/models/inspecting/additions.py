"""What enters the residual stream outside of the blocks, or into them from aside."""

import inspect
from typing import Any

from torch import nn

from shiftlens.models.address import Address


def additions_of(hf: nn.Module, address: Address) -> tuple[str, ...]:
    """Ways by which pictures, or tokens, reach the stream other than as its first states.

    They are told by what the decoder's forward call takes, and by the names of settings.

    Args:
        hf: the model.
        address: of its residual stream.
    """
    raw: Any = hf
    owner: Any = hf.get_submodule(address.blocks_path.rpartition(".")[0])
    wanted = set(inspect.signature(owner.forward).parameters)
    config = raw.config
    settings = [
        config,
        config.get_text_config(decoder=True),
        getattr(config, "vision_config", None),
    ]
    found = list[str]()
    if any("deepstack" in one for one in wanted) or _settings(settings, "deepstack"):
        n = max((len(value) for value in _settings(settings, "deepstack")), default=0)
        where = f"after the first {n} blocks" if n else "after some blocks"
        found.append(f"features of pictures are added {where}, outside of them (DeepStack)")
    if wanted & {"cross_attention_states", "image_encoder_embeddings"}:
        at = getattr(settings[1], "cross_attention_layers", None)
        which = f"blocks {', '.join(map(str, at))}" if at else "some blocks"
        found.append(f"pictures are read by cross-attention in {which}, not as states of tokens")
    if "per_layer_inputs" in wanted:
        found.append("each block is given embeddings of the tokens of its own")
    return tuple(found)


def _settings(configs: list[Any], part: str) -> list[Any]:
    """Lists in configurations whose names hold a part."""
    return [
        value
        for config in configs
        if config is not None
        for field, value in vars(config).items()
        if part in field and isinstance(value, list | tuple) and value
    ]
