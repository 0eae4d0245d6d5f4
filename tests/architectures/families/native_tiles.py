"""Pictures cut into tiles, with a small view of the whole beside them."""

from pathlib import Path

from tests.architectures.families.family import Family
from tests.architectures.families.native_files import PIXELS, text, write_model, write_processor
from tests.builders import build_tokenizer


def _build_internvl(path: Path, seed: int) -> Path:
    """Up to four tiles of 16 patches, four of which become one token, and a thumbnail."""
    from transformers import InternVLConfig, InternVLForConditionalGeneration, Qwen2Config

    extra = {
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    }
    tokenizer = build_tokenizer(tuple(extra.values()))
    tokenizer = type(tokenizer)(
        tokenizer_object=tokenizer.backend_tokenizer,
        extra_special_tokens=extra,
        clean_up_tokenization_spaces=False,
        **{f"{name}_token": f"<{name}>" for name in ("pad", "bos", "eos")},
        unk_token="<unk>",
    )
    config = InternVLConfig(
        text_config=Qwen2Config(**text(vocab_size=len(tokenizer))),
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 32,
            "patch_size": 8,
            "initializer_range": 0.2,
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=4,
        tie_word_embeddings=False,
    )
    write_model(path, InternVLForConditionalGeneration, config, seed)
    size = {"height": 32, "width": 32}
    return write_processor(
        path,
        tokenizer,
        name="InternVL",
        image_type="GotOcr2ImageProcessorFast",
        images={
            **PIXELS,
            "size": size,
            "crop_to_patches": False,  # as released: the processor asks for it
            "min_patches": 1,
            "max_patches": 4,
        },
        videos={**PIXELS, "size": size, "video_processor_type": "InternVLVideoProcessor"},
        own={"image_seq_length": 4},
        picture="<IMG_CONTEXT>",
    )


def _build_llama4(path: Path, seed: int) -> Path:
    """Up to four tiles with separators between them; experts; blocks that see chunks of text."""
    from transformers import Llama4Config, Llama4ForConditionalGeneration

    extra = ("<|image|>", "<|patch|>", "<|image_start|>", "<|image_end|>",
             "<|tile_x_separator|>", "<|tile_y_separator|>")  # fmt: skip
    tokenizer = build_tokenizer(extra)
    number = tokenizer.convert_tokens_to_ids
    config = Llama4Config(
        text_config=text(
            vocab_size=len(tokenizer),
            head_dim=8,
            intermediate_size_mlp=64,
            num_local_experts=2,
            interleave_moe_layer_step=2,
            attention_chunk_size=16,
            rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        ),
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 32,
            "patch_size": 8,
            "vision_output_dim": 32,
            "projector_input_dim": 32,
            "projector_output_dim": 32,
            "initializer_range": 0.2,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
        },
        boi_token_index=number("<|image_start|>"),
        eoi_token_index=number("<|image_end|>"),
        image_token_index=number("<|patch|>"),
        tie_word_embeddings=False,
    )
    write_model(path, Llama4ForConditionalGeneration, config, seed)
    return write_processor(
        path,
        tokenizer,
        name="Llama4",
        image_type="Llama4ImageProcessorFast",
        images={
            **PIXELS,
            "image_mean": [0.5] * 3,
            "image_std": [0.5] * 3,
            "resample": 2,
            "size": {"height": 32, "width": 32},
            "max_patches": 4,
            "resize_to_max_canvas": False,
        },
        own={"patch_size": 8, "pixel_shuffle_ratio": 0.5, "fake_image_token": "<|image|>"},
        picture="<|image|>",
    )


