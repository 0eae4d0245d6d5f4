"""What the builders of these families share: tokenizers whose special tokens have names."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from tests.builders import TEXT, build_tokenizer

# A SigLIP-like tower of two blocks on pictures of 32 x 32, in patches of 8 x 8.
VISION: dict[str, Any] = {
    "image_size": 32,
    "patch_size": 8,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "initializer_range": 0.2,
}


def named_tokenizer(names: Mapping[str, str], extra: tuple[str, ...] = ()) -> Any:
    """A tokenizer of one token a word that has attributes for some special tokens.

    Args:
        names: attribute -> token, as in ``{"image_token": "<image>"}``: ``image_token_id`` is there
            as well.
        extra: special tokens without an attribute.
    """
    from transformers import PreTrainedTokenizerFast

    plain = build_tokenizer((*names.values(), *extra))
    named = PreTrainedTokenizerFast(
        tokenizer_object=plain.backend_tokenizer,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        unk_token="<unk>",
        extra_special_tokens=dict(names),
        clean_up_tokenization_spaces=False,
    )
    named.add_special_tokens({"additional_special_tokens": list(extra)})
    return named


def text_config(tokenizer: Any, **fields: Any) -> dict[str, Any]:
    """Fields of the language model, with a vocabulary as long as the tokenizer's."""
    return {**TEXT, "vocab_size": len(tokenizer), **fields}


def lively(kind: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A class of models, made so that no parameter is constant.

    Queries, projections and norms begin as zeros or ones in some families: pictures would have no
    effect, and a norm left out would not be noticed.
    """

    def make(config: Any) -> Any:
        model = kind(config)
        with torch.no_grad():
            for tensor in model.parameters():
                if tensor.is_floating_point() and bool((tensor == tensor.flatten()[0]).all()):
                    tensor.add_(0.2 * torch.randn_like(tensor))
        return model

    return make


def without_bos(tokenizer: Any) -> Any:
    """The same tokenizer, which adds no first token of its own."""
    from tokenizers import processors

    plain = processors.TemplateProcessing(single="$A", special_tokens=[])
    tokenizer.backend_tokenizer.post_processor = plain
    return tokenizer
