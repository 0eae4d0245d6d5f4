"""Where a shift sits: at which kinds of tokens, and in which modules of the adapter.

Exploratory, and given the concepts of the judged site: nothing is learned again. All states are
taken on the base's own text, so that both models read the same tokens.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from shiftlens.activations import tokens
from shiftlens.activations.selections.selection import Selection
from shiftlens.activations.site import Site
from shiftlens.activations.store import ActivationStore, Row, paired
from shiftlens.concepts.learners.learner import Learned
from shiftlens.core.errors import LearnError
from shiftlens.core.manifest import digest
from shiftlens.models.model import Model
from shiftlens.reporting.numbers import clean
from shiftlens.shift.drift import drift
from shiftlens.shift.effects import group_numbers
from shiftlens.shift.parts import Parts
from shiftlens.shift.refits import Split
from shiftlens.shift.whereabouts import (
    Groups,
    GroupShare,
    by_block,
    by_kind,
    module_sums,
    remainders,
    switched,
)

At = Callable[[Sequence[Model], Site, str, Sequence[str]], list[ActivationStore]]
"""Harvests models at a site on the base's text: models, site, name of the stores, sample ids."""

SITE = "the judged site"

ROLES: Mapping[str, Selection] = {
    "image tokens": tokens.mean_image(),
    "prompt text": tokens.mean_prompt(),
    "last prompt token": tokens.last_prompt(),
    "response": tokens.mean_response(),
}

_FEWEST = 2  # pictures in either part


@dataclass(frozen=True)
class _Chosen:
    """The samples that are looked at, and the concept of each.

    Attributes:
        estimation, judging: ids, from either part of the data.
        concepts: of every sample, by id.
    """

    estimation: tuple[str, ...]
    judging: tuple[str, ...]
    concepts: Mapping[str, int]

    @property
    def ids(self) -> tuple[str, ...]:
        return (*self.estimation, *self.judging)

    def named(self, name: str) -> str:
        """A name of stores that other samples do not have: a run with another seed is no clash."""
        return f"where/{name.replace(' ', '-')}-{digest(self.ids)[:8]}"


def where_it_sits(
    models: tuple[Model, Model],
    stores: tuple[ActivationStore, ActivationStore],
    parts: Parts,
    layer: int,
    learned: Learned,
    at: At,
    *,
    n_roles: int = 300,
    n_modules: int = 120,
    draws: int = 200,
    seed: int = 0,
) -> dict[str, Any]:
    """Measure the drift at every role of a token, and what each part of the adapter does to it.

    Args:
        models: base and tuned.
        stores: their paired states at the judged site, on the base's text.
        parts: rows of the stores in each part of the data; half of the samples that are looked at
            come from the estimation part, which gives the change of all, half from the judging
            part, where it is measured.
        layer: the judged one.
        learned: the concepts of the judged site, from the base's estimation part.
        at: harvests some samples.
        n_roles: samples that are looked at by role, at most.
        n_modules: samples that are looked at by module, at most.
        draws: resamples of pictures behind every interval.
        seed: of the choice of samples and of the resamples.

    Returns:
        ``roles``: a list of ``role``, ``n`` (judged rows), ``moved`` (how far all states moved) and
        ``own`` (how far concepts moved apart from the rest, their labels taken from the judged
        site), each in *spreads of the base's states at that role*, within those concepts: states
        of one role may lie closer together than those of another, so compare roles with that in
        mind, not as lengths. What a role does not have is ``None`` with a ``reason``.
        ``modules``: ``by_kind`` and ``by_block``, each a list of ``GroupShare`` as JSON, with
        ``sums`` and ``n``; ``None`` with a ``reason`` for a model without an adapter.
    """
    base, tuned = paired(*stores)
    site = base.site_at(layer)
    chosen = _choose(base, parts, learned.assign(base.states(layer)), n_roles, seed)
    k, roles = len(learned.vectors), list[dict[str, Any]]()
    for name, selection in {**ROLES, SITE: site.tokens}.items():
        both = [base, tuned]
        if selection != site.tokens:
            there = replace(site, tokens=selection)
            both = at(models, there, chosen.named(name), chosen.ids)
        roles.append({"role": name, **_role(both, chosen, layer, k, draws, seed)})
    some = _fewer(chosen, n_modules)
    return clean({"roles": roles, **_modules(models, site, at, some, draws, seed)})


