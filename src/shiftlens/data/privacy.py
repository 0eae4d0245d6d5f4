"""Samples whose names stay at home: ``--no-images``.

A name can tell a person as well as a picture does. Hidden samples are shown to a model as they are,
and everything that is written calls them and their pictures by names that are made here. These come
from a number and from a digest of the whole collection: whoever has not got all of it can neither
read them nor check a guess, and whoever has gets the same ones again, for every model.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

from shiftlens.core.manifest import digest
from shiftlens.data.sample import Sample, Samples

HIDDEN = "hidden:"
"""What the made-up name of a picture begins with; no picture is looked for under it."""


@dataclass(frozen=True)
class HiddenSample(Sample):
    """A sample whose pictures are not named in results.

    Attributes:
        aliases: what results call each of its pictures.
    """

    aliases: tuple[str, ...] = ()


def hide(samples: Samples, *, salt: str | None = None) -> Samples:
    """The same samples, with ids and names of pictures that tell nothing.

    Samples of one picture keep it in common. Prompts, responses and labels stay as they are.

    Args:
        samples: the whole collection, in its order.
        salt: what the names are made from beside numbers; its fingerprint unless given, for which
            every picture is read once.
    """
    mark = samples.fingerprint if salt is None else salt
    numbers: dict[str, int] = {}
    hidden: list[Sample] = []
    for number, sample in enumerate(samples):
        for ref in sample.images:
            numbers.setdefault(ref, len(numbers))
        own = {one.name: getattr(sample, one.name) for one in fields(Sample)}
        own["id"] = f"sample-{_name(mark, 'sample', number)}"
        aliases = tuple(f"{HIDDEN}{_name(mark, 'picture', numbers[ref])}" for ref in sample.images)
        hidden.append(HiddenSample(**own, aliases=aliases))
    return Samples(hidden)


def is_hidden(ref: str) -> bool:
    """Whether the name of a picture is one of those that are made here."""
    return ref.startswith(HIDDEN)


def names_of(sample: Sample) -> Sequence[str]:
    """What results call a sample's pictures: their paths, unless they are hidden."""
    return sample.aliases if isinstance(sample, HiddenSample) else sample.images


def name_of(sample: Sample) -> str:
    """What results call a sample's first picture; empty where it has none."""
    return next(iter(names_of(sample)), "")


def path_of(sample: Sample) -> str | None:
    """Where a report finds a sample's first picture; ``None`` where it may not, or has none."""
    return name_of(sample) or None if not isinstance(sample, HiddenSample) else None


def told(sample: Sample, reason: str) -> str:
    """A reason why a sample could not be used, with the names of hidden pictures taken out."""
    if isinstance(sample, HiddenSample):
        for ref, alias in zip(sample.images, sample.aliases, strict=True):
            reason = reason.replace(ref, alias)
    return reason


def _name(mark: str, kind: str, number: int) -> str:
    return digest([mark, kind, number])[:16]