def _build_lfm2(path: Path, seed: int) -> Path:
    """Patches in the picture's own proportions; large ones in tiles; blocks of convolution."""
    from transformers import Lfm2VlConfig, Lfm2VlForConditionalGeneration

    extra = ("<image>", "<|image_start|>", "<|image_end|>", "<|img_thumbnail|>",
             *(f"<|img_row_{r}_col_{c}|>" for r in range(1, 5) for c in range(1, 5)))  # fmt: skip
    tokenizer = build_tokenizer(extra)
    config = Lfm2VlConfig(
        text_config={
            **text(vocab_size=len(tokenizer)),
            "model_type": "lfm2",
            "block_auto_adjust_ff_dim": False,
            "layer_types": ["conv", "full_attention"] * 2,
            "tie_word_embeddings": True,
        },
        vision_config={
            "model_type": "siglip2_vision_model",
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_patches": 16,
            "patch_size": 8,
            "vision_use_head": False,
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        projector_hidden_size=48,
        tie_word_embeddings=True,
    )
    write_model(path, Lfm2VlForConditionalGeneration, config, seed)
    return write_processor(
        path,
        tokenizer,
        name="Lfm2Vl",
        image_type="Lfm2VlImageProcessorFast",
        images={
            **PIXELS,
            "image_mean": [0.5] * 3,
            "image_std": [0.5] * 3,
            "resample": 2,
            "size": {"height": 32, "width": 32},
            "downsample_factor": 2,
            "do_image_splitting": True,
            "do_pad": True,
            "encoder_patch_size": 8,
            "max_image_tokens": 8,
            "min_image_tokens": 2,
            "max_pixels_tolerance": 1.5,
            "max_tiles": 4,
            "min_tiles": 2,
            "tile_size": 32,
            "use_thumbnail": True,
        },
        own={"use_image_special_tokens": True},
        picture="<image>",
    )


def _build_molmo2(path: Path, seed: int) -> Path:
    """Crops that overlap, pooled by attention, after a view of the whole; rows end in a token."""
    from transformers import Molmo2Config, Molmo2ForConditionalGeneration

    extra = ("<|image|>", "<|video|>", "<im_patch>", "<im_col>", "<im_start>", "<low_res_im_start>",
             "<frame_start>", "<im_end>", "<frame_end>", "<im_low>")  # fmt: skip
    tokenizer = build_tokenizer(extra)
    number = tokenizer.convert_tokens_to_ids
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 16}
    config = Molmo2Config(
        text_config=text(
            vocab_size=len(tokenizer),
            additional_vocab_size=8,
            head_dim=8,
            rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        ),
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            **heads,
            "image_size": [32, 32],
            "patch_size": 8,
            "initializer_range": 0.2,
        },
        adapter_config={
            "vision_feature_layer": [-1, -2],
            "hidden_size": 32,
            **heads,
            "intermediate_size": 48,
            "text_hidden_size": 32,
            "initializer_range": 0.2,
        },
        image_start_token_id=number("<im_start>"),
        low_res_image_start_token_id=number("<low_res_im_start>"),
        image_end_token_id=number("<im_end>"),
        image_patch_id=number("<im_patch>"),
        frame_start_token_id=number("<frame_start>"),
        frame_end_token_id=number("<frame_end>"),
        tie_word_embeddings=False,
    )
    write_model(path, Molmo2ForConditionalGeneration, config, seed)
    pixels = {**PIXELS, "image_mean": [0.5] * 3, "image_std": [0.5] * 3, "resample": 2}
    return write_processor(
        path,
        tokenizer,
        name="Molmo2",
        images={
            **pixels,
            "size": {"height": 32, "width": 32},
            "max_crops": 4,
            "overlap_margins": [1, 1],
            "patch_size": 8,
            "pooling_size": [2, 2],
        },
        videos={**pixels, "patch_size": 8, "video_processor_type": "Molmo2VideoProcessor"},
        own={"image_use_col_tokens": True, "use_single_crop_col_tokens": False},
        picture="<|image|>",
    )


TILES: tuple[Family, ...] = (
    Family(
        "InternVL",
        "internvl",
        _build_internvl,
        geometry="tiles",
        note="tiles, and a thumbnail where there is more than one",
    ),
    Family(
        "Llama4",
        "llama4",
        _build_llama4,
        geometry="tiles",
        note="its image processor exists for torchvision alone",
    ),
    Family(
        "LFM2-VL",
        "lfm2_vl",
        _build_lfm2,
        geometry="tiles",
        note="its image processor exists for torchvision alone; small pictures are not tiled",
    ),
    Family(
        "Molmo2",
        "molmo2",
        _build_molmo2,
        geometry="tiles",
        note="its image processor exists for torchvision alone; crops overlap",
    ),
)
