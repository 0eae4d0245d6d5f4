"""Families without a vision tower: patches go straight into the decoder."""

from pathlib import Path
from typing import Any

from tests.architectures.families.family import Family
from tests.architectures.families.native_files import PIXELS, text, write_model, write_processor
from tests.builders import SPECIAL, WORDS


def _sentence_pieces() -> Any:
    """A tokenizer that writes spaces as a letter and begins every text with one, as released.

    Fuyu's processor cuts that first piece off again, so no other kind of tokenizer will do.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = (*SPECIAL, "<s>")
    marks = ("|SPEAKER|", "|NEWLINE|", "<0x00>", "<0x01>", "<0x02>", "<0x03>", "<0x04>")
    letters = sorted(set("".join(WORDS)) - set(WORDS))
    pieces = [(mark, 0.0) for mark in (*special, *marks)]
    pieces += [(f"▁{word}", -1.0) for word in WORDS]
    pieces += [(letter, -9.0) for letter in ("▁", *letters)]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=special.index("<unk>")))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=False)
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always", split=False)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", special.index("<s>"))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="<eos>",
        unk_token="<unk>",
        clean_up_tokenization_spaces=False,
    )


def _build_fuyu(path: Path, seed: int) -> Path:
    """Rows of patches end in a token of their own; its tokenizer and decoder are peculiar."""
    from transformers import FuyuConfig, FuyuForCausalLM

    tokenizer = _sentence_pieces()
    bos = tokenizer.bos_token_id
    config = FuyuConfig(
        text_config={
            **text(vocab_size=len(tokenizer), bos_token_id=bos),
            "model_type": "persimmon",
            "num_key_value_heads": 4,
        },
        image_size=48,
        patch_size=8,
        image_token_id=tokenizer.convert_tokens_to_ids("|SPEAKER|"),
        tie_word_embeddings=False,
        initializer_range=0.2,
    )
    write_model(path, FuyuForCausalLM, config, seed, bos_token_id=bos)
    return write_processor(
        path,
        tokenizer,
        name="Fuyu",
        images={
            **PIXELS,
            "image_mean": 0.5,
            "image_std": 0.5,
            "resample": 2,
            "size": {"height": 40, "width": 48},
            "patch_size": {"height": 8, "width": 8},
            "do_pad": True,
            "padding_mode": "constant",
            "padding_value": 1.0,
        },
        picture=None,
    )


BARE: tuple[Family, ...] = (
    Family(
        "Fuyu",
        "fuyu",
        _build_fuyu,
        several_pictures=False,
        mixed=False,
        geometry="packed",
        note="its processor itself puts one picture before a text, and ends such a text in a token "
        "that others do not get",
    ),
)
