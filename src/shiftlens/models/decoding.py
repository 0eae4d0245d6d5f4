"""Options of greedy decoding that a user may set, and those that would break what is captured."""

from collections.abc import Callable, Mapping
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
    for name, value in (options or {}).items():
        if name in ALLOWED:
            _check_value(name, value)
            continue
        near = get_close_matches(str(name), ALLOWED, n=1)
        reason = _REFUSED.get(name, f"did you mean {near[0]}?" if near else "it is not known here")
        raise DataError(
            f"generation option {name!r} cannot be set: {reason}",
            allowed=", ".join(sorted(ALLOWED)),
        )
    found = dict(options or {})
    ends = found.get("eos_token_id")
    return found | ({} if ends is None or _is_token(ends) else {"eos_token_id": list(ends)})


def _check_value(name: str, value: Any) -> None:
    """Refuse a value of another kind, which transformers would stumble over, or read otherwise."""
    for kind, names in _KINDS.items():
        if name in names and value is not None and not _CHECKS[kind](value):
            raise DataError(f"generation option {name!r} is {value!r}", allowed=kind)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_token(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _are_tokens(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(map(_is_token, value))


_KINDS = {
    "a list of token ids": ("suppress_tokens", "begin_suppress_tokens"),
    "a token id, or a list of them": ("eos_token_id", "forced_eos_token_id"),
    "a token id": ("forced_bos_token_id",),
    "lists of token ids": ("bad_words_ids",),
    "a number above 0": ("repetition_penalty", "encoder_repetition_penalty"),
    "a whole number from 0 up": (
        *("min_new_tokens", "no_repeat_ngram_size", "encoder_no_repeat_ngram_size"),
    ),
    "true or false": ("renormalize_logits",),
}
_CHECKS: dict[str, Callable[[Any], bool]] = {
    "a list of token ids": _are_tokens,
    "a token id, or a list of them": lambda value: _is_token(value) or _are_tokens(value),
    "a token id": _is_token,
    "lists of token ids": lambda value: (
        isinstance(value, list | tuple) and bool(value) and all(map(_are_tokens, value))
    ),
    "a number above 0": lambda value: _is_number(value) and value > 0,
    "a whole number from 0 up": _is_token,
    "true or false": lambda value: isinstance(value, bool),
}
