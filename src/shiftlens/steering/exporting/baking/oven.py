"""``Oven``: a baking that was tried in memory, and how it is written and checked."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from shiftlens.core.errors import ExportError
from shiftlens.core.manifest import write_atomic, write_json
from shiftlens.models.model import Model
from shiftlens.models.spread import is_offloaded
from shiftlens.steering.applying import open_steering
from shiftlens.steering.exporting.baking.card import CARD, card
from shiftlens.steering.exporting.baking.changes import Changes, edited, logits_with
from shiftlens.steering.exporting.baking.comparing import (
    Comparison,
    Questions,
    compare,
    greedy,
    probing,
    require_equal,
)
from shiftlens.steering.exporting.baking.linears import all_logits
from shiftlens.steering.exporting.baking.receipt import RECEIPT, receipt_of
from shiftlens.steering.exporting.baking.recipe import Recipe, sort
from shiftlens.steering.exporting.baking.stored import (
    INDEX,
    Stored,
    beside,
    copy_files,
    write_config,
    write_weights,
)
from shiftlens.steering.exporting.refusing import HOOKS
from shiftlens.steering.exporting.staging import CONFIG, staged
from shiftlens.steering.keeping.steering import Steering


@dataclass(frozen=True)
class Oven:
    """A baking that was tried in memory and is ready to be written; it holds no model.

    Attributes:
        steering: what is baked.
        changes: what is done, by names of the loaded model.
        stored: the original files.
        edits: the same by names of the files.
        added: tensors that the original does not have, by names for the files.
        expected: what the steered model says, by hooks.
        base: provenance of the model.
        loading: how it was loaded: device, type, attention.
        tried: how far changed weights in memory were from the hooks.
    """

    steering: Steering
    changes: Changes
    stored: Stored
    edits: Mapping[str, Callable[[Tensor], Tensor]]
    added: Mapping[str, Tensor]
    expected: "Expected"
    base: Mapping[str, Any]
    loading: Mapping[str, Any]
    tried: Comparison

    @property
    def files(self) -> dict[str, int]:
        """What will be written, in bytes, or about them."""
        root = self.stored.root
        new = sum(one.numel() * one.element_size() for one in self.added.values())
        names = self.stored.names(self.added)
        sizes = {name: (root / file).stat().st_size for file, name in names.items()}
        if new or (root / INDEX).is_file():
            sizes[INDEX] = 100 * len(self.stored.files)
        copied = {name: (root / name).stat().st_size for name in (CONFIG, *beside(root))}
        own = {RECEIPT: 4096, CARD: 4096}
        return {**sizes, **({self.stored.new_file: new} if new else {}), **copied, **own}

    @property
    def notes(self) -> tuple[str, ...]:
        """What whoever uses the checkpoint must know."""
        apart = self.expected.halfway
        if apart is None:
            return self.changes.notes
        told = (
            f"on the prompts of the check, hooks after every block and these weights differ by up "
            f"to {apart.max_difference:.3g} in the logits; the ablation itself moves them by up to "
            f"{self.tried.unsteered:.3g}"
        )
        return (*self.changes.notes, told)

    def write(self, folder: Path) -> None:
        """Write the checkpoint, load it, compare, and only then let it appear.

        Raises:
            ExportError: the folder is not empty, or the loaded checkpoint does something else; then
                nothing of it is left.
            MachineError: the disk is full.
        """
        with staged(folder) as place:
            self.write_model(place)
            checked = self._check(place)
            receipt = receipt_of(self, place, checked)
            write_json(place / RECEIPT, receipt)
            write_atomic(place / CARD, card(self, receipt).encode())

    def write_model(self, folder: Path) -> None:
        """Copy the checkpoint with what is changed in it; unproven, for ``write`` to look at."""
        root = self.stored.root
        copy_files(beside(root), root, folder)
        write_weights(self.stored, folder, self.edits, self.added)
        write_config(root, folder, self.changes.settings)

    def _check(self, folder: Path) -> dict[str, Any]:
        """The reverse check, on what was written."""
        from shiftlens.models.loading import load_model

        baked = load_model(folder, label="baked", **self.loading)
        expected = self.expected
        asked = expected.asked
        found = compare(
            baked,
            expected.hooked,
            all_logits(baked, asked.batches),
            expected.plain,
            pictures=asked.pictures,
            coarsest=_coarsest(self),
        )
        require_equal(found, "the checkpoint that was written")
        said = greedy(baked, asked)
        same = sum(one == other for one, other in zip(said, expected.said, strict=True))
        return {**found.to_dict(), "greedy_responses": len(said), "equal_responses": same}


@dataclass(frozen=True)
class Expected:
    """What the loaded model says to some inputs.

    Attributes:
        asked: the prompts.
        plain: (n, vocabulary) logits of each batch, unsteered.
        hooked: the same, steered by hooks.
        said: the first tokens that the steered model says to each prompt.
        halfway: for an ablation, how far hooks after every block are from what is baked.
    """

    asked: Questions
    plain: Sequence[Tensor]
    hooked: Sequence[Tensor]
    said: Sequence[tuple[int, ...]]
    halfway: Comparison | None = None


def heat(steering: Steering, model: Model, *, everywhere: bool = False) -> Oven:
    """Everything before the writing.

    Args:
        steering: what is baked.
        model: whose weights; it is given back bit for bit.
        everywhere: let an ablation be what weights can do, where that is more than hooks do.

    Raises:
        ExportError: weights cannot carry the steering, or what they do is not what the hooks do.
    """
    require_plain(model.hf.config, model.adapter if model.adapter_on else None, model.name)
    if is_offloaded(model.hf):
        raise ExportError(
            f"{model.name} is split over memory and disk, where weights cannot be held against "
            "their files",
            remedy="load it on one device, or on several that hold all of it",
        )
    recipe = sort(steering, model)
    if everywhere and recipe.ablated is None:
        raise ExportError(
            f"{steering.name!r} ablates nothing in the residual stream",
            allowed="everywhere beside an ablation after all blocks",
            remedy="leave --everywhere out",
        )
    asked = probing(model, need_pictures=recipe.needs_pictures)
    expected = _expect(model, recipe, asked)
    if not everywhere:
        _require_measured(expected)
    changes = recipe.bake(model, asked.batches)
    tried = compare(
        model,
        expected.hooked,
        logits_with(model, changes, asked.batches),
        expected.plain,
        pictures=asked.pictures,
    )
    require_equal(tried, "changed weights")
    stored = Stored.open(model.origin.directory)
    edits, added = _named(model, changes, stored)
    base, loading = dict(model.provenance), _loading(model)
    return Oven(steering, changes, stored, edits, added, expected, base, loading, tried)


def _loading(model: Model) -> dict[str, Any]:
    """How a model was loaded, so that another is loaded likewise."""
    attention = getattr(model.hf.config, "_attn_implementation", None)
    return {"device": model.device, "dtype": model.dtype, "attention": attention}


def _expect(model: Model, recipe: Recipe, asked: Questions) -> Expected:
    plain = all_logits(model, asked.batches)
    with recipe.hooks(model):
        hooked = all_logits(model, asked.batches)
    with recipe.hooks(model):
        said = greedy(model, asked)
    halfway = None
    if recipe.halfway is not None:
        with open_steering(model, [recipe.halfway]):
            between = all_logits(model, asked.batches)
        halfway = compare(model, hooked, between, plain, pictures=asked.pictures)
    return Expected(asked, plain, hooked, said, halfway)


def _require_measured(expected: Expected) -> None:
    """Refuse an ablation that weights would carry out in another way than it was measured.

    Raises:
        ExportError: hooks after every block do something else than the weights would.
    """
    apart = expected.halfway
    if apart is None or apart.equal:
        return
    raise ExportError(
        "weights take a direction out of everything that is written to the residual stream, which "
        "is more than hooks after every block do: on the prompts of the check the two differ by up "
        f"to {apart.max_difference:.3g} in the logits, where the ablation itself moves them by up "
        f"to {apart.unsteered:.3g}",
        allowed="by default, weights that do what the hooks do, which were measured",
        remedy="ask for it as weights do it (--everywhere; everywhere=True in Python) and evaluate "
        f"the checkpoint itself; or {HOOKS}",
    )


def _named(
    model: Model, changes: Changes, stored: Stored
) -> tuple[dict[str, Callable[[Tensor], Tensor]], dict[str, Tensor]]:
    """Edits and new tensors by the names that the files have for them."""
    tensors: dict[str, Tensor] = dict(model.hf.named_parameters(remove_duplicate=False))
    edits = {
        stored.key_of(model, name, tensors[name]): _in_file(edit)
        for name, edit in changes.edits.items()
    }
    added: dict[str, Tensor] = {}
    for bias in changes.biases:
        weight = f"{bias.layer}.weight"
        key = stored.key_of(model, weight, tensors[weight]).removesuffix("weight") + "bias"
        # A bias is small: in float32 nothing of it is rounded before the engine does so.
        added[key] = torch.zeros(bias.width) if bias.values is None else bias.values.float()
    if changes.untied:
        table = model.hf.get_input_embeddings()
        key = stored.key_of(model, "embed_tokens.weight", table.weight)
        added[f"{model.address.head_path}.weight"] = stored.read(key)
    return edits, added


def _in_file(edit: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    def change(tensor: Tensor) -> Tensor:
        return edited(tensor.float() if tensor.ndim == 1 else tensor, edit)

    return change


def _coarsest(oven: Oven) -> torch.dtype | None:
    """The narrowest type in which an edited matrix lies in the files; ``None`` for biases alone."""
    found = [oven.stored.read(key) for key in oven.edits if len(oven.stored.shapes[key]) > 1]
    return max((one.dtype for one in found), key=lambda t: torch.finfo(t).eps, default=None)


def require_plain(config: Any, adapter: str | None, name: str) -> None:
    """Refuse a model whose files are not what it computes with.

    Raises:
        ExportError: an adapter is on, or the weights are quantised.
    """
    from shiftlens.models.checkpoints import quantisation

    if adapter is not None:
        raise ExportError(
            f"{name} has the adapter {adapter} on, and its weights are not in the checkpoint",
            allowed="full models",
            remedy="merge the adapter (PEFT's merge_and_unload), save it with save_pretrained, and "
            "export for that",
        )
    method = quantisation(config)
    if method is not None:
        raise ExportError(
            f"the weights of {name} are quantised ({method}): nothing can be added to them exactly",
            allowed="weights in float32, bfloat16 or float16",
            remedy="bake into the model that was quantised, and quantise what comes out",
        )
