"""Tokenizers of every kind, trained on a few sentences in a fraction of a second."""

import json
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

SENTENCES = (
    "a man and his dog are walking on the street near a traffic light .",
    "the dogs don't like the snowman; the woman's hat is red, isn't it?",
    "ein größerer Hund läuft über die Straße zum Fluß .",
    "чёрная собака бежит по улице",
    "η σκύλος τρέχει στον δρόμο",
    "图片里有一只狗在街上。",
    "犬が道を走っている。",
    "개가 공원에서 달린다",
    "कुत्ता सड़क पर दौड़ रहा है",
    "هناك كلب في الشارع",
    "sokakta bir köpek ve ılık bir ırmak var",
    "DOG STREET KÖPEK Dog Street Köpek",
)
SPECIAL = ("<pad>", "<bos>", "<eos>", "<unk>", "<image>")

Decode = Callable[[Sequence[int]], str]


@cache
def tokenizer_of(kind: str) -> Any:
    """A tokenizer of one of ``KINDS``, as transformers wraps it."""
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=KINDS[kind](),
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        unk_token="<unk>",
        extra_special_tokens=["<image>"],
        clean_up_tokenization_spaces=False,
    )


def decoder_of(kind: str) -> Decode:
    """From ids to text without special tokens, as responses are decoded.

    ``tidied`` is the whole text tidied of spaces by transformers, which no prefix foresees.
    """
    return partial(
        tokenizer_of(kind).decode,
        skip_special_tokens=True,
        clean_up_tokenization_spaces=kind == "tidied",
    )


def _byte_level() -> Any:
    """GPT-2, Llama 3, Qwen: pieces of bytes, the space belongs to the word behind it."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return tokenizer


def _bytes() -> Any:
    """ByT5: every byte is a token."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    body = sorted(pre_tokenizers.ByteLevel.alphabet())
    index = {piece: number for number, piece in enumerate((*SPECIAL, *body))}
    tokenizer = Tokenizer(models.BPE(vocab=index, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _sentencepiece(*, drops: int = 2) -> Any:
    """Llama 2, Gemma, T5: a mark for the space, a leading one stripped, rare characters in bytes.

    ``drops`` leaves out every so-and-so-manyth character that is not ASCII, so that bytes occur.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=220, special_tokens=list(SPECIAL), unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    content = json.loads(tokenizer.to_str())
    learned = [
        entry
        for entry in content["model"]["vocab"]
        if not any(ord(c) % drops for c in _rare(entry))
    ]
    content["model"]["vocab"] = learned + [[f"<0x{byte:02X}>", -30.0] for byte in range(256)]
    content["model"]["byte_fallback"] = True
    tokenizer = Tokenizer.from_str(json.dumps(content))
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return tokenizer


def _rare(entry: Sequence[Any]) -> str:
    return "".join(c for c in entry[0] if ord(c) > 127 and c != "▁")


def _wordpiece() -> Any:
    """BERT: ``##`` marks what continues a word; the decoder sets and tidies spaces."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.WordPiece(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(cleanup=True)
    trainer = trainers.WordPieceTrainer(
        vocab_size=260, special_tokens=list(SPECIAL), show_progress=False
    )
    tokenizer.train_from_iterator((*SENTENCES, " n't 's 've"), trainer)
    return tokenizer


KINDS: dict[str, Callable[[], Any]] = {
    "byte-level": _byte_level,
    "bytes": _bytes,
    "sentencepiece": _sentencepiece,
    "wordpiece": _wordpiece,
    "tidied": _wordpiece,
}
