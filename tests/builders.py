"""Tiny models of real architectures, built from nothing: random weights, no network, milliseconds.

Each ``build_*`` writes a directory as ``save_pretrained`` would, processor and chat template
included, that ``load_model`` reads. Two calls with the same arguments write the same bytes.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image

from shiftlens.models.processing.processors import pictures_only

if TYPE_CHECKING:
    from shiftlens.activations.store import ActivationStore
    from shiftlens.concepts.vectors import SteeringVector

PAD, BOS, EOS, UNKNOWN = 0, 1, 2, 3
SPECIAL = ("<pad>", "<bos>", "<eos>", "<unk>")
WORDS = tuple(
    (
        "user assistant : . , ? a the is are in on of and no yes one two what picture describe "
        "this man woman person dog cat bus surfer skier beach snow street standing running red "
        "blue small "
    ).split()
)

# Standard list-of-parts template; ``@`` stands for what the family writes for one picture.
_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }} : "
    "{% if message['content'] is string %}{{ message['content'] }} {% else %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}@ {% else %}"
    "{{ part['text'] }} {% endif %}{% endfor %}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}assistant :{% endif %}"
)

PROMPTS = (
    "describe the picture .",
    "is the dog in the picture ?",
    "what",
    "a man is standing on the beach in the snow , what is this ?",
    "what is the man on ?",
    "describe this .",
)
"""Of different lengths, so that every batch of them is padded."""


def template(picture: str) -> str:
    """The chat template of the tiny families."""
    return _TEMPLATE.replace("@", picture)


def build_tokenizer(extra: tuple[str, ...] = ("<image>",), *, by_bytes: bool = False) -> Any:
    """A tokenizer of one token a word, or one token a byte; ``extra`` are special tokens.

    With bytes any text of any script is covered and every longer word has several tokens.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = (*SPECIAL, *extra)
    body = tuple(sorted(pre_tokenizers.ByteLevel.alphabet())) if by_bytes else WORDS
    index = {word: number for number, word in enumerate((*special, *body))}
    if by_bytes:
        tokenizer = Tokenizer(models.BPE(vocab=index, merges=[], unk_token="<unk>"))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
    else:
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
        extra_special_tokens=list(extra),
        clean_up_tokenization_spaces=False,
    )


ENDS: dict[str, int] = {"pad_token_id": PAD, "bos_token_id": BOS, "eos_token_id": EOS}
TEXT: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "initializer_range": 0.5,  # large, so that random models do not say the same thing to all
    "tie_word_embeddings": False,
    **ENDS,
}


def build_llava(
    path: Path,
    *,
    seed: int = 0,
    by_bytes: bool = False,
    vision_layers: int = 2,
    chat_template: str | None = template("<image>"),
    **text: Any,
) -> Path:
    """LLaVA: CLIP tower, projector, Llama. ``text`` overrides fields of the Llama configuration."""
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaProcessor
    from transformers import LlavaForConditionalGeneration as Llava
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    tokenizer = build_tokenizer(by_bytes=by_bytes)
    vision = CLIPVisionConfig(
        image_size=24,
        patch_size=8,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=vision_layers,
        num_attention_heads=2,
        projection_dim=16,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=LlamaConfig(vocab_size=len(tokenizer), **(TEXT | text)),
        image_token_id=len(SPECIAL),
        image_seq_length=9,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        tie_word_embeddings=False,
        **ENDS,
    )
    processor = LlavaProcessor(
        image_processor=CLIPImageProcessorPil(
            size={"shortest_edge": 24}, crop_size={"height": 24, "width": 24}
        ),
        tokenizer=tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=chat_template,
    )
    return save(path, Llava, config, processor, seed)


def build_qwen2_vl(path: Path, *, seed: int = 0) -> Path:
    """Qwen2-VL: pictures of any size, three-dimensional positions."""
    from transformers import Qwen2VLConfig, Qwen2VLProcessor
    from transformers import Qwen2VLForConditionalGeneration as Qwen
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    extra = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
    tokenizer = build_tokenizer(extra)
    start, end, image, video = (tokenizer.convert_tokens_to_ids(token) for token in extra)
    config = Qwen2VLConfig(
        text_config={
            **TEXT,
            "vocab_size": len(tokenizer),
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                "mrope_section": [1, 1, 2],
            },
        },
        vision_config={
            "depth": 2,
            "embed_dim": 32,
            "num_heads": 2,
            "hidden_size": 32,
            "patch_size": 8,
            "mlp_ratio": 2,
        },
        image_token_id=image,
        video_token_id=video,
        vision_start_token_id=start,
        vision_end_token_id=end,
        tie_word_embeddings=False,
    )
    processor = pictures_only(Qwen2VLProcessor)(
        image_processor=Qwen2VLImageProcessorPil(
            patch_size=8, size={"shortest_edge": 32 * 32, "longest_edge": 64 * 64}
        ),
        tokenizer=tokenizer,
        video_processor=None,
        chat_template=template("<|vision_start|><|image_pad|><|vision_end|>"),
    )
    return save(path, Qwen, config, processor, seed)


