"""``MatchReport``: what a word selection found in a store, what it passed over, and why."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from shiftlens.activations.selections.response import Word
from shiftlens.activations.store import ActivationStore
from shiftlens.activations.words.matching import (
    Match,
    Words,
    find_inside,
    find_matches,
    forms_of,
)
from shiftlens.activations.words.near_words import NearWord, near_words
from shiftlens.core.errors import SiteError

NOT_SAID = "not said"
CUT_BEFORE = "cut by the token limit, not said before"
CUT_WITHIN = "said last of all, where the token limit cut"
INSIDE = "said inside another word only"
PROMPT = "in the prompt only"
REFERENCE = "said, but not in the reference"
ELSEWHERE = "said, but not where the selection looks"
UNREADABLE = "sample could not be read"

_EXAMPLES = 3
_SHOWN = 6
_AROUND = 24  # characters of a response shown on either side of the word


@dataclass(frozen=True)
class FormCount:
    """How often one form of a word was found.

    Attributes:
        form: as it was asked for.
        word: what it stands for.
        occurrences: in all responses, whole words only.
        samples: responses that say it.
        kept: states that were kept of it.
        example: a piece of a response that says it; empty where none does.
    """

    form: str
    word: str
    occurrences: int
    samples: int
    kept: int
    example: str


@dataclass(frozen=True)
class Skipped:
    """Samples that gave no state, for one reason.

    Attributes:
        reason: one sentence without a full stop.
        samples: how many.
        words: what was said instead, with counts; for words inside of others.
        examples: ids of some of the samples, each with a piece of what was said.
    """

    reason: str
    samples: int
    words: Mapping[str, int]
    examples: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class MatchReport:
    """What a word selection found, and what it did not.

    Attributes:
        words: every word with its other forms.
        samples: samples that were asked.
        matched: of them, those that gave a state.
        missed: those that do not say the word.
        failed: those that were cut off, or that could not be read.
        forms: one entry a form, in the order in which they were given.
        skipped: reasons why samples gave no state, the commonest first.
        near: inflections and compounds that were said and not looked for, the commonest first.
    """

    words: Mapping[str, tuple[str, ...]]
    samples: int
    matched: int
    missed: int
    failed: int
    forms: tuple[FormCount, ...]
    skipped: tuple[Skipped, ...]
    near: tuple[NearWord, ...]

    @classmethod
    def of(cls, store: ActivationStore) -> "MatchReport":
        """The report of a whole store; a view is reported with all the store's samples.

        Raises:
            SiteError: the store's site does not select words.
            StoreError: its rows are missing or damaged.
        """
        selection = store.site.tokens
        if not isinstance(selection, Word):
            raise SiteError(
                f"{store.path} was not harvested at a word, but at: {selection.kind}",
                allowed='a store of Site(layer, tokens.word("dog"))',
            )
        words, entries = selection.wanted, _entries(store)
        forms = forms_of(words)
        firsts = {entry["sample_id"]: entry for entry in entries}
        said = [entry["response"] for entry in firsts.values()]
        return cls(
            words=_grouped(forms),
            samples=sum(store.counts.values()),
            **store.counts,
            forms=_count_forms(forms, said, _kept(entries, selection)),
            skipped=_skipped(firsts.values(), selection, store.quarantine),
            near=tuple(near_words(said, words)),
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON."""
        return {
            "words": {word: list(forms) for word, forms in self.words.items()},
            "samples": self.samples,
            "matched": self.matched,
            "missed": self.missed,
            "failed": self.failed,
            "forms": [asdict(one) for one in self.forms],
            "skipped": [
                {
                    "reason": one.reason,
                    "samples": one.samples,
                    "words": dict(one.words),
                    "examples": [{"id": name, "said": text} for name, text in one.examples],
                }
                for one in self.skipped
            ],
            "near": [one.to_dict() for one in self.near],
        }

    def summary(self) -> str:
        """The report as lines of at most 80 columns or so, for a terminal."""
        names = ", ".join(
            f"{word} ({', '.join(forms)})" if forms else word for word, forms in self.words.items()
        )
        lines = [
            f"{names}: {self.matched} of {self.samples} samples matched, "
            f"{self.missed} missed, {self.failed} failed",
            "",
            *_columns(
                ("form", "said", "samples", "kept"),
                [(one.form, one.occurrences, one.samples, one.kept) for one in self.forms],
            ),
        ]
        if self.skipped:
            rows = [(one.reason, one.samples) for one in self.skipped]
            lines += ["", *_columns(("no state because", "samples"), rows)]
        if self.near:
            lines += ["", f"also said: {_listed((one.said, one.occurrences) for one in self.near)}"]
        wanted = self.suggested_forms()
        if wanted:
            lines.append(f"if these are meant too: {wanted}")
        return "\n".join(lines)

    def suggested_forms(self) -> dict[str, tuple[str, ...]]:
        """The words with the near misses that may be forms of them, to be looked through.

        Empty where nothing was missed.
        """
        stands = {one.form: one.word for one in self.forms}
        found = {word: list(forms) for word, forms in self.words.items()}
        added = False
        for one in self.near:
            if one.inflects:
                found[stands[one.form]].append(one.said)
                added = True
        return {word: tuple(forms) for word, forms in found.items()} if added else {}


