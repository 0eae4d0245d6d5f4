"""The intruder test, and the rows that it shows."""

import numpy as np
import pytest
import torch
from tests.unit.concepts.quality.planted import COLOURS, ColourJudge, blobs, centroids, picture

from shiftlens.activations.site import Site
from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.quality.clip_score import BARE, picture_scores
from shiftlens.concepts.quality.intruders import Trials, picture_intruders, word_intruders
from shiftlens.concepts.quality.judging import looked_at
from shiftlens.concepts.quality.top_rows import top_rows
from shiftlens.concepts.rows import MemoryRows
from shiftlens.core.errors import LearnError

_NAMES = list(COLOURS)


def _seen(n: int = 60) -> torch.Tensor:
    """Pictures whose colour is their number modulo 3."""
    random = np.random.default_rng(0)
    shades = random.integers(0, 100, n)
    pictures = [picture(_NAMES[row % 3], int(shades[row])) for row in range(n)]
    return looked_at(ColourJudge(), pictures)


def _tops(k: int = 3, size: int = 8) -> list[list[int]]:
    return [[concept + 3 * place for place in range(size)] for concept in range(k)]


def _random_tops(k: int = 12, n: int = 60) -> list[list[int]]:
    random = np.random.default_rng(1)
    return [random.choice(n, 5, replace=False).tolist() for _ in range(k)]


def test_the_odd_picture_is_found_where_concepts_can_be_seen() -> None:
    found = picture_intruders(_seen(), _tops(), baselines={"random pictures": [_random_tops()]})
    assert found.value.estimate == 1
    # Three concepts that all succeed are three successes, not certainty.
    assert 0.3 < found.value.low < 0.5
    chance = found.beside("chance")
    assert chance.value.estimate == pytest.approx(1 / 6)
    assert found.beside("random pictures").value.estimate < 0.5


def test_twin_random_pictures_are_found_no_more_often_than_chance() -> None:
    found = picture_intruders(_seen(), _random_tops(k=40), trials=Trials(n_trials=30))
    difference = found.beside("chance").difference
    assert difference is not None
    assert difference.low < 0.02
    assert abs(difference.estimate) < 0.12


def test_the_odd_picture_is_found_by_words() -> None:
    seen, judge = _seen(), ColourJudge()
    words = (("apple", "rose"), ("grass", "leaf"), ("sea", "sky"))
    scores = picture_scores(judge, seen, words, BARE)
    assert picture_intruders(seen, _tops(), scores=scores).value.estimate == 1
    # Twin: by the words of another concept the members look odd.
    turned = picture_scores(judge, seen, (words[1], words[2], words[0]), BARE)
    assert picture_intruders(seen, _tops(), scores=turned).value.estimate < 0.6
    mute = picture_scores(judge, seen, (words[0], words[1], ()), BARE)
    assert picture_intruders(seen, _tops(), scores=mute).counts["left out"] == 1


def test_pictures_that_are_all_alike_leave_the_judge_to_chance() -> None:
    seen = torch.nn.functional.normalize(torch.ones(60, 3), dim=1)
    found = picture_intruders(seen, _tops())
    assert found.value.estimate == pytest.approx(1 / 6)


def test_an_intruder_is_never_a_picture_that_is_shown() -> None:
    """Every concept has the same pictures: there is nobody to intrude."""
    tops = [[0, 1, 2, 3, 4]] * 3
    with pytest.raises(LearnError, match="no concept has 5 members"):
        picture_intruders(_seen(), tops)
    names = [f"p{row % 5}" for row in range(60)]
    with pytest.raises(LearnError, match="no concept has 5 members"):
        picture_intruders(_seen(), [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]], pictures=names)


def test_concepts_with_few_pictures_are_left_out_but_may_intrude() -> None:
    found = picture_intruders(_seen(), [_tops()[0], [1], []], trials=Trials(n_trials=10))
    assert found.counts == {"concepts": 1, "left out": 2, "trials": 10}
    assert found.value.estimate == 1
    with pytest.raises(LearnError, match="no concept has 5 members"):
        picture_intruders(_seen(), [_tops()[0]])


def test_the_seed_decides_the_intruders() -> None:
    seen, tops = _seen(), _random_tops(k=6)
    one, same, other = (
        picture_intruders(seen, tops, trials=Trials(n_trials=4, seed=seed)) for seed in (1, 1, 2)
    )
    assert one == same
    assert one.value != other.value


def test_the_odd_word_is_found_where_words_belong_together() -> None:
    judge = ColourJudge()
    words = (("apple", "rose"), ("grass", "leaf"), ("sea", "sky"))
    how = Trials(n_shown=2)
    assert word_intruders(judge, words, trials=how).value.estimate == 1
    # Twin: words of mixed colours.
    mixed = (("apple", "grass"), ("sea", "rose"), ("leaf", "sky"))
    assert word_intruders(judge, mixed, trials=how).value.estimate < 0.7


def test_words_that_a_concept_says_do_not_intrude_and_unknown_ones_do_not_count() -> None:
    judge, how = ColourJudge(), Trials(n_shown=2)
    words = (("apple", "rose", "zebra"), ("rose", "apple", "sea"))
    found = word_intruders(judge, words, trials=how)
    assert found.counts["concepts"] == 1, "the second finds no word of the first that it lacks"
    for lists in ((("zebra",), ("okapi",)), ((), ())):
        with pytest.raises(LearnError, match="no concept has 2 members"):
            word_intruders(judge, lists, trials=how)


def test_impossible_trials_are_refused() -> None:
    with pytest.raises(LearnError, match="20 trials with 1 shown"):
        Trials(n_shown=1)
    with pytest.raises(LearnError, match="0 trials"):
        Trials(n_trials=0)
    with pytest.raises(LearnError, match="baselines have no words"):
        picture_intruders(_seen(), _tops(), scores=np.ones((60, 3)), baselines={"x": [_tops()]})


def test_top_rows_are_the_nearest_of_the_concept_and_no_picture_twice() -> None:
    states = torch.tensor([[0.0], [0.1], [0.2], [0.3], [9.0], [9.5], [4.0]])
    concepts = Concepts(torch.tensor([[0.0], [9.0]]), "centroid", Site(0), (5, 2))
    rows = MemoryRows(states)
    assert top_rows(concepts, rows, n=3) == [[0, 1, 2], [4, 5]]
    names = ["a", "a", "b", "c", "d", "d", "e"]
    assert top_rows(concepts, rows, n=3, pictures=names) == [[0, 2, 3], [4]]
    with pytest.raises(LearnError, match="7 rows with 2 pictures"):
        top_rows(concepts, rows, pictures=["a", "b"])


def test_top_rows_of_directions_have_the_largest_positive_codes_chunk_by_chunk() -> None:
    class Chunked(MemoryRows):
        def chunks(self):
            for start in (4, 0, 2):
                yield torch.arange(start, start + 2), self.acts[start : start + 2]

    states = torch.tensor([[1.0], [3.0], [3.0], [-5.0], [2.0], [0.0]])
    concepts = Concepts(torch.ones(1, 1), "direction", Site(0), (4,))
    for rows in (MemoryRows(states), Chunked(states)):
        assert top_rows(concepts, rows, n=5) == [[1, 2, 4, 0]]


def test_a_concept_without_rows_has_no_top_rows() -> None:
    states, labels = blobs()
    lost = centroids(states, labels)
    vectors = torch.cat([lost.vectors, torch.full((1, 12), 1e3)])
    concepts = Concepts(vectors, "centroid", Site(0), (*lost.sizes, 0))
    assert top_rows(concepts, MemoryRows(states))[3] == []
