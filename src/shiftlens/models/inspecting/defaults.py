"""Configurations of families nobody named a checkpoint of: the default ones, mended if need be.

The default configuration of most families builds a model of full size, which costs nothing on the
meta device. Some leave open what their own model cannot do without; here it is filled in, by the
name of the field. Nothing of this touches a user's configuration.
"""

from collections.abc import Callable, Iterator
from typing import Any

_HEADS = ("num_attention_heads", "num_heads")


def _per_block(value: str) -> Callable[[Any], Any]:
    return lambda config: [value] * config.num_hidden_layers


# Fields that a default leaves open: name -> a value that serves, from the configuration it is in.
_OPEN: dict[str, Callable[[Any], Any]] = {
    "vocabulary_map": lambda _: {"<image>": 5, "<|extra_200|>": 6},
    "num_experts": lambda _: 4,
    "top_k_experts": lambda _: 2,
    "moe_intermediate_size": lambda _: 64,
    "mlp_layer_types": _per_block("dense"),
    "head_dim": lambda config: config.hidden_size // config.num_attention_heads,
    "sliding_window": lambda _: 64,
    "deepstack_layer_map": lambda _: [(0, 0)],
    "downsample_rate": lambda _: "4/8",
    "spatial_target_layers": lambda _: [1],
    "indexer_n_heads": lambda _: 2,
    "indexer_kv_heads": lambda _: 1,
    "indexer_head_dim": lambda config: config.head_dim,
    "indexer_budget": lambda _: 64,
    "indexer_compress_ratio": lambda _: 4,
}


def mend(config: Any) -> Any:
    """Fill in what a default configuration leaves open, in place, at every level.

    Returns:
        the same configuration.
    """
    for part in _parts(config):
        for field, value in _OPEN.items():
            if vars(part).get(field, 0) is None:
                setattr(part, field, value(part))
        _divide_heads(part)
        _complete_rope(part)
    return config


def mend_sections(module: Any) -> None:
    """Make the sections of multi-axis rotary embeddings as long as their frequencies, in place."""
    for part in module.modules():
        sections = getattr(part, "mrope_section", None)
        n = len(getattr(part, "inv_freq", ()))
        if hasattr(part, "mrope_section") and n and sum(sections or ()) != n:
            part.mrope_section = [n - 2 * (n // 3), n // 3, n // 3]


def _parts(config: Any) -> Iterator[Any]:
    yield config
    for name in getattr(config, "sub_configs", ()):
        inner = getattr(config, name, None)
        if inner is not None:
            yield from _parts(inner)


def _divide_heads(config: Any) -> None:
    """As many heads as divide the width, at most as many as there were."""
    width = getattr(config, "hidden_size", None)
    for field in _HEADS:
        heads = getattr(config, field, None)
        if not isinstance(width, int) or not isinstance(heads, int) or heads < 1:
            continue
        if width % heads and not isinstance(getattr(config, "head_dim", None), int):
            fits = [n for n in range(heads, 0, -1) if width % n == 0 and (width // n) % 2 == 0]
            setattr(config, field, fits[0])


def _complete_rope(config: Any) -> None:
    """Rotary settings for every type of block where a family keeps them apart by type."""
    rope, kinds = getattr(config, "rope_parameters", None), getattr(config, "layer_types", None)
    if isinstance(rope, dict) and kinds and "rope_type" not in str(rope):
        plain = {"rope_type": "default", "rope_theta": 10_000.0}
        config.rope_parameters = dict.fromkeys(set(kinds), plain)
