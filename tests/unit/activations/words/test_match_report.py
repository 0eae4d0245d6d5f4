"""What a word selection found, what it passed over, and why."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.builders import build_store

from shiftlens.activations import tokens
from shiftlens.activations.capture import as_response
from shiftlens.activations.harvesting import harvest
from shiftlens.activations.site import Site
from shiftlens.activations.store import ActivationStore
from shiftlens.activations.words import match_report
from shiftlens.activations.words.match_report import MatchReport, Skipped
from shiftlens.activations.words.near_words import near_words
from shiftlens.core.errors import SiteError, StoreError
from shiftlens.data.sample import Sample, Samples
from shiftlens.models.model import Model

# What each sample is asked, what its reference says, what the model said, whether it was cut.
_ASKED = {
    "both": ("what", "a man", "a man and a dog, the dog runs", False),
    "small": ("what", "a dog", "A DOG", False),
    "plural": ("what", "dogs", "two dogs and dogs", False),
    "compound": ("what", "a dog", "a hotdog, a bulldog, dogs", False),
    "asked": ("is the dog here ?", "a dog", "a cat", False),
    "other": ("what", "a dog", "a cat", False),
    "last": ("what", "a dog", "a dog", True),
    "before": ("what", "a dog", "a cat and", True),
    "alone": ("what", "a cat", "a dog", False),
}


def _store(model: Model, out: Path, pictures: list[Path], choice: tokens.Word) -> ActivationStore:
    samples = Samples(
        [
            *(
                Sample(name, asked, (str(pictures[0]),), response=reference)
                for name, (asked, reference, _, _) in _ASKED.items()
            ),
            Sample("gone", "what", (str(out / "nowhere.png"),)),
        ]
    )
    said = {
        name: replace(as_response(model, text), truncated=cut)
        for name, (_, _, text, cut) in _ASKED.items()
    } | {"gone": as_response(model, "")}
    return harvest(model, samples, Site(0, choice), out, said=said)


def _by_reason(report: MatchReport) -> dict[str, Skipped]:
    return {one.reason: one for one in report.skipped}


def test_every_sample_has_matched_or_has_one_reason_why_not(
    byte_model: Model, tmp_path: Path, pictures: list[Path]
) -> None:
    store = _store(byte_model, tmp_path, pictures, tokens.word("dog"))
    report = MatchReport.of(store)
    assert (report.samples, report.matched, report.missed, report.failed) == (10, 3, 5, 2)
    assert {reason: one.samples for reason, one in _by_reason(report).items()} == {
        match_report.INSIDE: 2,
        match_report.PROMPT: 1,
        match_report.NOT_SAID: 1,
        match_report.CUT_WITHIN: 1,
        match_report.CUT_BEFORE: 1,
        match_report.UNREADABLE: 1,
    }
    inside = _by_reason(report)[match_report.INSIDE]
    assert inside.words == {"dogs": 3, "hotdog": 1, "bulldog": 1}
    assert inside.examples[0] == ("plural", "two dogs and dogs")
    assert "nowhere.png" in _by_reason(report)[match_report.UNREADABLE].examples[0][1]
    (form,) = report.forms
    assert (form.form, form.occurrences, form.samples, form.kept) == ("dog", 5, 4, 3)


def test_the_reference_is_a_reason_of_its_own(
    byte_model: Model, tmp_path: Path, pictures: list[Path]
) -> None:
    choice = tokens.word("dog", require_reference=True, every=True)
    report = MatchReport.of(_store(byte_model, tmp_path, pictures, choice))
    left_out = _by_reason(report)[match_report.REFERENCE]
    assert [name for name, _ in left_out.examples] == ["both", "alone"]
    assert report.forms[0].kept == 1


def test_near_misses_say_which_forms_to_add() -> None:
    texts = ["two dogs, a puppy", "Dogs and puppies", "a hotdog", "a man, many men", "the dogma"]
    found = near_words(texts, {"dog": ("puppy",)})
    assert [(one.said, one.form, one.how, one.occurrences, one.samples) for one in found] == [
        ("dogs", "dog", "begins with it", 2, 2),
        ("dogma", "dog", "begins with it", 1, 1),
        ("hotdog", "dog", "ends with it", 1, 1),
        ("puppies", "puppy", "shares its stem", 1, 1),
    ]
    assert [one.said for one in near_words(texts, ["man"])] == ["many"], "men is not told from men"
    assert near_words(texts, ["dogs", "puppy", "dogma", "puppies", "hotdog"]) == []


def test_twin_words_that_only_begin_alike_are_not_near() -> None:
    assert near_words(["a beast, a bear, a dig", "街上有一只狗"], ["beach", "dog", "街道"]) == []


def test_a_report_is_json_and_lines(
    byte_model: Model, tmp_path: Path, pictures: list[Path]
) -> None:
    report = MatchReport.of(_store(byte_model, tmp_path, pictures, tokens.word("dog", "cat")))
    document = json.loads(json.dumps(report.to_dict()))
    assert document["words"] == {"dog": [], "cat": []}
    assert [one["kept"] for one in document["forms"]] == [3, 3]
    assert document["near"][0]["said"] == "dogs"
    lines = report.summary().splitlines()
    assert lines[0] == "dog, cat: 6 of 10 samples matched, 2 missed, 2 failed"
    assert "dog      5        4     3" in lines
    assert "also said: dogs 3, bulldog 1, hotdog 1" in lines
    assert lines[-1] == "if these are meant too: {'dog': ('dogs',), 'cat': ()}"
    assert max(map(len, lines)) <= 80


def test_a_store_of_other_positions_and_a_damaged_one_are_refused(
    byte_model: Model, tmp_path: Path, pictures: list[Path]
) -> None:
    samples = Samples([Sample("s", "what", (str(pictures[0]),))])
    site = Site(0, tokens.last_prompt())
    other = harvest(byte_model, samples, site, tmp_path / "other", max_new_tokens=2)
    with pytest.raises(SiteError, match="not harvested at a word, but at: last prompt"):
        MatchReport.of(other)
    store = build_store(tmp_path / "store", torch.zeros(3, 4))
    assert MatchReport.of(store).matched == 3
    (store.path / "rows-0.parquet").write_bytes(b"none")
    with pytest.raises(StoreError, match="missing or damaged"):
        MatchReport.of(store)
