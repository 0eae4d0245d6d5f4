"""The tiny models, in the standard LLaVA and CLIP formats of transformers."""

from typing import Any

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPTextConfig,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from shiftlens.world.language import vocabulary
from shiftlens.world.render import SIZE

PATCH = 12
GRID = SIZE // PATCH
IMAGE_TOKENS = GRID * GRID
PAD, BOS, EOS, UNKNOWN, IMAGE = 0, 1, 2, 3, 4
_SPECIAL = ["<pad>", "<bos>", "<eos>", "<unk>", "<image>"]

VISION_WIDTH = 128
_VISION: dict[str, Any] = {
    "image_size": SIZE,
    "patch_size": PATCH,
    "hidden_size": VISION_WIDTH,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "intermediate_size": 512,
    "projection_dim": 64,
}

# User text may be a plain string (one picture is put in front) or the standard list of parts.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}user : "
    "{% if message['content'] is string %}<image> {{ message['content'] }} "
    "{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image> {% else %}{{ part['text'] }} {% endif %}"
    "{% endfor %}"
    "{% endif %}"
    "{% else %}assistant : "
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}{{ part['text'] }}{% endfor %}{% endif %}"
    "<eos>{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}assistant :{% endif %}"
)


def build_tokenizer() -> PreTrainedTokenizerFast:
    """One token a word; lower case; punctuation stands alone; prompts are padded on the left."""
    words = [*_SPECIAL, *vocabulary()]
    index = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(index, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A", special_tokens=[("<bos>", BOS)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        unk_token="<unk>",
        extra_special_tokens=["<image>"],
        padding_side="left",
        model_max_length=512,
        clean_up_tokenization_spaces=False,
    )


def build_judge_tokenizer() -> PreTrainedTokenizerFast:
    """The same words, and an end mark of its own behind them all.

    CLIP takes the text's state at the end mark, and transformers looks for the largest token where
    that mark is number 2: the state of whichever word comes last in the alphabet.
    """
    tokenizer = build_tokenizer()
    tokenizer.add_special_tokens({"eos_token": "<end>"})
    return tokenizer


def build_image_processor() -> CLIPImageProcessorPil:
    """Resize to the picture size and scale to -1..1."""
    return CLIPImageProcessorPil(
        size={"shortest_edge": SIZE},
        crop_size={"height": SIZE, "width": SIZE},
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    )


def build_processor() -> LlavaProcessor:
    """Pictures and chat to model inputs, in the standard format."""
    return LlavaProcessor(
        image_processor=build_image_processor(),
        tokenizer=build_tokenizer(),
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,  # the class token, which the "default" strategy then drops
        chat_template=CHAT_TEMPLATE,
    )


def build_llava(vocabulary_size: int) -> LlavaForConditionalGeneration:
    """An untrained tiny LLaVA: CLIP tower, two-layer projector, six-block Llama."""
    text = LlamaConfig(
        vocab_size=vocabulary_size,
        hidden_size=160,
        intermediate_size=320,
        num_hidden_layers=6,
        num_attention_heads=5,
        num_key_value_heads=5,
        max_position_embeddings=512,
        pad_token_id=PAD,
        bos_token_id=BOS,
        eos_token_id=EOS,
        tie_word_embeddings=False,
    )
    settings: dict[str, Any] = {
        "pad_token_id": PAD,
        "bos_token_id": BOS,
        "eos_token_id": EOS,
        "image_token_id": IMAGE,
    }
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**_VISION),
        text_config=text,
        image_seq_length=IMAGE_TOKENS,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        tie_word_embeddings=False,
        **settings,
    )
    model = LlavaForConditionalGeneration(config)
    model.set_attn_implementation("eager")  # twice as fast as sdpa on a CPU at this size
    return model


def build_judge(vocabulary_size: int) -> CLIPModel:
    """An untrained tiny CLIP with a tower of the same shape and a two-layer text encoder.

    Args:
        vocabulary_size: of ``build_judge_tokenizer``, whose last token is the end mark.
    """
    text = CLIPTextConfig(
        vocab_size=vocabulary_size,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        projection_dim=64,
        max_position_embeddings=48,
        pad_token_id=PAD,
        bos_token_id=BOS,
        eos_token_id=vocabulary_size - 1,
    )
    vision = CLIPVisionConfig(**_VISION)
    config = CLIPConfig(
        text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=64
    )
    model = CLIPModel(config)
    model.set_attn_implementation("eager")
    return model