def _entries(store: ActivationStore) -> list[dict[str, Any]]:
    """One entry a kept state, and one for each sample without any."""
    names = ["sample_id", "prompt", "response", "truncated", "status", "word", "state"]
    return list(store.entries(names))


def _grouped(forms: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Every word with its other forms."""
    words = dict.fromkeys(forms.values())
    return {
        word: tuple(form for form, of in forms.items() if of == word and form != word)
        for word in words
    }


def _count_forms(
    forms: Mapping[str, str], said: Sequence[str], kept: Mapping[str, int]
) -> tuple[FormCount, ...]:
    occurrences, samples = Counter[str](), Counter[str]()
    examples: dict[str, str] = {}
    words = list(_grouped(forms).items())
    for text in said:
        found = find_matches(text, words)
        occurrences.update(one.form for one in found)
        samples.update({one.form for one in found})
        for one in found:
            examples.setdefault(one.form, _around(text, one.start, one.end))
    return tuple(
        FormCount(
            form=form,
            word=word,
            occurrences=occurrences[form],
            samples=samples[form],
            kept=kept.get(form, 0),
            example=examples.get(form, ""),
        )
        for form, word in forms.items()
    )


def _kept(entries: Sequence[Mapping[str, Any]], selection: Word) -> Counter[str]:
    """Kept states of each form. A store names the word of a state, the response shows its form.

    The states of a sample are in the order in which the words are said.
    """
    counts = Counter[str]()
    left: dict[str, list[Match]] = {}
    for entry in entries:
        if entry["state"] is None:
            continue
        name = entry["sample_id"]
        if name not in left:
            found = find_matches(entry["response"], selection.wanted)
            left[name] = found[::-1] if selection.last else found
        mine = next((one for one in left[name] if one.word == entry["word"]), None)
        if mine is not None:
            left[name].remove(mine)
            counts[mine.form] += 1
    return counts


def _skipped(
    samples: Iterable[Mapping[str, Any]],
    selection: Word,
    quarantine: Iterable[Mapping[str, str]],
) -> tuple[Skipped, ...]:
    """Samples without a state by reason; each has one, the first that applies."""
    by_reason: dict[str, list[tuple[str, str]]] = {}
    instead: dict[str, Counter[str]] = {}
    for entry in samples:
        if entry["state"] is not None:
            continue
        reason, inside = _reason(entry, selection)
        piece = _piece(entry["response"], selection.wanted)
        by_reason.setdefault(reason, []).append((entry["sample_id"], piece))
        instead.setdefault(reason, Counter()).update(inside)
    for one in quarantine:
        by_reason.setdefault(UNREADABLE, []).append((one["id"], one["reason"]))
    found = [
        Skipped(reason, len(ids), dict(instead.get(reason, {})), tuple(ids[:_EXAMPLES]))
        for reason, ids in by_reason.items()
    ]
    return tuple(sorted(found, key=lambda one: -one.samples))


def _reason(entry: Mapping[str, Any], selection: Word) -> tuple[str, list[str]]:
    """Why a sample gave no state, and the longer words that hold the word."""
    words = selection.wanted
    if find_matches(entry["response"], words):
        if entry["status"] == "failed":
            return CUT_WITHIN, []
        return (REFERENCE if selection.require_reference else ELSEWHERE), []
    inside = [said.lower() for said, _ in find_inside(entry["response"], words)]
    if inside:
        return INSIDE, inside
    if entry["truncated"]:
        return CUT_BEFORE, []
    return (PROMPT if find_matches(entry["prompt"], words) else NOT_SAID), []


def _piece(text: str, words: Words) -> str:
    """What a response says, around the word where it does."""
    found = find_matches(text, words)
    if found:
        return _around(text, found[0].start, found[0].end)
    inside = find_inside(text, words)
    at = text.find(inside[0][0]) if inside else 0
    return _around(text, at, at + (len(inside[0][0]) if inside else _AROUND))


def _around(text: str, start: int, end: int) -> str:
    low, high = max(0, start - _AROUND), min(len(text), end + _AROUND)
    shown = " ".join(text[low:high].split())
    return f"{'… ' if low else ''}{shown}{' …' if high < len(text) else ''}"


def _listed(counts: Iterable[tuple[str, int]]) -> str:
    pairs = list(counts)
    shown = ", ".join(f"{name} {count}" for name, count in pairs[:_SHOWN])
    return f"{shown}, and {len(pairs) - _SHOWN} others" if len(pairs) > _SHOWN else shown


def _columns(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """A table as lines: the first column left, the others right."""
    cells = [[str(cell) for cell in row] for row in (head, *rows)]
    first, *widths = (max(len(row[i]) for row in cells) for i in range(len(head)))
    lines: list[str] = []
    for name, *numbers in cells:
        right = [cell.rjust(width) for cell, width in zip(numbers, widths, strict=True)]
        lines.append("  ".join([name.ljust(first), *right]))
    return lines