def _choose(store: ActivationStore, parts: Parts, labels: Tensor, most: int, seed: int) -> _Chosen:
    """Random pictures of both parts, whatever the order of the samples."""
    rows, named = store.rows, labels.tolist()
    concepts: dict[str, int] = {}
    for row, label in zip(rows, named, strict=True):
        concepts.setdefault(row.sample_id, label)
    halves = [
        _some([rows[i] for i in part.tolist()], most // 2, seed)
        for part in (parts.estimation, parts.judging)
    ]
    return _Chosen(halves[0], halves[1], concepts)


def _some(rows: Sequence[Row], most: int, seed: int) -> tuple[str, ...]:
    """At most so many sample ids, all of a picture or none."""
    ids: dict[str, list[str]] = {}
    for row in rows:
        mine = ids.setdefault(_picture(row), [])
        if row.sample_id not in mine:
            mine.append(row.sample_id)
    names = np.random.default_rng([seed, 19]).permutation(np.asarray(sorted(ids), dtype=object))
    found: list[str] = []
    for name in names:
        if len(found) + len(ids[name]) <= most:
            found += sorted(ids[name])
    return tuple(found)


def _fewer(chosen: _Chosen, most: int) -> _Chosen:
    """Fewer samples, of the judging part first: what modules do needs no estimation."""
    judging = chosen.judging[:most]
    return _Chosen(chosen.estimation[: most - len(judging)], judging, chosen.concepts)


def _picture(row: Row) -> str:
    return row.image or row.sample_id


def _role(
    stores: Sequence[ActivationStore],
    chosen: _Chosen,
    layer: int,
    k: int,
    draws: int,
    seed: int,
) -> dict[str, Any]:
    if not all(len(store) for store in stores):
        return _nothing(0, "no sample has such tokens")
    pair = paired(stores[0], stores[1])
    halves = [_rows(pair[0], ids) for ids in (chosen.estimation, chosen.judging)]
    if min(len({_picture(pair[0].rows[i]) for i in half}) for half in halves) < _FEWEST:
        return _nothing(len(halves[1]), "too few pictures have such tokens")
    labels = torch.tensor([chosen.concepts[pair[0].rows[i].sample_id] for i in halves[1]])
    found = drift(_split(pair, halves, layer), labels, k, seed=seed, draws=draws)
    if not np.isfinite(found.moved.estimate):
        return _nothing(len(halves[1]), "the base's states are the same in all samples")
    own = found.own.to_dict() if np.isfinite(found.own.estimate) else None
    return {"n": len(halves[1]), "moved": found.moved.to_dict(), "own": own}


def _nothing(n: int, reason: str) -> dict[str, Any]:
    return {"n": n, "moved": None, "own": None, "reason": reason}


def _rows(store: ActivationStore, ids: Sequence[str]) -> list[int]:
    """Rows of some samples, in the order of the ids."""
    places: dict[str, list[int]] = {}
    for index, one in enumerate(store.sample_ids):
        places.setdefault(one, []).append(index)
    return [index for one in ids for index in places.get(one, ())]


def _split(
    pair: tuple[ActivationStore, ActivationStore], halves: Sequence[Sequence[int]], layer: int
) -> Split:
    before = pair[0].states(layer).float()
    delta = pair[1].states(layer).float() - before
    pieces: list[Tensor] = []
    for half in halves:
        index = torch.tensor(half)
        groups, _ = group_numbers([_picture(pair[0].rows[i]) for i in half])
        pieces += [before[index], delta[index], groups]
    return Split(*pieces)


def _modules(
    models: tuple[Model, Model], site: Site, at: At, chosen: _Chosen, draws: int, seed: int
) -> dict[str, Any]:
    base, tuned = models
    names = tuned.adapter_modules()
    if not names:
        return {"modules": None, "reason": "the fine-tune has no adapter to switch off in part"}
    grouped = {"by_kind": by_kind(names), "by_block": by_block(names, tuned.address)}
    tried = {
        (axis, group): switched(tuned, f"all {group}" if axis == "by_kind" else group, members)
        for axis, groups in grouped.items()
        for group, members in groups.items()
    }
    variants = [model for two in tried.values() for model in two]
    found = at((base, tuned, *variants), site, chosen.named("modules"), chosen.ids)
    try:
        shares = _shares(found, grouped, chosen.ids, draws, seed)
    except LearnError as error:
        return {"modules": None, "reason": error.given}
    n = len(_rows(found[0], chosen.ids))
    return {"modules": {"n": n, **shares}}


def _shares(
    stores: Sequence[ActivationStore],
    grouped: Mapping[str, Groups],
    ids: Sequence[str],
    draws: int,
    seed: int,
) -> dict[str, Any]:
    """Shares of every group; the stores of its two models follow those of base and tuned."""
    rows = _rows(stores[0], ids)
    states = [store.states().float()[torch.tensor(rows)] for store in stores]
    pictures, _ = group_numbers([_picture(stores[0].rows[i]) for i in rows])
    left = {str(i): one - states[0] for i, one in enumerate(states[2:])}
    parts = remainders(states[1] - states[0], left, pictures, seed=seed, draws=draws)
    found, at = dict[str, Any](sums={}), 0
    for axis, groups in grouped.items():
        shares: list[GroupShare] = []
        for group, members in groups.items():
            both = (parts[str(at)], parts[str(at + 1)])
            shares.append(GroupShare(group, len(members), *both))
            at += 2
        found[axis] = [one.to_dict() for one in shares]
        found["sums"][axis] = module_sums(shares)
    return found
