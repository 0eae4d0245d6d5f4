"""``load_model`` and ``load_pair``: from names to models that are proven readable."""

from collections.abc import Collection
from pathlib import Path

import torch

from shiftlens.core.errors import DataError
from shiftlens.models.adapters import is_adapter
from shiftlens.models.attaching import attach
from shiftlens.models.checkpoints import Placement, load_checkpoint
from shiftlens.models.files import locate
from shiftlens.models.model import Model
from shiftlens.models.pairs import require_allowable
from shiftlens.models.proving import prove
from shiftlens.models.quiet import quiet_loading
from shiftlens.models.variants import assemble


def load_model(
    name: str | Path,
    *,
    adapter: str | Path | None = None,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    attention: str | None = None,
    revision: str | None = None,
    label: str | None = None,
    template: str | Path | None = None,
) -> Model:
    """Load an image-text-to-text model of transformers, with an adapter if one is given.

    Args:
        name: a directory, an id on the hub, or ``package:name`` (``world:base``).
        adapter: a PEFT adapter, named in the same ways.
        device: where to put it; the first CUDA device if there is one, otherwise the CPU.
        dtype: type of the weights; float32 on a CPU, otherwise the type of the files.
        attention: implementation of transformers ("eager", "sdpa", ...); its default, except that a
            tiny model on a CPU gets "eager".
        revision: branch, tag or commit on the hub.
        label: short name in results; "base", or "tuned" with an adapter.
        template: the chat template, if not the model's own: a file, its text, or "plain" for a
            model that continues plain text.

    Returns:
        the model with its processor; ``model.hf`` is the raw module of transformers.

    Raises:
        DataError: there is no such model, its files cannot be read, or it is of another kind.
        MismatchError: the adapter does not belong to the model, or files and configuration differ.
    """
    place = Placement(device, dtype, attention, template)
    with quiet_loading():
        model = load_checkpoint(str(name), place, label=label or "base", revision=revision)
        if adapter is None:
            return model
        ((tuned, _),) = attach(model, [str(adapter)], [label or "tuned"], [None])
        return tuned


def load_pair(
    base: str | Path,
    tuned: str | Path,
    *,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    attention: str | None = None,
    allow: Collection[str] = (),
    base_adapter: str | Path | None = None,
    tuned_dtype: str | torch.dtype | None = None,
    revision: str | None = None,
    tuned_revision: str | None = None,
    template: str | Path | None = None,
) -> tuple[Model, Model]:
    """Load a model and its fine-tuned version; if that is an adapter, on one copy of the weights.

    The two are proven to be a pair: what was found is ``tuned.proof``. Two checkpoints of one
    training, and a model before and after casting, quantising (``allow=("dtype",)``) or merging an
    adapter (``base_adapter``), are pairs as well.

    Outside every context the shared module of such a pair has its adapter on, as PEFT leaves it:
    run it inside ``active()`` of the one you mean.

    Args:
        base: the original model, named as in ``load_model``.
        tuned: a PEFT adapter of it, or a full model of the same architecture and vocabulary.
        device: as in ``load_model``.
        dtype: as in ``load_model``.
        attention: as in ``load_model``.
        allow: differences that are meant, by name: "chat template", "picture processing", "dtype",
            "generation options", "base revision" (of the base that an adapter names). Shapes,
            width, layers and vocabulary must agree.
        base_adapter: an adapter that is on in the base model, to compare with the full model that
            it was merged into, or with another adapter.
        tuned_dtype: type of the weights of a full ``tuned``, if not ``dtype``.
        revision: branch, tag or commit of the base on the hub.
        tuned_revision: the same for ``tuned``.
        template: as in ``load_model``, for both.

    Returns:
        the models, labelled "base" and "tuned".

    Raises:
        DataError: one of the two cannot be read, or a name in ``allow`` cannot be allowed.
        MismatchError: they are not a pair; the message names the field. Or they are one model, or
            the second answers like the first to the last bit.
    """
    require_allowable(allow)
    place = Placement(device, dtype, attention, template)
    names = ([] if base_adapter is None else [str(base_adapter)]) + [str(tuned)]
    with quiet_loading():
        if base_adapter is not None and not is_adapter(locate(str(base_adapter), None)[0]):
            raise DataError(
                f"{base_adapter} is no adapter, so the base cannot be run with it",
                remedy="give a full model as the base itself",
            )
        first, variants = assemble(
            str(base),
            names,
            place,
            labels=["base", "tuned"][-len(names) :],
            revision=revision,
            revisions=[None, tuned_revision][-len(names) :],
            tuned_dtype=tuned_dtype,
        )
        if base_adapter is not None:
            (first, _), *variants = variants
        prove(first, variants, allow)
    return first, variants[0][0]
