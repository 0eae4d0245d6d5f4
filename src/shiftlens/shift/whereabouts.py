"""Which modules of an adapter a shift comes from: what is left with some off, what they do alone.

The shift of a site is the mean change of all its states. An adapter's modules are grouped, each
group is switched off in turn, and the rest; what is left is compared with the whole shift by inner
products of the changes of *different* pictures, so that noise adds nothing to a length
(see ``shiftlens.shift.effects``).

Shares do not add up to 1. A later block reads what an earlier one wrote, so groups can need each
other (alone they then do less than their removal takes away) or stand in for each other (removing
either takes away little). Both sums are reported; only where every group works by itself, and in
directions of its own, are they 1.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from shiftlens.core.errors import LearnError
from shiftlens.core.intervals import Interval, percentile
from shiftlens.core.shapes import Acts
from shiftlens.models.address import Address
from shiftlens.models.model import Model

Groups = dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Remainder:
    """How much of a shift is there in another one of the same samples.

    Attributes:
        share: its squared length over that of the whole shift. 0: nothing is left; 1: all of it.
        cosine: between the two; undefined (NaN) where nothing is left.
    """

    share: Interval
    cosine: Interval


@dataclass(frozen=True)
class GroupShare:
    """One group of an adapter's modules.

    Attributes:
        group: its name.
        modules: how many modules are in it.
        without: what is left of the shift with the group off.
        alone: what there is of it with everything else off.
    """

    group: str
    modules: int
    without: Remainder
    alone: Remainder

    def to_dict(self) -> dict[str, Any]:
        """JSON; ``cosine`` is that of what is left, ``cosine_alone`` that of the group alone."""
        return {
            "group": self.group,
            "modules": self.modules,
            "remaining": self.without.share.to_dict(),
            "alone": self.alone.share.to_dict(),
            "cosine": self.without.cosine.to_dict(),
            "cosine_alone": self.alone.cosine.to_dict(),
        }


def module_sums(shares: Sequence[GroupShare]) -> dict[str, float]:
    """What all groups take away when each is off, and what all do alone: neither need be 1."""
    return {
        "removed": sum(1 - one.without.share.estimate for one in shares),
        "alone": sum(one.alone.share.estimate for one in shares),
    }


def switched(tuned: Model, group: str, names: Sequence[str]) -> tuple[Model, Model]:
    """The tuned model with some modules of its adapter off, and with all others off.

    Args:
        tuned: with its adapter on.
        group: what the modules are called, for the labels of the two.
        names: dotted names among ``tuned.adapter_modules()``.
    """
    slug, rest = group.replace(" ", "-"), [n for n in tuned.adapter_modules() if n not in names]
    without, alone = f"without-{slug}", f"only-{slug}"
    return (
        tuned.without_modules(names, label=without),
        tuned.without_modules(rest, label=alone) if rest else replace(tuned, label=alone),
    )


def by_kind(modules: Sequence[str]) -> Groups:
    """Modules grouped by the last part of their names: all ``q_proj``, all ``down_proj``, ..."""
    return _grouped(modules, lambda name: name.rsplit(".", 1)[-1])


def by_block(modules: Sequence[str], address: Address) -> Groups:
    """Modules grouped by the decoder block that they are in.

    Args:
        modules: dotted names.
        address: of the model; what lies in no block is in the groups ``vision``, ``projector`` or,
            such as embeddings and unembedding, ``other``.
    """
    block = re.compile(rf"{re.escape(address.blocks_path)}\.(\d+)(?:\.|$)")
    paths = {"vision": address.vision_path, "projector": address.projector_path}

    def group(name: str) -> str:
        found = block.match(name)
        if found:
            return f"block {int(found[1])}"
        inside = (key for key, path in paths.items() if path and f"{name}.".startswith(f"{path}."))
        return next(inside, "other")

    return _grouped(modules, group)


def _grouped(modules: Sequence[str], key: Any) -> Groups:
    found: dict[str, list[str]] = {}
    for name in modules:
        found.setdefault(key(name), []).append(name)
    return {group: tuple(names) for group, names in sorted(found.items(), key=_order)}


def _order(entry: tuple[str, Any]) -> tuple[str, int]:
    """Names in alphabetical order, block 10 behind block 9."""
    stem, _, number = entry[0].rpartition(" ")
    return (stem, int(number)) if number.isdigit() else (entry[0], 0)


def remainders(
    whole: Acts,
    left: Mapping[str, Acts],
    groups: Tensor,
    *,
    seed: int = 0,
    draws: int = 400,
) -> dict[str, Remainder]:
    """Compare shifts with a whole one, on the same rows.

    Args:
        whole: (n, d) changes of the states under the whole adapter.
        left: by name, the changes of the same rows under a part of it.
        groups: (n,) number of each row's picture, from 0.
        seed: of the bootstrap over pictures, which all comparisons share.
        draws: how many resamples.

    Raises:
        LearnError: fewer than two pictures, other rows, or no whole shift to take a share of.
    """
    n = int(groups.max()) + 1 if len(groups) else 0
    if n < 2:
        raise LearnError(f"{n} pictures are too few for shares of a shift", allowed="two or more")
    rng = np.random.default_rng([seed, 17])
    drawn = [np.bincount(rng.integers(0, n, n), minlength=n) for _ in range(draws)]
    # The first row is the data themselves, each picture once.
    weights = torch.from_numpy(np.stack([np.ones(n), *drawn])).double()
    full = _by_picture(whole, groups, n)
    size = _products(full, full, weights)
    if not float(size[0]) > 0:
        raise LearnError(
            "the whole shift is not larger than its noise, so that parts of it have no share",
            remedy="give more samples, or another site",
        )
    found: dict[str, Remainder] = {}
    for name, changes in left.items():
        part = _by_picture(changes, groups, n)
        found[name] = _remainder(
            size, _products(part, part, weights), _products(part, full, weights)
        )
    return found


def _by_picture(changes: Tensor, groups: Tensor, n: int) -> Tensor:
    """Changes summed over the rows of each picture, in float64."""
    if len(changes) != len(groups):
        raise LearnError(f"{len(changes)} changes for {len(groups)} rows", allowed="the same rows")
    sums = torch.zeros(n, changes.shape[1], dtype=torch.float64)
    return sums.index_add_(0, groups, changes.double())


def _products(a: Tensor, b: Tensor, weights: Tensor) -> Tensor:
    """Sum of the inner products of different pictures, for each resample: (resamples,).

    Numbers of pairs are left out: they are the same for all and cancel in every ratio.
    """
    total = ((weights @ a) * (weights @ b)).sum(dim=1)
    return total - weights.square() @ (a * b).sum(dim=1)


def _remainder(size: Tensor, own: Tensor, cross: Tensor) -> Remainder:
    share, length = own / size, (own * size).clamp_min(0).sqrt()
    # Without the noise's own length a cosine can come out a little above 1.
    cosine = torch.where(length > 0, (cross / length).clamp(-1, 1), torch.nan)
    return Remainder(_interval(share, size > 0), _interval(cosine, length > 0))


def _interval(values: Tensor, known: Tensor) -> Interval:
    drawn = values[1:][known[1:]].numpy()
    if not bool(known[0]) or not len(drawn):
        return Interval(float("nan"), float("nan"), float("nan"))
    return percentile(drawn, float(values[0]))