def build_idefics3(path: Path, *, seed: int = 0) -> Path:
    """Idefics3: the decoder is called ``text_model``, pictures are cut into tiles."""
    from transformers import Idefics3Config, Idefics3Processor, LlamaConfig
    from transformers import Idefics3ForConditionalGeneration as Idefics
    from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil

    extra = ("<image>", "<fake_token_around_image>", "<end_of_utterance>", "<global-img>",
             *(f"<row_{r}_col_{c}>" for r in (1, 2) for c in (1, 2)))  # fmt: skip
    tokenizer = build_tokenizer(extra)
    config = Idefics3Config(
        text_config=LlamaConfig(vocab_size=len(tokenizer), **TEXT),
        vision_config={
            "image_size": 32,
            "patch_size": 8,
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 48,
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
        pad_token_id=PAD,
        tie_word_embeddings=False,
    )
    processor = Idefics3Processor(
        image_processor=Idefics3ImageProcessorPil(
            size={"longest_edge": 64}, max_image_size={"longest_edge": 32}
        ),
        tokenizer=tokenizer,
        image_seq_len=4,
        chat_template=template("<image>"),
    )
    return save(path, Idefics, config, processor, seed)


def build_adapter(
    base: Path, path: Path, *, seed: int = 0, scale: float = 0.3, **options: Any
) -> Path:
    """A LoRA adapter of a model directory, with random weights on both sides.

    ``options`` go to ``LoraConfig``; by default every projection of the language model is adapted.
    """
    import warnings

    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForImageTextToText

    options = {
        "target_modules": r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj|up_proj|down_proj)",
        "r": 4,
        "lora_alpha": 8,
        **options,
    }
    model = AutoModelForImageTextToText.from_pretrained(base, dtype=torch.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adapted = get_peft_model(model, LoraConfig(**options))
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for tensor in adapted.parameters():
                if tensor.requires_grad:
                    noise = torch.randn(tensor.shape, generator=generator)
                    tensor.copy_(tensor * 0 + scale * noise)
        adapted.save_pretrained(path, save_embedding_layers=False)
    return path


def edit_json(file: Path, **fields: Any) -> None:
    """Change fields of a JSON object on disk; a field that is ``None`` is taken out."""
    content = json.loads(file.read_text()) | fields
    file.write_text(json.dumps({key: one for key, one in content.items() if one is not None}))


def edit_tensors(file: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    """Change the tensors of a safetensors file: ``change`` edits its dictionary in place."""
    from safetensors.torch import load_file, save_file

    tensors = {name: tensor.clone() for name, tensor in load_file(file).items()}
    change(tensors)
    save_file(tensors, file, metadata={"format": "pt"})


def build_pictures(folder: Path, n: int = 6, *, seed: int = 0) -> list[Path]:
    """``n`` small pictures of coloured noise, of different sizes."""
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    for index in range(n):
        height, width = (int(side) for side in random.integers(24, 64, 2))
        colour = random.integers(0, 256, 3)
        noise = random.integers(-60, 60, (height, width, 3))
        path = folder / f"picture-{index}.png"
        Image.fromarray(np.clip(colour + noise, 0, 255).astype(np.uint8)).save(path)
        paths.append(path)
    return paths


def build_store(
    path: Path,
    states: torch.Tensor | Mapping[int, torch.Tensor],
    *,
    ids: Sequence[str] | None = None,
    labels: Sequence[Mapping[str, Any]] | None = None,
    images: Sequence[str] | None = None,
    responses: Sequence[str] | None = None,
    model: Mapping[str, Any] | None = None,
    data: str = "data",
    shards: int = 1,
    text: Any = "own",
) -> "ActivationStore":
    """A finished store of given states (n, d), as ``harvest`` would have written it.

    Args:
        path: its directory.
        states: of one layer, number 0, or of several by number.
        ids: of the samples; ``s0``, ``s1``, ... by default.
        labels: of the samples.
        images: of the samples.
        responses: of the samples.
        model: identity of the model; weights are ``weights`` by default.
        data: fingerprint of the samples.
        text: whose responses the states are on: ``own``, or the identity of another model.
        shards: how many parts the rows are spread over.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq
    from safetensors.torch import save_file

    from shiftlens.activations.manifest import Manifest
    from shiftlens.activations.site import Site
    from shiftlens.activations.store import ActivationStore
    from shiftlens.activations.tokens import word
    from shiftlens.core.manifest import sha256_file

    layers = dict(states) if isinstance(states, Mapping) else {0: states}
    n = len(next(iter(layers.values())))
    names = list(ids) if ids is not None else [f"s{row}" for row in range(n)]
    layer = tuple(layers) if len(layers) > 1 else next(iter(layers))
    identity = {
        "model": dict(model or {"weights": "weights"}),
        "data": data,
        "site": Site(layer, word("dog")).describe(),
        "text": text,
        "options": {},
    }
    manifest = Manifest(path, identity, {"model": "synthetic"}, shards)
    path.mkdir(parents=True, exist_ok=True)
    for number, part in enumerate(np.array_split(np.arange(n), shards)):
        files = {"shard": f"shard-{number}.safetensors", "rows": f"rows-{number}.parquet"}
        chosen = torch.from_numpy(part)
        tensors = {f"layer.{at}": all_[chosen].contiguous() for at, all_ in layers.items()}
        save_file(tensors, path / files["shard"])
        rows = [
            {
                "sample_id": names[row],
                "image": images[row] if images is not None else f"{names[row]}.png",
                "prompt": "what is this ?",
                "response": responses[row] if responses is not None else "a dog",
                "token_ids": [0],
                "truncated": False,
                "status": "matched",
                "word": "dog",
                "position": 1,
                "state": at,
                "labels": json.dumps(dict(labels[row]) if labels is not None else {}),
            }
            for at, row in enumerate(part)
        ]
        pq.write_table(pa.Table.from_pylist(rows), path / files["rows"])
        manifest.parts[number] = {
            **files,
            "n": len(part),
            "counts": {"matched": len(part), "missed": 0, "failed": 0},
            "quarantine": [],
            "sha256": {kind: sha256_file(path / name) for kind, name in files.items()},
        }
    manifest.write()
    return ActivationStore.open(path)


def plant_shift(
    *,
    n: int = 240,
    d: int = 16,
    k: int = 4,
    own: float = 3.0,
    common: float = 2.0,
    noise: float = 0.5,
    seed: int = 0,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """States of two models (n, d) whose concepts are known, and the concept of every row.

    Args:
        n: rows.
        d: width.
        k: groups that the base states form.
        own: length of each group's own shift.
        common: length of the shift that all rows share.
        noise: of each row's own change.
        seed: of everything.
    """
    random = torch.Generator().manual_seed(seed)

    def directions(rows: int) -> torch.Tensor:
        return torch.nn.functional.normalize(torch.randn(rows, d, generator=random), dim=1)

    centres, labels = torch.randn(k, d, generator=random) * 4, torch.arange(n) % k
    base = centres[labels] + torch.randn(n, d, generator=random)
    shift = own * directions(k)[labels] + common * directions(1)
    return base, base + shift + noise * torch.randn(n, d, generator=random), labels


def build_vector(
    d: int = 32, *, layer: int = 1, length: float = 6.0, seed: int = 0, **fields: Any
) -> "SteeringVector":
    """A random direction of a given length at a layer; ``fields`` override the vector's own."""
    from shiftlens.activations.site import Site
    from shiftlens.concepts.vectors import SteeringVector

    noise = torch.randn(d, generator=torch.Generator().manual_seed(seed))
    options: dict[str, Any] = {
        "site": Site(layer),
        "name": f"random {seed}",
        "kind": "test",
        "state_norm": 1.0,
        **fields,
    }
    return SteeringVector(torch.nn.functional.normalize(noise, dim=0) * length, **options)


def save(path: Path, kind: Any, config: Any, processor: Any, seed: int) -> Path:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = kind(config).eval()
    model.generation_config.update(**ENDS)
    model.save_pretrained(path)
    if getattr(processor, "video_processor", processor) is None:
        # As on the hub, where video settings lie beside these files; here they are left out.
        processor.tokenizer.save_pretrained(path)
        processor.image_processor.save_pretrained(path)
        (path / "chat_template.jinja").write_text(processor.chat_template)
    else:
        processor.save_pretrained(path)
    return path
