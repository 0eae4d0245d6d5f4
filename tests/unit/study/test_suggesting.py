"""Which words and layers are worth looking at: on the world's model, whose words are known."""

import json
from pathlib import Path

import pytest
import torch

from shiftlens.concepts.learners.kmeans import KMeans
from shiftlens.core.errors import DataError, LearnError, SiteError
from shiftlens.data.reading import read
from shiftlens.data.sample import Sample, Samples
from shiftlens.models.model import Model
from shiftlens.shift.choosing import k_by_refits
from shiftlens.study.suggesting import NEEDED, Suggestion, suggest
from shiftlens.world.source import materialise


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    folder = tmp_path_factory.mktemp("people")
    return read(materialise("people", folder, n=20, seed=1).parent)


@pytest.fixture
def found(base: Model, people: Samples) -> Suggestion:
    return suggest(base, people, n=16, k=2, layers=(0, -1), max_new_tokens=12)


def test_words_that_are_said_often_come_first_with_their_intervals(
    base: Model, people: Samples, found: Suggestion
) -> None:
    said = [one.text for one in base.respond(list(people.take(16, seed=0)), max_new_tokens=12)]
    first = found.words[0].said
    assert found.word == first.word
    assert first.samples == sum(first.word in text.split() for text in said)
    assert [one.said.samples for one in found.words] == sorted(
        (one.said.samples for one in found.words), reverse=True
    )
    assert not {"a", "the", "is"} & {one.said.word for one in found.words}
    for one in found.words:
        assert one.said.share.low < one.said.samples / 16 < one.said.share.high


def test_the_last_block_reads_out_what_is_said_and_the_first_less(found: Suggestion) -> None:
    """Greedy decoding says what the last block reads out; nothing makes the first one do so."""
    first, last = found.layers
    assert (first.layer, last.layer, last.read.estimate, last.median_rank) == (0, 5, 1.0, 1.0)
    assert first.read.estimate < last.read.estimate
    assert last.chance == 0
    assert found.legible_from == (0 if first.read.low > 0.5 else 5)
    assert found.layer in (None, 5, found.legible_from)


def test_whether_the_data_say_a_word_often_enough(base: Model, people: Samples) -> None:
    few = suggest(base, people, n=8, layers=(5,), max_new_tokens=8)
    assert (few.available, {one.verdict for one in few.words}) == (20, {"no"})
    many = suggest(base, people, n=8, layers=(5,), max_new_tokens=8, available=10_000)
    assert many.words[0].verdict == "yes"
    assert many.words[0].ask * many.words[0].least >= NEEDED
    assert (many.words[0].ask - 1) * many.words[0].least < NEEDED


def test_one_sample_is_sure_of_nothing(base: Model, people: Samples) -> None:
    """One of one says it: the exact interval begins at .025, however large the share looks."""
    one = suggest(base, people, n=1, layers=(5,), max_new_tokens=8, available=600)
    assert {worth.verdict for worth in one.words} == {"perhaps"}
    assert one.words[0].least == pytest.approx(0.025)


def test_words_of_interest_may_be_named(base: Model, people: Samples) -> None:
    found = suggest(base, people, n=8, layers=(5,), max_new_tokens=8, words=("the", "zebra"))
    assert [worth.said.word for worth in found.words] == ["the"], "grammar too, but not unsaid"
    assert 0 < found.words[0].said.samples <= 8


def test_what_is_needed_is_what_choosing_concepts_asks_of_a_third() -> None:
    states = torch.randn(NEEDED // 3, 4, generator=torch.Generator().manual_seed(0))
    assert k_by_refits(states, KMeans(k=2, n_starts=1)).k == 2
    with pytest.raises(LearnError, match="too few"):
        k_by_refits(states[1:], KMeans(k=2))


def test_the_same_seed_suggests_the_same(base: Model, people: Samples, tmp_path: Path) -> None:
    options = {"n": 8, "layers": (2,), "max_new_tokens": 8, "k": 2}
    first = suggest(base, people, **options)  # pyright: ignore[reportArgumentType]
    again = suggest(base, people, **options, out=tmp_path)  # pyright: ignore[reportArgumentType]
    assert first == again
    assert json.loads(json.dumps(first.to_dict())) == first.to_dict()
    assert (tmp_path / "manifest.json").is_file()


def test_a_model_that_says_nothing_of_content(
    tiny: Model, pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = Samples([Sample("s", "what", (str(pictures[0]),)), Sample("t", "what", ("gone",))])
    monkeypatch.setattr(Model, "respond", lambda self, asked, **_: [_the(tiny)] * len(asked))
    found = suggest(tiny, samples)
    assert (found.words, found.word, found.layers, found.layer) == ((), None, (), None)
    assert found.grammar == ("the",)
    assert (found.asked, [one["id"] for one in found.quarantine]) == (1, ["t"])


def _the(model: Model) -> object:
    from shiftlens.activations.capture import as_response

    return as_response(model, "the the")


def test_what_is_not_possible_is_refused(tiny: Model, questions: list[Sample]) -> None:
    samples = Samples(questions)
    with pytest.raises(DataError, match="0 samples, 10 words, 4 concepts"):
        suggest(tiny, samples, n=0)
    with pytest.raises(SiteError, match="layer 9"):
        suggest(tiny, samples, layers=(9,))
    with pytest.raises(DataError, match="none of 1 samples can be read"):
        suggest(tiny, Samples([Sample("s", "what", ("gone.png",))]))
