"""``Model``: a raw transformers model with what must be known about it, wrapped in nothing."""

from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from shiftlens.core.cards import card
from shiftlens.core.errors import DataError
from shiftlens.core.progress import Progress, Silent
from shiftlens.data.images import open_image
from shiftlens.data.sample import Sample
from shiftlens.models.address import Address
from shiftlens.models.fingerprints import (
    fingerprint_adapter_config,
    fingerprint_files,
    fingerprint_settings,
)
from shiftlens.models.logit_scaling import LogitScaling
from shiftlens.models.proof import PairProof
from shiftlens.models.readout import Readout
from shiftlens.models.scaling import require_modules, require_scale
from shiftlens.models.tenancy import AdapterState, Tenancy

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class Response:
    """What a model said.

    Attributes:
        text: the decoded tokens, without special ones, not stripped.
        token_ids: the tokens generated, up to and without the end-of-sequence token.
        truncated: the token limit came before the end.
        reasoning: how many of the first tokens are reasoning before the answer, marks included;
            0 for models that do not think aloud, and for responses that no model has said yet.
    """

    text: str
    token_ids: tuple[int, ...]
    truncated: bool
    reasoning: int = 0


@dataclass(frozen=True)
class Origin:
    """Where a model's files lie and what they were called.

    Attributes:
        directory: the model's files.
        revision: of the hub, where the model came from there.
        adapter: the adapter's files.
        adapter_revision: the same for the adapter.
    """

    directory: Path
    revision: str | None = None
    adapter: Path | None = None
    adapter_revision: str | None = None


