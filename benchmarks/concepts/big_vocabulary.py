"""A tokenizer of many tokens, as large models have: words, pieces, names, several scripts, marks.

The words are drawn syllables: no file of another model is needed.
"""

from typing import Any

import numpy as np

_ONSETS = ("b", "br", "ch", "d", "f", "g", "h", "k", "l", "m", "n", "p", "r", "s", "st", "t", "v")
_VOWELS = ("a", "e", "i", "o", "u", "ai", "ea")
_CYRILLIC = "абвгдежзиклмнопрстуфхцчшыюя"
_MARKS = ".,;:!?()[]{}<>/-_*#@%&+=0123456789"
_SHARES = (0.4, 0.25, 0.12, 0.08, 0.1, 0.05)
"""Of words that begin, pieces that go on, capitalised words, Cyrillic, Han, and marks."""


def build_tokenizer(v: int, seed: int = 0) -> Any:
    """A byte-level tokenizer of ``v`` tokens; two calls give equal ones that share nothing."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    names = ["<pad>", "<eos>", *_alphabet(), *_tokens(v, seed)]
    index = {name: number for number, name in enumerate(dict.fromkeys(names))}
    index = {name: number for name, number in index.items() if number < v}
    tokenizer = Tokenizer(models.BPE(vocab=index, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="<eos>",
        clean_up_tokenization_spaces=False,
    )


def _tokens(v: int, seed: int) -> list[str]:
    """More names than are needed, as byte-level tokenizers write them."""
    random = np.random.default_rng(seed)
    kinds = random.choice(len(_SHARES), int(1.2 * v) + 10, p=_SHARES)
    return [_written(_NAMES[kind](random)) for kind in kinds.tolist()]


def _word(random: np.random.Generator) -> str:
    return "".join(
        _ONSETS[random.integers(len(_ONSETS))] + _VOWELS[random.integers(len(_VOWELS))]
        for _ in range(random.integers(1, 5))
    )


def _letters(random: np.random.Generator, letters: str, most: int) -> str:
    picks = random.integers(len(letters), size=random.integers(1, most))
    return "".join(letters[at] for at in picks.tolist())


def _han(random: np.random.Generator) -> str:
    return "".join(chr(0x4E00 + int(at)) for at in random.integers(0, 5000, random.integers(1, 4)))


_NAMES = (
    lambda random: " " + _word(random),
    _word,
    lambda random: " " + _word(random).capitalize(),
    lambda random: " " + _letters(random, _CYRILLIC, 8),
    _han,
    lambda random: _letters(random, _MARKS, 5),
)


def _alphabet() -> list[str]:
    from tokenizers import pre_tokenizers

    return sorted(pre_tokenizers.ByteLevel.alphabet())


def _written(text: str) -> str:
    """A text as byte-level tokenizers write it: printable bytes stand for themselves."""
    return "".join(_BYTES[byte] for byte in text.encode())


def _byte_names() -> tuple[str, ...]:
    """The printable stand-in of every byte (the table of GPT-2)."""
    plain = {*range(33, 127), *range(161, 173), *range(174, 256)}
    moved = iter(range(256, 512))
    return tuple(chr(byte) if byte in plain else chr(next(moved)) for byte in range(256))


_BYTES = _byte_names()
