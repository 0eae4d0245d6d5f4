"""Tokenizers of five kinds, trained on a few words of ten scripts, some of them cut into pieces."""

from collections.abc import Callable
from functools import cache
from typing import Any

SCRIPTS: dict[str, tuple[str, ...]] = {
    "latin": ("surfer", "surfboard", "größer", "été", "phone", "photograph", "dog", "Köpek"),
    "cyrillic": ("собака", "собачка", "улица", "красный", "ёлка"),
    "greek": ("σκύλος", "σκύλοι", "δρόμος", "παραλία"),
    "arabic": ("كلب", "كلاب", "شارع", "أحمر", "مُتَزَلِّج"),
    "hebrew": ("כלב", "כלבים", "רחוב", "אדום"),
    "hindi": ("कुत्ता", "कुत्ते", "सड़क", "लाल", "क्‍या"),
    "korean": ("공원에서", "공원이", "강아지", "서핑"),
    "thai": ("สุนัข", "ถนน", "สีแดง"),
    "chinese": ("图片", "街道", "红色的狗"),
    "japanese": ("サーファー", "道路", "赤い犬"),
}
"""Words by script; those of one script share beginnings."""

UNSPACED = ("thai", "chinese", "japanese")
_SPECIAL = ("<pad>", "<bos>", "<eos>", "<unk>", "<image>")


def sentences() -> list[str]:
    """Every word often, and between two others; the scripts without spaces without spaces."""
    lines: list[str] = []
    for script, words in SCRIPTS.items():
        mark = "" if script in UNSPACED else " "
        lines += [mark.join((one, other)) + " ." for one in words for other in words]
        lines += [f"the {one} , a {one} ." for one in words] * 2
    return lines


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


def _byte_level() -> Any:
    """GPT-2, Llama 3, Qwen: bytes, the space before a word is its first byte."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=560,
        special_tokens=list(_SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(sentences(), trainer)
    return tokenizer


def _sentencepiece() -> Any:
    """Llama 2, Mistral: byte-pair merges with a mark for the space, rare characters in bytes."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.BpeTrainer(
        vocab_size=480,
        special_tokens=[*_SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256))],
        show_progress=False,
    )
    tokenizer.train_from_iterator(sentences(), trainer)
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return tokenizer


def _unigram() -> Any:
    """T5, XLM-R, Gemma's cousins: pieces by likelihood, a mark for the space."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=230, special_tokens=list(_SPECIAL), unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(sentences(), trainer)
    return tokenizer


def _wordpiece() -> Any:
    """BERT: ``##`` marks what continues a word."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.WordPiece(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(cleanup=True)
    trainer = trainers.WordPieceTrainer(
        vocab_size=290, special_tokens=list(_SPECIAL), show_progress=False
    )
    tokenizer.train_from_iterator(sentences(), trainer)
    return tokenizer


def _whole() -> Any:
    """One token a word: nothing is ever cut."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = [word for some in SCRIPTS.values() for word in some]
    index = {one: number for number, one in enumerate((*_SPECIAL, "the", "a", ".", ",", *words))}
    tokenizer = Tokenizer(models.WordLevel(index, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return tokenizer


KINDS: dict[str, Callable[[], Any]] = {
    "byte-level": _byte_level,
    "sentencepiece": _sentencepiece,
    "unigram": _unigram,
    "wordpiece": _wordpiece,
    "whole": _whole,
}