@dataclass(eq=False)
class Model:
    """An image-text-to-text model, ready to be asked and looked into.

    Several models may share one ``hf``, adapters apart: everything that runs ``hf`` must do so
    inside ``active()``, as every function of shiftlens does.

    Attributes:
        hf: the transformers model itself, in evaluation mode, on its device.
        processor: pictures and text to inputs.
        name: what the user called it: a path, an id.
        adapter: what the user called its adapter, if it has one.
        label: short name in results ("base", "tuned").
        address: where its residual stream is.
        origin: where its files lie.
        adapter_on: whether this model is ``hf`` with the adapter or without.
        tenancy: whose turn it is on ``hf``.
        adapter_slot: PEFT's name of this model's adapter in ``hf``, which may hold several.
        adapter_scale: what the adapter's contribution is multiplied by; 1 is the tuned model.
        modules_off: dotted names of modules in which the adapter is off.
        proof: what was found when this model was proven to be another's fine-tune; ``None`` for a
            base, and for a model that was loaded alone.
        scaling: what the family does to its logits behind the unembedding, measured at load.
    """

    hf: Any
    processor: Any
    name: str
    adapter: str | None
    label: str
    address: Address
    origin: Origin
    adapter_on: bool = False
    tenancy: Tenancy = field(default_factory=Tenancy)
    adapter_slot: str = "default"
    adapter_scale: float = 1.0
    modules_off: frozenset[str] = frozenset()
    proof: PairProof | None = None
    scaling: LogitScaling = field(default_factory=LogitScaling)

    def __repr__(self) -> str:
        adapter = f" + {self.adapter}" if self.adapter else ""
        return f"Model({self.label}: {self.name}{adapter})"

    def _repr_html_(self) -> str:
        about = self.address
        return card(
            "Model",
            f"{self.label}: {self.name}",
            {
                "adapter": self.adapter,
                "class": type(self.hf).__name__,
                "blocks": f"{about.n_layers} of width {about.d}, {about.blocks_path}",
                "where": f"{self.device}, {str(self.dtype).removeprefix('torch.')}",
            },
        )

    @property
    def tokenizer(self) -> Any:
        """The processor's tokenizer."""
        return getattr(self.processor, "tokenizer", self.processor)

    @property
    def device(self) -> torch.device:
        """Where the model's inputs go."""
        return next(self.hf.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The type of the decoder's weights; families may keep other parts in a wider one."""
        block = self.address.block(self.hf, 0)
        kinds = (one.dtype for one in block.parameters() if one.is_floating_point())
        return next(kinds, self.hf.dtype)

    @contextmanager
    def active(self) -> Generator[None]:
        """Make ``hf`` this model: its adapter on at its scale, or off for the base of a pair.

        On leaving, also by an exception, the state before is restored: which adapter was active,
        where it was off, its scale. Gradient flags are not touched.

        Raises:
            ShiftLensError: another thread is inside a context of the same ``hf``, or an adapter is
                merged into the weights.
        """
        slot = self.adapter_slot if self.adapter_on else None
        with self.tenancy.entered(AdapterState(slot, self.adapter_scale, self.modules_off)):
            yield

    def adapter_modules(self) -> tuple[str, ...]:
        """Dotted names, as in ``hf.named_modules()``, of the modules that the adapter is in.

        Those that ``modules_off`` switches off are among them. A model without an adapter, and the
        base of a pair, have none.
        """
        return tuple(self.tenancy.modules(self.adapter_slot)) if self.adapter_on else ()

    def at_scale(self, scale: float, *, label: str | None = None) -> "Model":
        """The same model, in the same ``hf``, with the adapter's contribution multiplied.

        At 0 every logit is the base's to the bit, at 1 the tuned model's. What is scaled is what
        the adapter adds to the output of each module; the answers in between are not linear in it.

        Args:
            scale: in [0, 1], of the adapter as it was loaded (not of an earlier ``at_scale``).
            label: short name in results; by default this one's with ``@scale`` ("tuned@0.3").

        Raises:
            DataError: ``scale`` is no number in [0, 1].
            MismatchError: the model has no adapter, or one whose contribution cannot be multiplied
                (a module replaced as a whole, another kind than LoRA, DoRA); scales 0 and 1 are
                possible for all of them.
        """
        modules = self.tenancy.modules(self.adapter_slot) if self.adapter_on else {}
        require_scale(scale, modules, self.adapter_slot, str(self))
        stem = self.label.removesuffix(f"@{self.adapter_scale:g}")
        named = label or f"{stem}@{scale:g}"
        return replace(self, adapter_scale=float(scale) if modules else 1.0, label=named)

    def without_modules(self, names: Collection[str], *, label: str | None = None) -> "Model":
        """The same model, in the same ``hf``, with the adapter off in some modules.

        Args:
            names: dotted names among ``adapter_modules()``, in addition to ``modules_off``.
            label: short name in results; by default this one's with what is off.

        Raises:
            DataError: no name was given.
            MismatchError: the model has no adapter, or its adapter is not in a named module.
        """
        chosen = (names,) if isinstance(names, str) else tuple(dict.fromkeys(names))
        require_modules(chosen, self.adapter_modules(), str(self))
        off = self.modules_off | {*chosen}
        what = chosen[0] if len(chosen) == 1 else f"{len(chosen)}-modules"
        return replace(self, modules_off=off, label=label or f"{self.label}-without-{what}")

    @cached_property
    def readout(self) -> Readout:
        """This model's final norm and unembedding."""
        return Readout(
            norm=self.address.norm(self.hf),
            head=self.address.head(self.hf),
            tokenizer=self.tokenizer,
            enter=self.active,
            adapter_on=self.adapter_on,
            slot=self.adapter_slot,
            scale=self.scaling.scale,
            soft_cap=self.scaling.soft_cap,
        )

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What decides this model's numbers, wherever its files lie; equal means the same model."""
        from shiftlens.models.processing.processors import describe_processor

        adapter = self.origin.adapter if self.adapter_on else None
        return {
            "architecture": type(self.hf).__name__,
            "weights": fingerprint_files(self.origin.directory),
            "adapter_weights": adapter and fingerprint_files(adapter),
            "adapter_config": adapter and fingerprint_adapter_config(adapter),
            **describe_processor(self.processor),
            "config": fingerprint_settings(self.hf.config),
            "generation": fingerprint_settings(self.hf.generation_config),
            "dtype": str(self.dtype).removeprefix("torch."),
            **self._partly(),
        }

    def _partly(self) -> dict[str, Any]:
        """How far the adapter is on, where that is not wholly: other models are as they were."""
        if not self.adapter_on:
            return {}
        scaled = {} if self.adapter_scale == 1 else {"adapter_scale": self.adapter_scale}
        return scaled | ({"modules_off": sorted(self.modules_off)} if self.modules_off else {})

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """Where this model comes from, as JSON: names, revisions, ``identity``, versions."""
        from importlib.metadata import version

        packages = ["torch", "transformers", *(["peft"] if self.adapter_on else [])]
        return {
            "model": self.name,
            "revision": self.origin.revision,
            "adapter": self.adapter,
            "adapter_revision": self.origin.adapter_revision,
            **self.identity,
            "device": self.device.type,
            # The same settings give other last digits with torchvision than without it.
            "image_processor": type(self.processor.image_processor).__name__,
            "attention": getattr(self.hf.config, "_attn_implementation", None),
            "versions": {package: version(package) for package in packages},
        }

    def generate(
        self,
        image: "str | Path | Image | Sequence[str | Path | Image] | None",
        prompt: str,
        *,
        max_new_tokens: int = 64,
        system: str | None = None,
        options: Mapping[str, Any] | None = None,
        heard: Callable[[str], object] | None = None,
    ) -> str:
        """The greedy answer to one prompt about one picture, about several, or about none.

        Args:
            image: a path, an open picture, several of them, or ``None`` for text only.
            prompt: what the user says, without any template.
            max_new_tokens: where to stop when the model does not.
            system: what the model is told beforehand.
            options: generation options that are meant, by name, such as ``repetition_penalty``.
            heard: told the text so far after every token; what it raises ends the answer, and the
                model is given back.

        Raises:
            DataError: the picture cannot be read, the chat template cannot hold the prompt, or an
                option cannot be set.
        """
        from shiftlens.models.generation import generate, telling
        from shiftlens.models.prompts import Turn, encode_turns

        several: Sequence[Any] = image if isinstance(image, list | tuple) else [image]
        pictures = [
            open_image(str(one)) if isinstance(one, str | Path) else one.convert("RGB")
            for one in several
            if one is not None
        ]
        inputs = encode_turns(self, [Turn(prompt, tuple(pictures), system)])
        told = None if heard is None else telling(self, heard)
        said = generate(self, inputs, max_new_tokens=max_new_tokens, options=options, enough=told)
        return said[0].text.strip()

    def respond(
        self,
        samples: Sequence[Sample],
        *,
        max_new_tokens: int = 64,
        batch_size: int = 32,
        progress: Progress | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> list[Response]:
        """Greedy responses to many samples, in their order.

        Args:
            samples: what to ask.
            max_new_tokens: where to stop when the model does not.
            batch_size: how many samples are asked at once.
            progress: who is told how far it is.
            options: generation options that are meant, by name.

        Raises:
            DataError: a picture cannot be read, or ``batch_size`` is not positive.
        """
        if batch_size < 1:
            raise DataError(f"a batch of {batch_size} samples", allowed="at least 1")
        listener, said = progress or Silent(), list[Response]()
        listener.start(f"{self.label}: answering", len(samples))
        try:
            for start in range(0, len(samples), batch_size):
                batch = samples[start : start + batch_size]
                said += self._answers(batch, max_new_tokens, options)
                listener.advance(len(batch))
        finally:
            listener.stop()
        return said

    def _answers(
        self, samples: Sequence[Sample], max_new_tokens: int, options: Mapping[str, Any] | None
    ) -> list[Response]:
        """One batch; its halves where the family cannot read such samples side by side."""
        from shiftlens.models.generation import generate
        from shiftlens.models.prompts import encode

        try:
            inputs = encode(self, samples)
        except DataError:
            if len(samples) == 1:
                raise
            middle = len(samples) // 2
            return [
                answer
                for half in (samples[:middle], samples[middle:])
                for answer in self._answers(half, max_new_tokens, options)
            ]
        return generate(self, inputs, max_new_tokens=max_new_tokens, options=options)
