"""``ActivationStore``: states on disk with the samples that they came from."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from shiftlens.activations.concatenating import joined
from shiftlens.activations.manifest import Manifest, read_manifest
from shiftlens.activations.row_tables import Row, RowTables
from shiftlens.activations.shards import Numbers, Shards
from shiftlens.activations.site import Site, site_from
from shiftlens.activations.verifying import examine
from shiftlens.core.errors import MismatchError, SiteError, StoreError

RowNumbers = Sequence[int] | NDArray[Any] | Tensor
"""Numbers of rows, counted from 0."""


class ActivationStore:
    """States of selected positions, one directory and one manifest for each model.

    Open one with ``ActivationStore.open``; ``where`` gives views that share the files. Opening
    reads the manifest alone: ``len``, ``gather``, ``shards`` and ``batches`` never read the tables
    of rows, and nothing but ``states`` and ``rows`` grows with the store.
    """

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._keep: Numbers | None = None
        parts = manifest.ordered()
        states = tuple(int(part["n"]) for part in parts)
        shards = [manifest.file(part, "shard") for part in parts]
        self._shards = Shards(list(zip(shards, states, strict=True)))
        self._tables = RowTables(tuple(manifest.file(part, "rows") for part in parts), states)

    @classmethod
    def open(cls, path: str | Path) -> "ActivationStore":
        """Open a finished store.

        Args:
            path: its directory, or its address such as ``s3://bucket/run``. Of a store far away,
                files are fetched once, when they are needed, and checked against the manifest.

        Raises:
            StoreError: missing, unfinished, damaged, or of another schema.
            MachineError: the address cannot be reached.
        """
        manifest = read_manifest(path)
        if not manifest.complete:
            written = f"{len(manifest.parts)} of {manifest.n_parts} parts"
            raise StoreError(
                f"{path} is unfinished: {written}{', in a journal' if manifest.open else ''}",
                remedy="run the same harvest again: it goes on from there",
            )
        return cls(manifest)

    @classmethod
    def concatenate(cls, stores: "Sequence[ActivationStore]") -> "ActivationStore":
        """Rows of several stores, one after the other: of one model and site, on other data.

        Nothing is copied. Its ``path`` is the folder that all of them are in, and can not be opened
        as a store; its ``fingerprint`` is of all shards in this order.

        Args:
            stores: or views of them, in the order of their rows.

        Raises:
            MismatchError: no stores, or stores that differ in more than the data; names the field.
        """
        whole = cls(joined([store._manifest for store in stores]))
        starts = np.cumsum([0, *(int(store._shards.starts[-1]) for store in stores)])
        if any(store._keep is not None for store in stores):
            kept = [store._numbers + at for store, at in zip(stores, starts, strict=False)]
            whole._keep = np.concatenate(kept)
        return whole

    def __len__(self) -> int:
        if self._keep is not None:
            return len(self._keep)
        return int(self._shards.starts[-1])

    def __repr__(self) -> str:
        return f"ActivationStore({len(self)} rows, {self.path}, layers {list(self.layers)})"

    def _repr_html_(self) -> str:
        from shiftlens.activations.told import store_card

        return store_card(self)

    @property
    def complete(self) -> bool:
        """Whether every part is there; one share of a run may end before the others do."""
        return self._manifest.complete

    @property
    def path(self) -> Path:
        """The store's directory; of an address, what ``open`` takes as well."""
        return Path(str(self._manifest.place))

    @property
    def site(self) -> Site:
        """Where the states were taken, layers counted from 0."""
        return site_from(self._manifest.identity["site"])

    @property
    def layers(self) -> tuple[int, ...]:
        """Layers that the store holds."""
        return self.site.layers

    @property
    def provenance(self) -> dict[str, Any]:
        """What decides the numbers: ``model``, ``data``, ``site``, ``text``, options."""
        return self._manifest.identity

    @property
    def about(self) -> dict[str, Any]:
        """Names and versions, for people."""
        return self._manifest.about

    @property
    def counts(self) -> dict[str, int]:
        """How many samples matched, missed and failed in the whole store."""
        return self._manifest.counts

    @property
    def quarantine(self) -> list[dict[str, str]]:
        """Samples that could not be read, each with ``id`` and ``reason``."""
        return self._manifest.quarantine

    @property
    def fingerprint(self) -> str:
        """Digest of the identity and of every shard: same seed, same fingerprint."""
        return self._manifest.fingerprint

    @cached_property
    def rows(self) -> list[Row]:
        """One row a kept state, in the order of ``states``; half a kilobyte of memory for each.

        Raises:
            StoreError: a table is missing or damaged, or they are not of as many states.
        """
        wanted = self._numbers.tolist()
        some, found = set(wanted), dict[int, Row]()
        for n, row in enumerate(self._tables.rows()):
            if n in some:
                found[n] = row
        return [found[at] for at in wanted]

    @property
    def sample_ids(self) -> list[str]:
        """Sample of every row."""
        return [row.sample_id for row in self.rows]

    @cached_property
    def responses(self) -> dict[str, str]:
        """What was said to every sample that could be read, kept or not, by sample id.

        Raises:
            StoreError: two samples of a concatenated store have one id.
        """
        return self._by_sample("response")

    @cached_property
    def token_ids(self) -> dict[str, tuple[int, ...]]:
        """The tokens of every response, by sample id.

        Raises:
            StoreError: see ``responses``.
        """
        return {name: tuple(one) for name, one in self._by_sample("token_ids").items()}

    def _by_sample(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for entry in self._tables.entries(("sample_id", name)):
            sample, value = entry["sample_id"], entry[name]
            if found.setdefault(sample, value) != value:
                raise StoreError(
                    f"two samples of {self.path} are called {sample!r}",
                    remedy="ask each of the stores that were concatenated",
                )
        return found

    def entries(self, names: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Columns of the tables of the whole store, as they were written.

        Yields:
            a line for every state, and one for every sample without any.

        Args:
            names: of the columns, see ``docs/formats/store.md``.

        Raises:
            StoreError: a table is missing or damaged.
        """
        return self._tables.entries(names)

    def label(self, name: str) -> list[Any]:
        """One label of every row's sample.

        Raises:
            StoreError: a sample does not have it.
        """
        if any(name not in row.labels for row in self.rows):
            known = sorted({key for row in self.rows for key in row.labels})
            raise StoreError(f"not every sample has the label {name!r}", allowed=", ".join(known))
        return [row.labels[name] for row in self.rows]

    def site_at(self, layer: int | None = None) -> Site:
        """The site at one of the store's layers; it may be left out when there is only one.

        Raises:
            SiteError: the store does not hold the layer, or holds several and none was named.
        """
        if layer is None and len(self.layers) == 1:
            return self.site.at(self.layers[0])
        if layer is None:
            raise SiteError(
                f"{self.path} holds several layers: name one", allowed=f"layers {list(self.layers)}"
            )
        if layer not in self.layers:
            raise SiteError(
                f"layer {layer} is not in {self.path}",
                allowed=f"layers {list(self.layers)}",
                remedy=f"keep its states: shiftlens harvest MODEL DATA --layers {layer} -o DIR",
            )
        return self.site.at(layer)

    def states(self, layer: int | None = None) -> Float[Tensor, "n d"]:
        """The states of one layer: (n, d), in the type they were harvested in.

        Shards are memory-mapped: a store of one shard is not copied, one of several is copied into
        memory. ``shards`` and ``batches`` need no memory that grows with the store.

        Raises:
            SiteError: see ``site_at``.
            StoreError: there are no rows, or a shard is missing or damaged.
        """
        name = self._name(layer)
        if not len(self._shards):
            raise StoreError(f"{self.path} holds no rows")
        if self._keep is None and len(self._shards) == 1:
            return self._shards.tensor(0, name)
        return self._shards.gather(self._numbers, name)

    def gather(self, rows: RowNumbers, layer: int | None = None) -> Float[Tensor, "m d"]:
        """The states of some rows, in the order given: (m, d), copied from where they lie.

        Args:
            rows: numbers of rows as in ``rows``; one may be named twice.
            layer: which of the store's layers; may be left out when there is one.

        Raises:
            SiteError: see ``site_at``.
            MismatchError: a number that no row has, or what is not a number.
            StoreError: there are no rows, or a shard is missing or damaged.
        """
        return self._shards.gather(self._within(rows), self._name(layer))

    def shards(self, layer: int | None = None) -> Iterator[tuple[list[int], Tensor]]:
        """The same states shard by shard, for what must not hold them all at once.

        Of a whole store they are views of the mapped files, without a copy.

        Yields:
            numbers of rows, as in ``rows``, and their states (m, d); every row once, in the files'
            order.

        Raises:
            SiteError: see ``site_at``.
            StoreError: a shard is missing or damaged.
        """
        name, starts = self._name(layer), self._shards.starts
        if self._keep is None:
            for number in range(len(self._shards)):
                inside = range(int(starts[number]), int(starts[number + 1]))
                yield list(inside), self._shards.tensor(number, name)
            return
        order = np.argsort(self._keep, kind="stable")
        cuts = np.searchsorted(self._keep[order], starts)
        for number, chosen in enumerate(np.split(order, cuts[1:-1]) if len(self._shards) else ()):
            if len(chosen):
                places = torch.from_numpy(self._keep[chosen] - starts[number])
                yield chosen.tolist(), self._shards.tensor(number, name)[places]

    @overload
    def batches(
        self,
        size: int,
        layer: int | None = None,
        *,
        seed: int | None = None,
        kind: Literal["torch"] = "torch",
    ) -> Iterator[tuple[list[int], Tensor]]: ...
    @overload
    def batches(
        self,
        size: int,
        layer: int | None = None,
        *,
        seed: int | None = None,
        kind: Literal["numpy"],
    ) -> Iterator[tuple[list[int], NDArray[Any]]]: ...
    def batches(
        self,
        size: int,
        layer: int | None = None,
        *,
        seed: int | None = None,
        kind: Literal["torch", "numpy"] = "torch",
    ) -> Iterator[tuple[list[int], Any]]:
        """The states in copies of ``size`` rows, the last one shorter; one batch is held at once.

        Args:
            size: rows in a batch.
            layer: which of the store's layers; may be left out when there is one.
            seed: draws an order in which every row comes once; as in ``rows`` without it. Reads
                single rows all over the files, which a disk with a head does slowly.
            kind: ``torch``, or ``numpy``; NumPy has no bfloat16, and gets float32, which holds each
                of its values exactly.

        Yields:
            numbers of rows, as in ``rows``, and their states (m, d).

        Raises:
            SiteError: see ``site_at``.
            StoreError: a size or kind that is not possible, or a shard is missing or damaged.
        """
        if size < 1 or kind not in ("torch", "numpy"):
            raise StoreError(
                f"batches of {size} rows for {kind!r}", allowed="1 row or more, for torch or numpy"
            )
        name, numbers = self._name(layer), self._numbers
        order = np.arange(len(numbers))
        if seed is not None:
            order = torch.randperm(
                len(numbers), generator=torch.Generator().manual_seed(seed)
            ).numpy()
        return self._batches(name, order, size, kind)

    def _batches(
        self, name: str, order: Numbers, size: int, kind: str
    ) -> Iterator[tuple[list[int], Any]]:
        numbers = self._numbers
        for start in range(0, len(order), size):
            chosen = order[start : start + size]
            states = self._shards.gather(numbers[chosen], name)
            yield chosen.tolist(), _numpy(states) if kind == "numpy" else states

    def where(self, keep: Callable[[Row], bool] | Sequence[bool]) -> "ActivationStore":
        """A view of the rows for which ``keep`` is true.

        Args:
            keep: a predicate on rows, or one boolean for each row.

        Raises:
            MismatchError: the number of booleans is not the number of rows.
        """
        flags = list(map(keep, self._each())) if callable(keep) else list(keep)
        if len(flags) != len(self):
            raise MismatchError(f"{len(flags)} booleans for {len(self)} rows")
        return self.at_rows([index for index, flag in enumerate(flags) if flag])

    def _each(self) -> Iterable[Row]:
        """The rows, kept in memory only if they are already, or of a view."""
        whole = self._keep is None and "rows" not in self.__dict__
        return self._tables.rows() if whole else self.rows

    def at_rows(self, indices: RowNumbers) -> "ActivationStore":
        """A view of some rows, in the order given.

        Raises:
            MismatchError: a number that no row has, or what is not a number.
        """
        view = ActivationStore(self._manifest)
        view._shards, view._tables = self._shards, self._tables
        view._keep = self._within(indices)
        if "rows" in self.__dict__:  # what was read is not read again
            view.rows = [self.rows[at] for at in np.asarray(indices, dtype=np.int64).tolist()]
        return view

    def verify(self) -> None:
        """Check the whole store; ``shiftlens.activations.verifying.verify`` gives the findings.

        Raises:
            StoreError: names the first fault.
        """
        found = examine(self._manifest)
        if found.faults:
            first, more = found.faults[0], len(found.faults) - 1
            others = f", and {more} other faults" if more else ""
            raise StoreError(f"{first.text}{others}", remedy=f"see all: {found.command}")

    def _name(self, layer: int | None) -> str:
        return f"layer.{self.site_at(layer).layers[0]}"

    @property
    def _numbers(self) -> Numbers:
        """Rows of this view, as they are counted in the files."""
        return np.arange(len(self)) if self._keep is None else self._keep

    def _within(self, rows: RowNumbers) -> Numbers:
        """Rows of this view as they are counted in the files, once they are sound."""
        given = np.asarray(rows)
        if given.ndim != 1 or (len(given) and given.dtype.kind not in "iu"):
            raise MismatchError(
                f"{given.dtype} of shape {given.shape} in place of numbers of rows",
                allowed="whole numbers; store.where([True, False, ...]) takes booleans",
            )
        outside = given[(given < 0) | (given >= len(self))]
        if len(outside):
            raise MismatchError(f"there is no row {outside[0]}", allowed=f"0..{len(self) - 1}")
        numbers = given.astype(np.int64)
        return numbers if self._keep is None else self._keep[numbers]


def _numpy(states: Tensor) -> NDArray[Any]:
    return (states.float() if states.dtype is torch.bfloat16 else states).numpy()


def paired(
    first: ActivationStore, second: ActivationStore
) -> tuple[ActivationStore, ActivationStore]:
    """Views of the rows that both stores kept, in the order of the first.

    Rows are paired by sample and, where a sample has several, by their order within it.

    Raises:
        MismatchError: the stores share no sample.
    """
    mine, theirs = _keys(first), _keys(second)
    places = {key: index for index, key in enumerate(theirs)}
    both = [(index, places[key]) for index, key in enumerate(mine) if key in places]
    if not both:
        raise MismatchError(
            f"{first.path} and {second.path} share no sample",
            remedy="harvest both models on the same samples",
        )
    return first.at_rows([i for i, _ in both]), second.at_rows([j for _, j in both])


def _keys(store: ActivationStore) -> list[tuple[str, int]]:
    seen: dict[str, int] = {}
    keys: list[tuple[str, int]] = []
    for sample_id in store.sample_ids:
        seen[sample_id] = seen.get(sample_id, -1) + 1
        keys.append((sample_id, seen[sample_id]))
    return keys
