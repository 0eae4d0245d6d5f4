"""``DriftCallback``: how far each concept has drifted, while a model is being trained."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn
from transformers import TrainerCallback

from shiftlens.activations.site import Site
from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.learners.learner import ConceptLearner
from shiftlens.core.errors import DataError, MachineError, MismatchError
from shiftlens.core.manifest import read_json, write_json
from shiftlens.data.sample import Samples
from shiftlens.models.address import find_address
from shiftlens.models.model import Model, Origin
from shiftlens.models.tenancy import Tenancy
from shiftlens.shift.following import Followed, follow
from shiftlens.shift.probing import make_probe, undisturbed

_log = logging.getLogger(__name__)

TAG = "shiftlens/drift"
"""Scalars are named ``shiftlens/drift/global`` and ``shiftlens/drift/3-beach``."""

_KIND, _SCHEMA = "drift", 1


class DriftCallback(TrainerCallback):
    """Follows concepts through a training of transformers' ``Trainer``.

    At the start the base answers the samples of the probe; every ``every`` steps the model being
    trained is given the same text, and the states at the site are compared with the base's. For
    each concept the *drift* is the length of its mean change, estimated without the bias of noise
    (products of different pictures only; below zero means: nothing that stands out), in units of
    the spread of base states around their concept's mean. ``global`` is the same for all states.

    The training is not disturbed: modes and random states are put back, and its weights are the
    same to the bit with and without the callback. Only the main process looks; models whose weights
    are spread over processes (FSDP, ZeRO-3) are not supported.

    Args:
        probe: what is asked; 64 samples every 100 steps cost a few percent of a training.
        site: which states; one layer.
        concepts: concepts of the base at that site, or a learner that finds them in the probe.
        base: the model before the training. By default the trainer's own: with its adapters off, or
            as it is at the first step.
        processor: of the model; by default the base's, or the trainer's ``processing_class``.
        every: how often to look, in steps of the optimiser.
        response: ``own``, the base's greedy answers, or ``given``, the samples' responses.
        max_new_tokens: where an answer is cut off.
        batch_size: samples at once.
        out: a directory; ``drift.json`` in it is brought up to date at every look.
        writer: anything with ``add_scalar(tag, value, step)``, for example TensorBoard's
            ``SummaryWriter``.

    A look that fails once the training runs (a picture is gone, memory or disk are full) is a
    warning in the log and no entry: the training goes on.

    Attributes:
        history: one entry a look: ``step``, ``global``, and ``concepts`` by name; ``None`` for a
            concept with fewer than two pictures in the probe.
    """

    def __init__(
        self,
        probe: Samples,
        site: Site,
        concepts: Concepts | ConceptLearner,
        *,
        base: Model | None = None,
        processor: Any = None,
        every: int = 100,
        response: Literal["own", "given"] = "own",
        max_new_tokens: int = 64,
        batch_size: int = 32,
        out: str | Path | None = None,
        writer: Any = None,
    ) -> None:
        if not len(probe) or every < 1 or batch_size < 1 or response not in ("own", "given"):
            raise DataError(
                f"cannot follow {len(probe)} samples every {every} steps, {batch_size} at once, "
                f"on {response!r} responses",
                allowed="1 or more of each, on 'own' or 'given' ones",
            )
        if writer is not None and not callable(getattr(writer, "add_scalar", None)):
            raise DataError(
                f"{type(writer).__name__} cannot be written to",
                allowed="anything with add_scalar(tag, value, step)",
            )
        self.history: list[dict[str, Any]] = []
        self._asked, self._site, self._wanted = probe, site, concepts
        self._base, self._processor, self._every = base, processor, every
        self._options: dict[str, Any] = {
            "response": response,
            "max_new_tokens": max_new_tokens,
            "batch_size": batch_size,
        }
        self._out = None if out is None else Path(out) / "drift.json"
        self._writer = writer
        self._trained: Model | None = None
        self._followed: Followed | None = None

    def on_train_begin(
        self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any
    ) -> None:
        """Ask the base, keep its states, and look for the first time.

        Raises:
            DataError: the probe selects too little, no processor is known, or a training of all
                weights is resumed without a base.
            MismatchError: base or concepts are of another width than the model.
            SiteError: the model does not have the layer.
        """
        del args, control
        if not state.is_world_process_zero:
            return
        processor = self._processor or (self._base.processor if self._base else None)
        trained = _view(model, processor or kwargs.get("processing_class"))
        with undisturbed(trained.hf):
            base = _before(trained, self._base, int(state.global_step))
            probe = make_probe(base, self._asked, self._site.resolve(base), **self._options)
            self._trained, self._followed = trained, follow(base, probe, self._wanted)
        self.history = self._earlier(int(state.global_step))
        self._look(int(state.global_step), first=True)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Look, if it is time."""
        del args, control, kwargs
        if state.global_step % self._every == 0:
            self._look(int(state.global_step))

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Look at the last step, unless it was looked at already."""
        del args, control, kwargs
        if self.history and self.history[-1]["step"] != state.global_step:
            self._look(int(state.global_step))

    def _look(self, step: int, *, first: bool = False) -> None:
        trained, followed = self._trained, self._followed
        if trained is None or followed is None:
            return
        entry: dict[str, Any] = {"step": step}
        try:
            with undisturbed(trained.hf):
                entry |= followed.drift(followed.probe.states(trained))
            self.history.append(entry)
            if self._out is not None:
                write_json(self._out, {**self._described(followed), "history": self.history})
        except (DataError, MachineError, torch.OutOfMemoryError) as error:
            if first:
                raise
            # A training that ran for days must not end because somebody moved a picture.
            _log.warning("no drift at step %d: %s", step, error)
        self._tell(entry)

    def _tell(self, entry: dict[str, Any]) -> None:
        if self._writer is not None and "global" in entry:
            scalars: dict[str, float | None] = {"global": entry["global"], **entry["concepts"]}
            for name, value in scalars.items():
                if value is not None:
                    self._writer.add_scalar(f"{TAG}/{name}", value, entry["step"])

    def _described(self, followed: Followed) -> dict[str, Any]:
        return {
            "kind": _KIND,
            "schema": _SCHEMA,
            "site": followed.probe.site.describe(),
            "data": self._asked.fingerprint,
            "samples": {"asked": len(self._asked), "followed": len(followed.probe.samples)},
            "concepts": dict(zip(followed.names, followed.sizes, strict=True)),
        }

    def _earlier(self, step: int) -> list[dict[str, Any]]:
        """What an interrupted training saw before the step at which this one goes on."""
        if self._out is None or self._followed is None or not step or not self._out.exists():
            return []
        found = read_json(self._out)
        if any(found.get(key) != value for key, value in self._described(self._followed).items()):
            _log.warning("%s follows other concepts or samples: it is begun anew", self._out)
            return []
        return [entry for entry in found["history"] if entry["step"] < step]


def _view(model: Any, processor: Any) -> Model:
    """The model being trained as one of ours: its adapters stay as they are."""
    hf: Any = model
    if isinstance(hf, nn.DataParallel | nn.parallel.DistributedDataParallel):
        hf = hf.module
    if hasattr(hf, "get_base_model"):  # PEFT's wrapper: its layers stay in the module
        hf = hf.get_base_model()
    if not hasattr(processor, "image_processor"):
        raise DataError(
            "the processor of the model in training is not known",
            remedy="give processor=AutoProcessor.from_pretrained(...), or base=load_model(...)",
        )
    if processor.tokenizer.pad_token is None:
        raise DataError(
            "the tokenizer has no padding token",
            remedy="processor.tokenizer.pad_token = processor.tokenizer.eos_token",
        )
    name = str(getattr(hf.config, "_name_or_path", "") or type(hf).__name__)
    return Model(
        hf=hf,
        processor=processor,
        name=name,
        adapter=None,
        label="training",
        address=find_address(hf),
        origin=Origin(Path(name)),
    )


def _before(trained: Model, base: Model | None, step: int) -> Model:
    """The given base, or the model with its adapters off, or the model as it is at first."""
    adapted = hasattr(trained.hf, "peft_config")
    if base is not None and base.hf is not trained.hf:
        ours, theirs = trained.address, base.address
        if (ours.d, ours.n_layers) != (theirs.d, theirs.n_layers):
            raise MismatchError(
                f"{base} is not what {trained.name} was before its training",
                allowed=f"a model of {ours.n_layers} blocks, {ours.d} wide",
            )
        return base
    if adapted:
        from shiftlens.models.adapters import adapter_layers

        return replace(trained, label="base", tenancy=Tenancy(adapter_layers(trained.hf)))
    if step:
        raise DataError(
            f"the training goes on from step {step}: what was before it is not known",
            allowed="a training from its beginning, one of adapters, or one whose base is given",
            remedy="give base=load_model(...)",
        )
    return replace(trained, label="base")
