"""On the world: at the word of the subject, explaining names a concept of the true subject."""

from collections import Counter
from pathlib import Path

import pytest
import torch

import shiftlens as sl
from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.grounding.explaining import explain
from shiftlens.concepts.grounding.explaining.explanation import Explanation
from shiftlens.data.reading import read
from shiftlens.data.sample import Samples
from shiftlens.models.loading import load_model
from shiftlens.models.model import Model
from shiftlens.world.source import materialise

_SUBJECTS = ("man", "woman", "person", "child", "dog", "cat", "horse", "bird")
_N, _HELD_OUT = 112, 24


@pytest.fixture(scope="module")
def model(base_path: Path) -> Model:
    return load_model(base_path)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    """Pictures of one subject each; the answer is given, and says it last."""
    folder = tmp_path_factory.mktemp("explained")
    drawn = read(materialise("captions", folder, n=2 * (_N + _HELD_OUT), seed=5))
    plain = drawn.where(lambda one: one.labels["count"] == 1 and one.labels["subject"] in _SUBJECTS)
    return plain.with_responses({one.id: f"a {one.labels['subject']}" for one in plain})


@pytest.fixture(scope="module")
def store(
    model: Model, samples: Samples, tmp_path_factory: pytest.TempPathFactory
) -> sl.ActivationStore:
    site = sl.Site(4, sl.tokens.word(*_SUBJECTS))
    out = tmp_path_factory.mktemp("explained") / "store"
    return sl.harvest(model, samples[:-_HELD_OUT], site, out, response="given")


@pytest.fixture(scope="module")
def concepts(model: Model, store: sl.ActivationStore) -> Concepts:
    return sl.ground(sl.learn(store, sl.KMeans(k=8)), store, model.readout, n_words=5)


@pytest.fixture(scope="module")
def explained(
    model: Model, samples: Samples, store: sl.ActivationStore, concepts: Concepts
) -> list[tuple[Explanation, str]]:
    """Held-out pictures, each with its true subject.

    The state before the subject has read "a" and the picture: nothing in the text gives it away.
    """
    return [
        (explain(model, one, None, concepts, response=one.response, store=store, n_maps=0),
         one.labels["subject"])
        for one in samples[-_HELD_OUT:]
    ]  # fmt: skip


def _majority(concepts: Concepts, store: sl.ActivationStore, at: list[int]) -> list[str | None]:
    """The commonest subject among each concept's rows, concepts taken in the order of ``at``."""
    mine, subjects = concepts.assign(store.states().float()).tolist(), store.label("subject")
    counts = [Counter[str]() for _ in range(concepts.k)]
    for concept, subject in zip(mine, subjects, strict=True):
        counts[concept][subject] += 1
    found = [one.most_common(1)[0][0] if one else None for one in counts]
    return [found[one] for one in at]


def _right(
    explained: list[tuple[Explanation, str]], majority: list[str | None]
) -> tuple[float, float]:
    """Share of pictures whose concept is of the true subject, and the same for any concept."""
    tops = [(found.words[-1].top, subject) for found, subject in explained]
    right = [top is not None and majority[top.concept] == subject for top, subject in tops]
    chance = [sum(one == subject for one in majority) / len(majority) for _, subject in tops]
    return sum(right) / len(right), sum(chance) / len(chance)


def test_the_concept_at_the_subject_is_of_the_true_subject(
    explained: list[tuple[Explanation, str]], concepts: Concepts, store: sl.ActivationStore
) -> None:
    right, chance = _right(explained, _majority(concepts, store, list(range(concepts.k))))
    # 24 coins of the chance's weight reach a third more than it once in a thousand times.
    assert right > chance + 0.33


def test_twin_with_concepts_in_another_order_it_is_not(
    explained: list[tuple[Explanation, str]], concepts: Concepts, store: sl.ActivationStore
) -> None:
    turned = [(one + 1) % concepts.k for one in range(concepts.k)]
    right, chance = _right(explained, _majority(concepts, store, turned))
    assert right < chance + 0.33


def test_concepts_are_active_where_they_come_from_and_nowhere_else(
    explained: list[tuple[Explanation, str]],
) -> None:
    at, elsewhere = [], []
    for found, _ in explained:
        for word in found.words:
            (at if word.where == "at the site" else elsewhere).append(word)
    assert {one.text for one in elsewhere} == {"a"}
    assert sum(bool(one.top and one.top.active) for one in at) / len(at) > 0.7
    assert not any(one.top and one.top.active for one in elsewhere)


def test_twin_uncalibrated_some_concept_is_the_nearest_everywhere(
    model: Model, samples: Samples, concepts: Concepts
) -> None:
    one = samples[-1]
    found = explain(model, one, None, concepts, response=one.response, n_maps=0)
    assert all(word.top is not None and word.top.active is None for word in found.words)
    assert bool(torch.isfinite(found.activations).all())
