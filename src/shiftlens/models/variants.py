"""``load_variants``: one base and any number of its fine-tunes, on as few weights as can be."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from shiftlens.core.errors import DataError
from shiftlens.models.adapters import Attachment, is_adapter, may_share
from shiftlens.models.attaching import attach
from shiftlens.models.checkpoints import Placement, load_checkpoint
from shiftlens.models.files import locate
from shiftlens.models.model import Model
from shiftlens.models.pairs import require_allowable
from shiftlens.models.proving import prove
from shiftlens.models.quiet import quiet_loading

Variant = tuple[Model, Attachment | None]


def load_variants(
    base: str | Path,
    tuned: Sequence[str | Path],
    *,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    attention: str | None = None,
    labels: Sequence[str] | None = None,
    allow: Collection[str] = (),
    tuned_dtype: str | torch.dtype | None = None,
    revision: str | None = None,
    revisions: Sequence[str | None] | None = None,
    template: str | Path | None = None,
) -> tuple[Model, ...]:
    """Load a base and several fine-tunes of it: seeds of one recipe, checkpoints of one training.

    Adapters share one module with the base, each under a name of its own in PEFT; ``active()`` of a
    model switches to it. Adapters that PEFT cannot hold together (of another type, or replacing
    other modules as a whole) get a further copy of the base. Full models are modules of their own.

    Args:
        base: the original model, named as in ``load_model``.
        tuned: adapters of it and full models of the same architecture, in any order.
        device: as in ``load_model``.
        dtype: as in ``load_model``.
        attention: as in ``load_model``.
        labels: short names in results, one a fine-tune; "tuned-0", "tuned-1", ... by default, or
            "tuned" for a single one.
        allow: differences that are meant, by name; see ``load_pair``.
        tuned_dtype: type of the weights of full models among the fine-tunes, if not ``dtype``.
        revision: branch, tag or commit of the base on the hub.
        revisions: the same for each fine-tune.
        template: as in ``load_model``, for all of them.

    Returns:
        the base, labelled "base", then the fine-tunes in their order, each with its ``proof``.

    Raises:
        DataError: one of them cannot be read, or labels or allowed names make no sense.
        MismatchError: one is no fine-tune of the base, or two are the same; the message says why.
    """
    place = Placement(device, dtype, attention, template)
    named = _labels(len(tuned), labels)
    require_allowable(allow)
    with quiet_loading():
        first, variants = assemble(
            str(base),
            [str(one) for one in tuned],
            place,
            labels=named,
            revision=revision,
            revisions=revisions or [None] * len(tuned),
            tuned_dtype=tuned_dtype,
        )
        prove(first, variants, allow)
    return first, *(model for model, _ in variants)


def assemble(
    base: str,
    tuned: Sequence[str],
    place: Placement,
    *,
    labels: Sequence[str],
    revision: str | None,
    revisions: Sequence[str | None],
    tuned_dtype: str | torch.dtype | None,
) -> tuple[Model, list[Variant]]:
    """Load a base and fine-tunes, proven readable each, not yet proven to belong together.

    Returns:
        the base, and for every fine-tune the model and, if it is an adapter, what was counted.
    """
    if len(revisions) != len(tuned):
        raise DataError(f"{len(revisions)} revisions for {len(tuned)} fine-tunes")

    def load() -> Model:
        return load_checkpoint(base, place, label="base", revision=revision)

    first, groups = load(), dict[str, list[int]]()
    found: dict[int, Variant] = {}
    for index, (name, commit) in enumerate(zip(tuned, revisions, strict=True)):
        where, _ = locate(name, commit)
        if is_adapter(where):
            groups.setdefault(may_share(where, name), []).append(index)
            continue
        own = replace(place, dtype=tuned_dtype or place.dtype)
        model = load_checkpoint(name, own, label=labels[index], revision=commit, partner=first)
        found[index] = model, None
    if tuned_dtype is not None and len(found) < len(tuned):
        raise DataError(
            "tuned_dtype was given, but an adapter shares the weights of its base",
            allowed="tuned_dtype for full models; dtype for a base with its adapters",
        )
    _attach_groups(first, load, groups, tuned, labels, revisions, found)
    return first, [found[index] for index in range(len(tuned))]


def _attach_groups(
    first: Model,
    load: Callable[[], Model],
    groups: dict[str, list[int]],
    tuned: Sequence[str],
    labels: Sequence[str],
    revisions: Sequence[str | None],
    found: dict[int, Variant],
) -> None:
    for number, members in enumerate(groups.values()):
        host = first if number == 0 else load()
        attached = attach(
            host,
            [tuned[index] for index in members],
            [labels[index] for index in members],
            [revisions[index] for index in members],
        )
        found.update(zip(members, attached, strict=True))


def _labels(n: int, labels: Sequence[str] | None) -> list[str]:
    if not n:
        raise DataError("no fine-tune of the base was given", allowed="one or more")
    if labels is None:
        return ["tuned"] if n == 1 else [f"tuned-{number}" for number in range(n)]
    named = list(labels)
    if len(named) != n:
        raise DataError(f"{len(named)} labels for {n} fine-tunes", allowed="one each")
    if len({"base", *named}) != n + 1 or not all(named):
        raise DataError(
            f"labels {', '.join(map(repr, named))} do not tell the models apart",
            allowed="names that differ from each other and from 'base', none of them empty",
        )
    return named
