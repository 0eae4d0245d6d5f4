"""``ActivationStore``: states on disk with the samples that they came from."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from torch import Tensor

from shiftlens.activations.manifest import Manifest, read_manifest
from shiftlens.activations.site import Site, site_from
from shiftlens.core.errors import MismatchError, SiteError, StoreError
from shiftlens.core.manifest import sha256_file


@dataclass(frozen=True)
class Row:
    """One kept state.

    Attributes:
        sample_id: of the sample.
        image: its first picture, or an empty string.
        prompt: what was asked.
        response: what was said.
        word: the word that the state is about, or an empty string.
        position: along the response; 0 is the last prompt position.
        labels: of the sample.
    """

    sample_id: str
    image: str
    prompt: str
    response: str
    word: str
    position: int
    labels: dict[str, Any]


class ActivationStore:
    """States of selected positions, one directory and one manifest for each model.

    Open one with ``ActivationStore.open``; ``where`` gives views that share the files.
    """

    def __init__(self, manifest: Manifest, keep: Tensor | None = None) -> None:
        self._manifest = manifest
        self._keep = keep

    @classmethod
    def open(cls, path: str | Path) -> "ActivationStore":
        """Open a finished store.

        Raises:
            StoreError: missing, unfinished, damaged, or of another schema.
        """
        manifest = read_manifest(path)
        if not manifest.complete:
            raise StoreError(
                f"{path} is unfinished: {len(manifest.parts)} of {manifest.n_parts} parts",
                remedy="run the same harvest again: it goes on from there",
            )
        return cls(manifest)

    def __len__(self) -> int:
        if self._keep is not None:
            return len(self._keep)
        return sum(int(part["n"]) for part in self._manifest.ordered())

    def __repr__(self) -> str:
        return f"ActivationStore({len(self)} rows, {self.path}, layers {list(self.layers)})"

    @property
    def complete(self) -> bool:
        """Whether every part is there; one share of a run may end before the others do."""
        return self._manifest.complete

    @property
    def path(self) -> Path:
        """The store's directory."""
        return self._manifest.root

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
        """One row a kept state, in the order of ``states``."""
        kept = [_row(entry) for entry in self._entries if entry["state"] is not None]
        return kept if self._keep is None else [kept[i] for i in self._keep.tolist()]

    @property
    def sample_ids(self) -> list[str]:
        """Sample of every row."""
        return [row.sample_id for row in self.rows]

    @cached_property
    def responses(self) -> dict[str, str]:
        """What was said to every sample that could be read, kept or not, by sample id."""
        return {entry["sample_id"]: entry["response"] for entry in self._entries}

    @cached_property
    def token_ids(self) -> dict[str, tuple[int, ...]]:
        """The tokens of every response, by sample id."""
        return {entry["sample_id"]: tuple(entry["token_ids"]) for entry in self._entries}

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
                f"layer {layer} is not in {self.path}", allowed=f"layers {list(self.layers)}"
            )
        return self.site.at(layer)

    def states(self, layer: int | None = None) -> Float[Tensor, "n d"]:
        """The states of one layer: (n, d), in the type they were harvested in.

        Shards are memory-mapped; a store of one shard is not copied.

        Raises:
            SiteError: see ``site_at``.
            StoreError: a shard is missing or damaged.
        """
        name = f"layer.{self.site_at(layer).layers[0]}"
        shards = [
            _tensor(self.path / part["shard"], name)
            for part in self._manifest.ordered()
            if part["n"]
        ]
        if not shards:
            raise StoreError(f"{self.path} holds no rows")
        whole = shards[0] if len(shards) == 1 else torch.cat(shards)
        return whole if self._keep is None else whole[self._keep]

    def shards(self, layer: int | None = None) -> Iterator[tuple[list[int], Tensor]]:
        """The same states shard by shard, for what must not hold them all at once.

        Yields:
            numbers of rows, as in ``rows``, and their states (m, d); every row once, in the files'
            order.

        Raises:
            SiteError: see ``site_at``.
            StoreError: a shard is missing or damaged.
        """
        name = f"layer.{self.site_at(layer).layers[0]}"
        order = None if self._keep is None else torch.argsort(self._keep, stable=True)
        start = 0
        for part in self._manifest.ordered():
            if not part["n"]:
                continue
            stop = start + int(part["n"])
            if order is None or self._keep is None:
                yield list(range(start, stop)), _tensor(self.path / part["shard"], name)
            else:
                places = self._keep[order]
                inside = order[(places >= start) & (places < stop)]
                if len(inside):
                    rows = _tensor(self.path / part["shard"], name)
                    yield inside.tolist(), rows[self._keep[inside] - start]
            start = stop

    def where(self, keep: Callable[[Row], bool] | Sequence[bool]) -> "ActivationStore":
        """A view of the rows for which ``keep`` is true.

        Args:
            keep: a predicate on rows, or one boolean for each row.

        Raises:
            MismatchError: the number of booleans is not the number of rows.
        """
        flags = [keep(row) for row in self.rows] if callable(keep) else list(keep)
        if len(flags) != len(self):
            raise MismatchError(f"{len(flags)} booleans for {len(self)} rows")
        return self.at_rows([index for index, flag in enumerate(flags) if flag])

    def at_rows(self, indices: Sequence[int]) -> "ActivationStore":
        """A view of some rows, in the order given."""
        chosen = torch.tensor(list(indices), dtype=torch.long)
        return ActivationStore(self._manifest, chosen if self._keep is None else self._keep[chosen])

    def verify(self) -> None:
        """Check every file against its checksum.

        Raises:
            StoreError: names the first file that is missing or has changed.
        """
        for part in self._manifest.ordered():
            for kind in ("shard", "rows"):
                file = self.path / part[kind]
                if not file.exists() or sha256_file(file) != part["sha256"][kind]:
                    raise StoreError(f"{file} is missing or damaged", remedy="harvest again")

    @cached_property
    def _entries(self) -> list[dict[str, Any]]:
        """Every sample and occurrence in order, also those without a state."""
        import pyarrow.parquet as pq

        entries: list[dict[str, Any]] = []
        for part in self._manifest.ordered():
            file = self.path / part["rows"]
            try:
                entries += pq.read_table(file).to_pylist()
            except (OSError, ValueError) as error:
                raise StoreError(f"{file} is missing or damaged ({error})") from error
        return entries


def _row(entry: dict[str, Any]) -> Row:
    names = ("sample_id", "image", "prompt", "response", "word", "position")
    return Row(**{name: entry[name] for name in names}, labels=json.loads(entry["labels"]))


def _tensor(path: Path, name: str) -> Tensor:
    try:
        with safe_open(path, framework="pt") as shard:
            return shard.get_tensor(name)
    except (OSError, SafetensorError) as error:
        raise StoreError(f"{path} is missing or damaged ({error})") from error


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
