"""Judges from transformers: a CLIP for pictures and words, a text encoder for words and captions.

They are models that never saw the states whose concepts they judge. What they must be able to do is
said in ``concepts/quality/judging.py``.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import normalize

from shiftlens.concepts.quality.judging import Tokens
from shiftlens.core.errors import DataError
from shiftlens.models.files import locate
from shiftlens.models.quiet import quiet_loading

_UNREADABLE = (OSError, ValueError, KeyError, ImportError, RuntimeError)
_LONGEST = 100_000  # tokenizers without a limit name a number beyond all texts


class TextsCut(UserWarning):
    """Texts were longer than the judge reads: their ends were not judged."""


class ClipJudge:
    """Any contrastive image-text model of transformers: CLIP, SigLIP and their kin.

    Args:
        model: with ``get_image_features`` and ``get_text_features``.
        tokenizer: of its texts.
        image_processor: of its pictures.
        device: where to compute.
        batch_size: pictures, or texts, at once.
    """

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Any,
        image_processor: Any,
        *,
        device: str | torch.device = "cpu",
        batch_size: int = 64,
    ) -> None:
        if not all(hasattr(model, f"get_{what}_features") for what in ("image", "text")):
            raise DataError(
                f"{type(model).__name__} does not put pictures and texts into one space",
                allowed="CLIP, SigLIP, or another model with image and text features",
            )
        self.model: Any = model.eval().to(device)
        self.device, self.batch_size = torch.device(device), batch_size
        self.tokenizer, self.image_processor = tokenizer, image_processor
        self._texts = _Texts(tokenizer, _text_config(self.model))
        # SigLIP was trained on texts of one length and reads others wrongly.
        kind: str = self.model.config.model_type
        self._whole = kind.startswith("siglip")

    @classmethod
    def load(
        cls,
        name: str | Path,
        *,
        revision: str | None = None,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        batch_size: int = 64,
    ) -> "ClipJudge":
        """Load a judge.

        Args:
            name: a directory, an id on the hub, or ``world:judge``.
            revision: branch, tag or commit on the hub.
            device: where to compute.
            dtype: of the weights.
            batch_size: pictures, or texts, at once.

        Raises:
            DataError: there is none of that name, its files cannot be read, or it is another kind
                of model.
        """
        from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

        where, _ = locate(str(name), revision)
        parts = [_loaded(one, where, name) for one in (AutoTokenizer, AutoImageProcessor)]
        model = _loaded(AutoModel, where, name, dtype=dtype)
        return cls(model, *parts, device=device, batch_size=batch_size)

    @torch.inference_mode()
    def pictures(self, pictures: Sequence[Image.Image]) -> Float[Tensor, "n e"]:
        """Embeddings of pictures, of length 1, float32 on the CPU."""
        parts: list[Tensor] = []
        for start in range(0, len(pictures), self.batch_size):
            batch = [one.convert("RGB") for one in pictures[start : start + self.batch_size]]
            pixels = self.image_processor(images=batch, return_tensors="pt")["pixel_values"]
            pixels = pixels.to(self.device, self.model.dtype)
            parts.append(_unit(self.model.get_image_features(pixel_values=pixels)))
        return torch.cat(parts) if parts else torch.zeros(0, 1)

    @torch.inference_mode()
    def texts(self, texts: Sequence[str]) -> Float[Tensor, "n e"]:
        """Embeddings of texts, of length 1, float32 on the CPU.

        Warns:
            TextsCut: texts longer than the judge reads are cut.
        """
        parts: list[Tensor] = []
        for start in range(0, len(texts), self.batch_size):
            batch = self._texts.batch(texts[start : start + self.batch_size], whole=self._whole)
            kept = {key: batch[key].to(self.device) for key in ("input_ids", "attention_mask")}
            if self._whole:
                del kept["attention_mask"]  # its padding is part of what it reads
            parts.append(_unit(self.model.get_text_features(**kept)))
        return torch.cat(parts) if parts else torch.zeros(0, 1)

    def knows(self, word: str) -> bool:
        """Whether every part of the word has a token of its own."""
        return self._texts.knows(word)


class Encoder:
    """Any text encoder of transformers, such as BERT: a vector for every token.

    Args:
        model: gives hidden states; of an encoder and a decoder the encoder reads.
        tokenizer: of its texts.
        layer: whose output is taken; the last one by default. 0 is the first block.
        device: where to compute.
        batch_size: texts at once.
    """

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Any,
        *,
        layer: int = -1,
        device: str | torch.device = "cpu",
        batch_size: int = 64,
    ) -> None:
        inner: Any = model
        if getattr(inner.config, "is_encoder_decoder", False):
            inner = inner.get_encoder()
        self.model: Any = getattr(inner, "text_model", inner).eval().to(device)
        self.device, self.batch_size = torch.device(device), batch_size
        self._texts = _Texts(tokenizer, _text_config(self.model))
        depth: int = _text_config(self.model).num_hidden_layers
        if not -depth <= layer < depth:
            raise DataError(f"the encoder has no layer {layer}", allowed=f"-{depth}..{depth - 1}")
        self.layer = layer % depth

    @classmethod
    def load(
        cls,
        name: str | Path,
        *,
        revision: str | None = None,
        layer: int = -1,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        batch_size: int = 64,
    ) -> "Encoder":
        """Load an encoder.

        Args:
            name: a directory, or an id on the hub.
            revision: branch, tag or commit on the hub.
            layer: see the class.
            device: where to compute.
            dtype: of the weights.
            batch_size: texts at once.

        Raises:
            DataError: there is none of that name, or its files cannot be read.
        """
        from transformers import AutoModel, AutoTokenizer

        where, _ = locate(str(name), revision)
        tokenizer = _loaded(AutoTokenizer, where, name)
        model = _loaded(AutoModel, where, name, dtype=dtype)
        return cls(model, tokenizer, layer=layer, device=device, batch_size=batch_size)

    @torch.inference_mode()
    def tokens(self, texts: Sequence[str]) -> list[Tokens]:
        """Tokens of each text without special ones, float32 on the CPU.

        Warns:
            TextsCut: texts longer than the encoder reads are cut.
        """
        found: list[Tokens] = []
        for start in range(0, len(texts), self.batch_size):
            batch = self._texts.batch(texts[start : start + self.batch_size])
            mask = batch["attention_mask"]
            output = self.model(
                input_ids=batch["input_ids"].to(self.device),
                attention_mask=mask.to(self.device),
                output_hidden_states=True,
            )
            last = self.layer == _text_config(self.model).num_hidden_layers - 1
            # The last entry may lack the final norm: what the model gives out has it.
            states = output.last_hidden_state if last else output.hidden_states[self.layer + 1]
            keep = mask.bool() & ~self._texts.special(batch["input_ids"])
            for ids, vectors, there in zip(
                batch["input_ids"], states.float().cpu(), keep, strict=True
            ):
                found.append(Tokens(tuple(ids[there].tolist()), vectors[there]))
        return found


class _Texts:
    """Texts as ids: padded on the right, ended as the model expects, cut where it ends."""

    def __init__(self, tokenizer: Any, config: Any) -> None:
        self._tokenizer = tokenizer
        limits = (tokenizer.model_max_length, getattr(config, "max_position_embeddings", None))
        known = [int(one) for one in limits if one is not None and 0 < one < _LONGEST]
        self.limit: int | None = min(known, default=None)
        self._ending: list[int] = []
        end = tokenizer.eos_token_id
        # CLIP reads a text out at its end mark; a tokenizer that does not write one is helped.
        if getattr(config, "model_type", "") == "clip_text_model" and end is not None:
            written = tokenizer("a")["input_ids"]
            self._ending = [] if written and written[-1] == end else [end]

    def batch(self, texts: Sequence[str], *, whole: bool = False) -> dict[str, Tensor]:
        """``input_ids`` and ``attention_mask`` (n, longest), or all of the model's length."""
        room = None if self.limit is None else self.limit - len(self._ending)
        plain = self._tokenizer(list(texts), verbose=False)["input_ids"]
        cut = sum(len(ids) > room for ids in plain) if room is not None else 0
        if cut:
            warnings.warn(
                f"{cut} of {len(texts)} texts are longer than the {room} tokens that this model "
                "reads: they are cut",
                TextsCut,
                stacklevel=3,
            )
            plain = self._tokenizer(list(texts), truncation=True, max_length=room)["input_ids"]
        padded = self._tokenizer.pad(
            {"input_ids": [[*ids, *self._ending] for ids in plain]},
            padding="max_length" if whole else "longest",
            max_length=self.limit if whole else None,
            padding_side="right",
            return_tensors="pt",
            verbose=False,
        )
        return {key: padded[key] for key in ("input_ids", "attention_mask")}

    def special(self, ids: Tensor) -> Tensor:
        """Which of the ids are marks and no text; the unknown token stands for text."""
        tokenizer = self._tokenizer
        unknown = tokenizer.unk_token_id
        # CLIP's own tokenizer has one mark for the end and for what it does not know.
        shared = unknown in (tokenizer.eos_token_id, tokenizer.pad_token_id)
        marks = {*tokenizer.all_special_ids} - (set() if shared else {unknown})
        return torch.isin(ids, torch.tensor(sorted(marks), dtype=ids.dtype))

    def knows(self, word: str) -> bool:
        """Whether no part of the word is the unknown token."""
        ids = self._tokenizer(word, add_special_tokens=False)["input_ids"]
        unknown = self._tokenizer.unk_token_id
        # CLIP's own tokenizer names its end mark as the unknown token, and needs none.
        return bool(ids) and (unknown == self._tokenizer.eos_token_id or unknown not in ids)


def _text_config(model: Any) -> Any:
    return getattr(model.config, "text_config", None) or model.config


def _unit(output: Any) -> Tensor:
    features = output if isinstance(output, Tensor) else output.pooler_output
    return normalize(features.float(), dim=1).cpu()


def _loaded(kind: Any, where: Path, name: str | Path, **options: Any) -> Any:
    from safetensors import SafetensorError

    try:
        with quiet_loading():
            return kind.from_pretrained(where, local_files_only=True, **options)
    except (*_UNREADABLE, SafetensorError) as error:
        reason = str(error).strip().split("\n")[0][:200]
        raise DataError(
            f"{name} cannot be loaded as a judge ({kind.__name__}: {reason})",
            allowed="a directory in the format of transformers with safetensors weights",
        ) from error
