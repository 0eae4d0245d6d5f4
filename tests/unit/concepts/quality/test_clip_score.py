"""CLIPScore of pictures against the words of their concept."""

import numpy as np
import pytest
import torch
from tests.unit.concepts.quality.planted import COLOURS, ColourJudge, picture

from shiftlens.concepts.quality.clip_score import (
    BARE,
    WEIGHT,
    Wording,
    clip_score,
    picture_scores,
)
from shiftlens.concepts.quality.judging import looked_at
from shiftlens.core.errors import LearnError

_NAMES = list(COLOURS)
_WORDS = (("apple", "rose"), ("grass", "leaf"), ("sea", "sky"))
_AS_LIST = Wording("list", "{}", "{}")


def _world(n: int = 60, seed: int = 0):
    """A judge, pictures in three colours as it sees them, and the colour of each."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, n)
    pictures = [picture(_NAMES[one], int(random.integers(0, 120))) for one in labels]
    judge = ColourJudge()
    return judge, looked_at(judge, pictures), torch.from_numpy(labels)


def test_words_that_fit_score_the_weight_and_beat_what_was_not_learned() -> None:
    judge, seen, labels = _world()
    random = [(("apple", "sea"), ("grass", "rose"), ("sky", "leaf"))]
    found = clip_score(judge, seen, labels, _WORDS, wording=_AS_LIST, random_words=random)
    assert found.value.estimate == pytest.approx(WEIGHT, abs=0.1)
    for name in ("shuffled concepts", "random words"):
        difference = found.beside(name).difference
        assert difference is not None
        assert difference.low > 1


def test_twin_with_shuffled_pictures_the_difference_holds_zero() -> None:
    judge, seen, labels = _world(n=200)
    order = torch.randperm(200, generator=torch.Generator().manual_seed(1))
    found = clip_score(judge, seen[order], labels, _WORDS, wording=_AS_LIST)
    difference = found.beside("shuffled concepts").difference
    assert difference is not None
    assert difference.low < 0 < difference.high
    assert abs(difference.estimate) < 0.2


def test_shuffled_concepts_are_unbiased_when_sizes_and_words_differ() -> None:
    """Over all orders of the pictures the difference is 0, also where one concept fits all."""
    judge, seen, _ = _world(n=90)
    labels = torch.tensor([0] * 70 + [1] * 15 + [2] * 5)
    words = (("apple",), ("apple", "sea"), ("leaf",))
    random = torch.Generator().manual_seed(0)
    gains = []
    for _ in range(60):
        order = torch.randperm(90, generator=random)
        found = clip_score(judge, seen[order], labels, words, wording=BARE, draws=1)
        difference = found.beside("shuffled concepts").difference
        assert difference is not None
        gains.append(difference.estimate)
    assert abs(np.mean(gains)) < 3 * np.std(gains) / np.sqrt(60)


def test_the_score_is_the_published_formula() -> None:
    judge = ColourJudge()
    seen = looked_at(judge, [picture("red"), picture("green")])
    table = picture_scores(judge, seen, (("apple", "leaf"),), _AS_LIST)
    a, b = torch.tensor([255.0, 20, 20]), torch.tensor([127.5, 127.5, 0.0])
    assert table[0, 0] == pytest.approx(2.5 * float(a @ b / a.norm() / b.norm()), abs=1e-5)
    each = picture_scores(judge, seen, (("apple", "leaf"),), BARE)
    singly = [2.5 * float(a[at] / a.norm()) for at in (0, 1)]
    assert each[0, 0] == pytest.approx(np.mean(singly), abs=1e-5)


def test_opposites_score_nothing_rather_than_less() -> None:
    class Contrary(ColourJudge):
        def texts(self, texts):
            return -super().texts(texts)

    judge = Contrary()
    seen = looked_at(judge, [picture("red")])
    assert picture_scores(judge, seen, (("apple",),), BARE)[0, 0] == 0


def test_unknown_words_and_rows_without_a_concept_are_left_out_and_counted() -> None:
    judge, seen, labels = _world()
    words = (("apple", "zebra"), ("xylophone",), ("sea", "sky"))
    labels[:5] = -1
    found = clip_score(judge, seen, labels, words, wording=BARE)
    assert found.counts["unknown words"] == 2
    assert found.counts["concepts without words"] == 1
    assert found.counts["left out"] == 5 + int((labels == 1).sum())
    assert found.value.estimate > 2


def test_captions_stand_beside_where_there_are_some() -> None:
    judge, seen, labels = _world()
    captions = [_NAMES[one] for one in labels.tolist()]
    vague = (("apple", "sea"),) * 3
    found = clip_score(judge, seen, labels, vague, wording=BARE, captions=[*captions[:-1], None])
    difference = found.beside("captions").difference
    assert difference is not None
    assert difference.high < 0
    without = clip_score(judge, seen, labels, vague, wording=BARE, captions=[None] * 60)
    assert {one.name for one in without.baselines} == {"shuffled concepts"}


def test_other_concepts_bring_their_own_assignment_and_words() -> None:
    judge, seen, labels = _world()
    turned = (labels + 1) % 3
    same = (turned, (_WORDS[2], _WORDS[0], _WORDS[1]))
    found = clip_score(
        judge, seen, labels, _WORDS, wording=BARE, baselines={"a": [same], "b": [(turned, _WORDS)]}
    )
    equal, worse = (found.beside(name).difference for name in "ab")
    assert equal is not None
    assert worse is not None
    assert (equal.low, equal.high) == pytest.approx((0, 0), abs=1e-12)
    assert worse.low > 1


def test_bad_input_is_refused() -> None:
    judge, seen, labels = _world()
    with pytest.raises(LearnError, match="60 pictures with 3 assigned rows"):
        clip_score(judge, seen, labels[:3], _WORDS)
    with pytest.raises(LearnError, match="60 pictures with 1 captions"):
        clip_score(judge, seen, labels, _WORDS, captions=["red"])
    with pytest.raises(LearnError, match="measured on no row"):
        clip_score(judge, seen, labels, (("zebra",), (), ()), wording=BARE)
    with pytest.raises(LearnError, match="words as 'pile'"):
        Wording("pile")
    with pytest.raises(LearnError, match="the template 'no place'"):
        Wording("list", "no place")


def test_a_picture_given_by_path_is_looked_at_once(tmp_path) -> None:
    judge, path = ColourJudge(), tmp_path / "red.png"
    picture("red").save(path)
    seen = looked_at(judge, [str(path)] * 5 + [picture("green")])
    assert judge.looked == 2
    assert seen.shape == (6, 3)
    assert seen[0].equal(seen[4])
    assert not seen[0].equal(seen[5])
    with pytest.raises(LearnError, match="no pictures"):
        looked_at(judge, [])


def test_a_judge_that_gives_nan_is_refused() -> None:
    class Broken(ColourJudge):
        def pictures(self, pictures):
            return super().pictures(pictures) * float("nan")

    with pytest.raises(LearnError, match="embeddings are not finite"):
        looked_at(Broken(), [picture("red")])
