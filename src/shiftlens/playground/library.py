"""``Library``: what a run offers to the pages, by the names that the pages use."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

import shiftlens as sl
from shiftlens.playground.finding import Found, find, stamp
from shiftlens.steering.affine import AffineEdit

Steering = sl.SteeringVector | AffineEdit

_HIDDEN = "hidden:"  # what results call pictures under --no-images
_MOST_EXAMPLES = 48
_MOST_RANKED = 12  # of the directions of one discovery
_BESIDE = "concepts"  # where a discovery keeps what its directions lie between


@dataclass(frozen=True)
class Direction:
    """Something to steer with: one vector or affine edit, or the same one at several layers.

    Attributes:
        key: names it in requests.
        title: for people.
        about: what it is and where it lies, one line.
        vectors: by layer.
        source: path of the file relative to the run, without ending.
        concept: which concept of a shift it is; ``None`` for a vector of its own.
        rank: its place among the directions of a discovery; ``None`` for others.
        kept: its place in a steering that was kept; ``None`` for others.
        examples: paths of pictures that show what it is about.
    """

    key: str
    title: str
    about: str
    vectors: Mapping[int, Steering]
    sources: Mapping[int, str]
    concept: int | None = None
    rank: int | None = None
    kept: int | None = None
    examples: tuple[str, ...] = ()

    @property
    def layers(self) -> tuple[int, ...]:
        """Layers at which it may be applied: those that it was found at."""
        return tuple(sorted(self.vectors))

    def nearest(self, layer: float | None) -> int:
        """The layer of its own that is nearest to one; its last where none is named."""
        wanted = self.layers[-1] if layer is None else layer
        return min(self.layers, key=lambda own: abs(own - wanted))


@dataclass(frozen=True)
class Example:
    """A picture of the run, with what was asked about it.

    Attributes:
        path: of the picture.
        prompt: what the run asked.
        name: of the sample.
    """

    path: str
    prompt: str
    name: str


class Library:
    """A run's results, read once and never changed.

    Args:
        root: the run's directory.
        found: what lies there.
        stamp: of the directory when it was read.
    """

    def __init__(self, root: Path, found: Found, stamp: int) -> None:
        self.root = root
        self.found = found
        self._stamp = stamp

    @classmethod
    def open(cls, root: str | Path) -> "Library":
        """Read a run's directory.

        Raises:
            ShiftLensError: it is missing, or no directory.
        """
        place = Path(root).absolute()
        before = stamp(place)  # what is written while it is read shows as a change
        return cls(place, find(place), before)

    @property
    def changed(self) -> bool:
        """Whether the directory holds something else than when it was read."""
        return stamp(self.root) != self._stamp

    @property
    def empty(self) -> bool:
        """Whether there is nothing to show."""
        found = self.found
        return not (
            found.concepts or found.shifts or found.vectors or found.edits or found.steerings
        )

    @cached_property
    def models(self) -> list[str]:
        """Models that the run's states come from, without adapters; most used first."""
        names = [
            str(store.about.get("model"))
            for store in self.found.stores.values()
            if store.about.get("model") and not store.about.get("adapter")
        ] + self.found.models
        return sorted(dict.fromkeys(names), key=lambda name: (-names.count(name), name))

    @cached_property
    def directions(self) -> dict[str, Direction]:
        """Everything to steer with, by key: vectors first, then the shifts of concepts."""
        every = [*self._vectors(), *self._kept(), *self._discovered(), *self._shifts()]
        many = Counter(one.title for one in every)
        # Two of one name are told apart by where they lie.
        each = [one if many[one.title] == 1 else _placed(one) for one in every]
        return {one.key: one for one in each}

    @cached_property
    def examples(self) -> list[Example]:
        """Pictures of the run, some of every collection; hidden and missing ones are left out."""
        lists = [list(one.values()) for one in self._examples.values()]
        longest = max(map(len, lists), default=0)
        mixed = [one[at] for at in range(longest) for one in lists if at < len(one)]
        unique = {one.path: one for one in reversed(mixed)}
        kept = [unique[path] for path in dict.fromkeys(one.path for one in mixed)]
        return kept[:_MOST_EXAMPLES]

    @property
    def grounded(self) -> dict[str, "sl.Concepts"]:
        """Concepts that have words, by title: of files, and of the two sides of shifts."""
        bases = {f"{name} (base)": one.base for name, one in self.found.shifts.items()}
        tuned = {f"{name} (tuned)": one.tuned for name, one in self.found.shifts.items()}
        every = {**self.found.concepts, **bases, **tuned}
        return {name: one for name, one in every.items() if one.contrastive or one.words}

    def pictures(self, provenance: Mapping[str, Any], ids: Sequence[str]) -> tuple[str, ...]:
        """Paths of the pictures of samples, as far as a store of the run knows them."""
        known = self._examples.get(str(provenance.get("data")), {})
        return tuple(known[name].path for name in ids if name in known)

    @cached_property
    def _examples(self) -> dict[str, dict[str, Example]]:
        """Pictures by the fingerprint of their collection, then by sample id."""
        found: dict[str, dict[str, Example]] = {}
        for name, store in self.found.stores.items():
            shelf = found.setdefault(str(store.provenance.get("data")), {})
            for row in self.found.rows[name]:
                if _shown(row.image) and row.sample_id not in shelf:
                    shelf[row.sample_id] = Example(row.image, row.prompt, row.sample_id)
        return found

    def _vectors(self) -> list[Direction]:
        """Vectors; those of one folder and name at several layers are one direction."""
        families: dict[tuple[str, str, str], dict[int, str]] = {}
        for source, vector in {**self.found.vectors, **self.found.edits}.items():
            family = (str(Path(source).parent), vector.name, vector.kind)
            shelf = families.setdefault(family, {})
            if vector.layer in shelf:  # two of one layer are two directions
                shelf = families.setdefault((source, vector.name, vector.kind), {})
            shelf[vector.layer] = source
        return [self._vector(name, kind, shelf) for (_, name, kind), shelf in families.items()]

    def _vector(self, name: str, kind: str, sources: Mapping[int, str]) -> Direction:
        known: dict[str, Steering] = {**self.found.vectors, **self.found.edits}
        vectors = {layer: known[source] for layer, source in sources.items()}
        first = sources[min(sources)]
        data = next(iter(vectors.values())).provenance
        shown = list(self._examples.get(str(data.get("data")), {}).values())[:3]
        return Direction(
            key=f"vector:{first}",
            title=name or first,
            about=f"{kind}, {first}",
            vectors=vectors,
            sources=dict(sources),
            examples=tuple(one.path for one in shown),
        )

    def _kept(self) -> list[Direction]:
        """Directions of kept steerings, except those that lie beside them by themselves."""
        beside: dict[str, Steering] = {**self.found.vectors, **self.found.edits}
        own = [(str(Path(at).parent), one) for at, one in beside.items()]
        found: list[Direction] = []
        for source, steering in self.found.steerings.items():
            place = str(Path(source).parent)
            for at, intervention in enumerate(steering.interventions):
                vector = intervention.vector
                if any(there == place and _same(one, vector) for there, one in own):
                    continue
                own.append((place, vector))
                found.append(
                    Direction(
                        key=f"kept:{at}:{source}",
                        title=vector.name or source,
                        about=f"{vector.kind}, kept in {source}",
                        vectors={vector.layer: vector},
                        sources={vector.layer: source},
                        kept=at,
                    )
                )
        return found

    def _discovered(self) -> list[Direction]:
        """Directions between concepts that a discovery ranked, the best of each."""
        found: list[Direction] = []
        for source, ranked in self.found.discoveries.items():
            place = (Path(source).parent / _BESIDE).as_posix()
            concepts = self.found.concepts.get(place)
            if concepts is None:
                continue
            for rank, one in enumerate(ranked.directions[:_MOST_RANKED]):
                if max(one.source, one.target) >= concepts.k:
                    break  # other concepts have been put beside it
                vector = ranked.vector(rank, concepts)
                last = concepts.images[one.target] if concepts.images else ()
                found.append(
                    Direction(
                        key=f"between:{rank}:{source}",
                        title=one.name,
                        about=f"between concepts, {source}, place {rank + 1}",
                        vectors={vector.layer: vector},
                        sources={vector.layer: source},
                        rank=rank,
                        examples=self.pictures(concepts.provenance, last)[:3],
                    )
                )
        return found

    def _shifts(self) -> list[Direction]:
        found: list[Direction] = []
        for source, shift in self.found.shifts.items():
            if shift.base.site.normed:
                continue  # states behind the final norm can be read, and not steered with
            for change in shift.changes():
                words = ", ".join(change.contrastive_base[:3] or change.words_base[:3])
                came = ", ".join(change.came[:3])
                pictures = self.pictures(shift.base.provenance, change.images_base)
                layer = change.vector.layer
                found.append(
                    Direction(
                        key=f"shift:{change.index}:{source}",
                        title=f"What fine-tuning did to “{words or change.index}”",
                        about=f"concept shift, {source}, concept {change.index}"
                        + (f"; came: {came}" if came else ""),
                        vectors={layer: change.vector},
                        sources={layer: source},
                        concept=change.index,
                        examples=pictures[:3],
                    )
                )
        return found


def _placed(one: Direction) -> Direction:
    place = Path(one.sources[one.layers[0]])
    folder = place.parent.as_posix()
    return replace(one, title=f"{one.title} ({place if folder == '.' else folder})")


def _same(one: Steering, other: Steering) -> bool:
    """Whether two directions are one, saved twice."""
    mine, theirs = one.tensors(), other.tensors()
    return (
        (one.name, one.layer, set(mine)) == (other.name, other.layer, set(theirs))
        and all(torch.equal(mine[name], theirs[name]) for name in mine)
    )  # fmt: skip


def _shown(path: str) -> bool:
    return bool(path) and not path.startswith(_HIDDEN) and Path(path).is_file()
