"""A sample: pictures, a prompt, and whatever is known about them."""

import hashlib
import itertools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, overload

from shiftlens.core.errors import DataError
from shiftlens.core.manifest import digest


@dataclass(frozen=True)
class Sample:
    """One thing to ask a model.

    Attributes:
        id: stable and unique within its collection.
        prompt: what the user says, without any template.
        images: absolute paths or addresses, in the order in which the prompt sees them; empty for
            text only.
        response: a reference text, or the text to be teacher-forced; ``None`` when there is none.
        labels: anything known about the sample (answer, factor, split), JSON values only.
        system: what the model is told beforehand, if its chat template has a place for that.
        max_new_tokens: where this sample's response is cut off; ``None`` where all are.

    Raises:
        DataError: the limit is below 1, or a text or path is no Unicode that can be written down.
    """

    id: str
    prompt: str
    images: tuple[str, ...] = ()
    response: str | None = None
    labels: Mapping[str, Any] = field(default_factory=dict[str, Any])
    system: str | None = None
    max_new_tokens: int | None = None

    def __post_init__(self) -> None:
        if self.max_new_tokens is not None and self.max_new_tokens < 1:
            raise DataError(
                f"sample {self.id!r} may answer with {self.max_new_tokens} tokens",
                allowed="1 or more, or None for the limit of all samples",
            )
        for what, text in (("id", self.id), ("prompt", self.prompt), ("response", self.response)):
            _require_unicode(what, text)
        _require_unicode("system prompt", self.system)
        for image in self.images:
            _require_unicode("picture", image)


class Samples(Sequence[Sample]):
    """An ordered collection of samples with unique ids.

    Args:
        samples: the samples, in order.
        root: the directory that they were read from, for shorter names in reports.

    Raises:
        DataError: two samples share an id.
    """

    def __init__(self, samples: Sequence[Sample], *, root: Path | None = None) -> None:
        self._samples = tuple(samples)
        self.root = root
        seen: dict[str, int] = {}
        for number, sample in enumerate(self._samples, start=1):
            if sample.id in seen:
                raise DataError(
                    f"two samples have the id {sample.id!r}: number {seen[sample.id]} and {number}",
                    remedy="give every row an id of its own",
                )
            seen[sample.id] = number

    def __len__(self) -> int:
        return len(self._samples)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> "Samples": ...
    def __getitem__(self, index: int | slice) -> "Sample | Samples":
        if isinstance(index, slice):
            return self._like(self._samples[index])
        return self._samples[index]

    def __iter__(self) -> Iterator[Sample]:
        return iter(self._samples)

    def __repr__(self) -> str:
        return f"Samples({len(self)} from {self.root or 'memory'})"

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over ids, prompts, responses, labels and the bytes of every image.

        It changes when, and only when, what a model is shown or what is known about it changes: a
        moved folder keeps its fingerprint, a replaced picture does not. Every picture is read
        once, and none is decoded; of one on the web, the address counts.

        Raises:
            DataError: a label is no JSON value.
        """
        seen: dict[str, str] = {}  # pictures are asked about more than once
        for ref in (ref for sample in self._samples for ref in sample.images):
            if ref not in seen:
                seen[ref] = _image_digest(ref)
        rows = [
            (
                *(s.id, s.prompt, s.response, dict(s.labels)),
                [seen[ref] for ref in s.images],
                # Only where they are given: every other collection keeps its fingerprint.
                *(() if s.system is None else ("system", s.system)),
                *(() if s.max_new_tokens is None else ("max_new_tokens", s.max_new_tokens)),
            )
            for s in self._samples
        ]
        try:
            return digest(rows)
        except (TypeError, ValueError) as error:
            raise DataError(
                f"a label of {self!r} cannot be written down ({error})",
                allowed="values of JSON: texts, numbers, booleans, lists, objects, None",
            ) from error

    def where(self, predicate: Callable[[Sample], bool]) -> "Samples":
        """Keep the samples for which ``predicate`` is true."""
        return self._like([sample for sample in self._samples if predicate(sample)])

    def take(self, n: int, *, seed: int | None = None) -> "Samples":
        """Keep ``n`` samples: the first ones, or with a seed a random choice in order."""
        if n < 1:
            raise DataError(f"cannot take {n} samples", allowed="a whole number from 1 up")
        if seed is None or n >= len(self):
            return self[:n]
        kept = sorted(random.Random(seed).sample(range(len(self)), n))
        return self._like([self._samples[index] for index in kept])

    def split(self, *shares: float, seed: int = 0) -> "tuple[Samples, ...]":
        """Cut into disjoint random parts; samples of one picture stay together.

        Args:
            shares: the share of each part, each above 0, together at most 1.
            seed: of the shuffle; order within a part stays the original one.

        Raises:
            DataError: the shares are not possible.
        """
        if not shares or min(shares) <= 0 or sum(shares) > 1 + 1e-9:
            raise DataError(
                f"cannot split by {shares}", allowed="shares above 0 that sum to at most 1"
            )
        groups: dict[object, list[int]] = {}
        for index, sample in enumerate(self._samples):
            groups.setdefault(sample.images or sample.id, []).append(index)
        shuffled = list(groups.values())
        random.Random(seed).shuffle(shuffled)
        totals = itertools.accumulate(shares, initial=0.0)
        edges = [min(len(shuffled), round(len(shuffled) * total)) for total in totals]
        parts = [
            itertools.chain.from_iterable(shuffled[start:end])
            for start, end in itertools.pairwise(edges)
        ]
        return tuple(self._like([self._samples[index] for index in sorted(part)]) for part in parts)

    def with_prompt(self, prompt: str) -> "Samples":
        """The same pictures under another prompt."""
        return self._like([replace(sample, prompt=prompt) for sample in self._samples])

    def with_system(self, system: str | None) -> "Samples":
        """The same samples under one system prompt, or under none."""
        return self._like([replace(sample, system=system) for sample in self._samples])

    def with_responses(self, responses: Mapping[str, str]) -> "Samples":
        """The same samples with given responses; samples that have none are dropped."""
        return self._like(
            [replace(s, response=responses[s.id]) for s in self._samples if s.id in responses]
        )

    def _like(self, samples: Sequence[Sample]) -> "Samples":
        return Samples(samples, root=self.root)


def _image_digest(ref: str) -> str:
    """Digest of a picture's bytes; a missing file has a digest too (it is quarantined later)."""
    try:
        if not Path(ref).is_file():  # a pipe or a device would be waited for, without end
            return f"at {ref}" if "://" in ref else "unreadable"
        with Path(ref).open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except (OSError, ValueError):  # the second for a NUL in the name
        return "unreadable"


def _require_unicode(what: str, text: str | None) -> None:
    """Refuse half characters: JSON can name them, and names that are no UTF-8 turn into them."""
    if text is None or text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError as error:
        shown = text.encode("utf-8", "backslashreplace").decode()
        raise DataError(
            f"the {what} {shown!r:.80} is no text that UTF-8 can hold",
            remedy="mend the text, or rename the file",
        ) from error
