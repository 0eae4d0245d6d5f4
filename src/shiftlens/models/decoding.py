"""Options of greedy decoding that a user may set, and those that would break what is captured."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from shiftlens.core.errors import DataError

ALLOWED = frozenset(
    {
        "bad_words_ids",
        "begin_suppress_tokens",
        "encoder_no_repeat_ngram_size",
        "encoder_repetition_penalty",
        "eos_token_id",
        "exponential_decay_length_penalty",
        "forced_bos_token_id",
        "forced_eos_token_id",
        "min_new_tokens",
        "no_repeat_ngram_size",
        "renormalize_logits",
        "repetition_penalty",
        "sequence_bias",
        "suppress_tokens",
    }
)
"""Settings of transformers' ``GenerationConfig`` that keep one greedy token a row and a step."""

# What decides how many rows, passes or tokens a step has, and why it is not passed on.
_REFUSED = {
    "do_sample": "responses are greedy: the most likely token at every step",
    "temperature": "responses are greedy, so it would change nothing",
    "top_k": "responses are greedy, so it would change nothing",
    "top_p": "responses are greedy, so it would change nothing",
    "num_beams": "a beam's states belong to several texts at once",
    "num_return_sequences": "there is one response a sample",
    "max_new_tokens": "it is an argument of its own",
    "max_length": "use max_new_tokens, which does not count the prompt",
    "use_cache": "it is an argument of its own",
    "guidance_scale": "it runs every step twice, with and without the prompt",
}


def check_options(options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Generation options as they may be passed on.

    Args:
        options: names and values of ``GenerationConfig``.

    Raises:
        DataError: an option is unknown, or would break the one state a token that is captured.
    """
    for name in options or {}:
        if name in ALLOWED:
            continue
        near = get_close_matches(name, ALLOWED, n=1)
        reason = _REFUSED.get(name, f"did you mean {near[0]}?" if near else "it is not known here")
        raise DataError(
            f"generation option {name!r} cannot be set: {reason}",
            allowed=", ".join(sorted(ALLOWED)),
        )
    return dict(options or {})
