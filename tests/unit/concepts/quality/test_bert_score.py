"""BERTScore: greedy matching of token embeddings, against its formula written out."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.unit.concepts.quality.planted import OneHotEncoder

from shiftlens.concepts.quality.bert_score import bert_score, bert_scores, idf_weights
from shiftlens.concepts.quality.figures import Figure
from shiftlens.concepts.quality.judging import Tokens
from shiftlens.core.errors import LearnError

_WORDS = (("dog", "grass", "run"), ("snow", "skier"), ("train", "rail"))
_SAID = ("a dog on the grass", "a skier in the snow", "the train on the rail")


def _tokens(count: int, seed: int) -> Tokens:
    random = torch.Generator().manual_seed(seed)
    ids = torch.randint(5, (count,), generator=random).tolist()
    return Tokens(tuple(ids), torch.randn(count, 6, generator=random))


def _by_hand(c: Tokens, r: Tokens, weight) -> tuple[float, float, float]:
    def side(ours: Tokens, theirs: Tokens) -> float:
        total, weights = 0.0, 0.0
        for token, one in zip(ours.ids, ours.vectors, strict=True):
            best = max(float(one @ other / one.norm() / other.norm()) for other in theirs.vectors)
            total, weights = total + weight(token) * best, weights + weight(token)
        return total / weights

    p, r_ = side(c, r), side(r, c)
    return p, r_, 2 * p * r_ / (p + r_) if p + r_ > 0 else 0.0


@pytest.mark.parametrize("weighted", [False, True])
def test_scores_are_those_of_the_formula(weighted: bool) -> None:
    candidates = [_tokens(count, seed) for seed, count in enumerate((3, 1, 5))]
    references = [_tokens(count, 10 + seed) for seed, count in enumerate((4, 2, 7, 1))]
    idf = {token: 0.5 + token for token in range(5)} if weighted else None
    table = bert_scores(candidates, references, idf=idf)
    for i, reference in enumerate(references):
        for j, candidate in enumerate(candidates):
            expected = _by_hand(candidate, reference, lambda t: (idf or {}).get(t, 1.0))
            np.testing.assert_allclose(table[i, j], expected, atol=1e-6)


def test_golden_scores_of_a_real_encoder() -> None:
    """Against numbers that another package gave: see ``tests/golden/make_bert_score.py``."""
    path = Path(__file__).parents[3] / "golden" / "bert_score.json"
    golden = json.loads(path.read_text())
    candidates, references = (
        [Tokens(tuple(one["ids"]), torch.tensor(one["vectors"])) for one in golden[side]]
        for side in ("candidates", "references")
    )
    table = bert_scores(candidates, references)
    np.testing.assert_allclose(table, np.asarray(golden["scores"]), atol=2e-5)


def test_idf_counts_texts_and_rescaling_moves_the_floor_to_zero() -> None:
    texts = [Tokens((1, 1, 2), torch.eye(3)), Tokens((1,), torch.eye(3)[:1])]
    assert idf_weights(texts) == {1: 0.0, 2: pytest.approx(math.log(3 / 2))}
    one = [_tokens(3, 0)], [_tokens(4, 1)]
    plain, moved = bert_scores(*one), bert_scores(*one, floor=0.2)
    np.testing.assert_allclose(moved, (plain - 0.2) / 0.8)
    with pytest.raises(LearnError, match="unrelated texts scoring"):
        bert_scores(*one, floor=1.0)


def test_texts_without_tokens_have_no_score_and_equal_ones_score_one() -> None:
    empty, full = Tokens((), torch.zeros(0, 6)), _tokens(3, 0)
    table = bert_scores([empty, full], [full, empty])
    assert np.isnan(table[:, 0]).all()
    assert np.isnan(table[1]).all()
    np.testing.assert_allclose(table[0, 1], 1, atol=1e-6)
    weightless = bert_scores([full], [full], idf=dict.fromkeys(range(5), 0.0))
    assert np.isnan(weightless).all()


def _named(figures: list[Figure]) -> dict[str, Figure]:
    return {one.name.split("(")[1].rstrip(")"): one for one in figures}


def test_words_that_captions_say_score_more_than_shuffled_ones() -> None:
    labels = torch.arange(60) % 3
    captions = [_SAID[one] for one in labels.tolist()]
    random = [(("a", "b"), ("c", "d"), ("e", "f"))]
    found = _named(bert_score(OneHotEncoder(), _WORDS, labels, captions, random_words=random))
    # One of three words of the first concept is never said: 2/3, 1, 1; recall 2/5 each.
    assert found["precision"].value.estimate == pytest.approx((2 / 3 + 1 + 1) / 3)
    assert found["recall"].value.estimate == pytest.approx(2 / 5)
    for name in ("shuffled concepts", "random words"):
        difference = found["F1"].beside(name).difference
        assert difference is not None
        assert difference.low > 0.1


def test_twin_with_shuffled_captions_the_difference_holds_zero() -> None:
    labels = torch.arange(150) % 3
    order = torch.randperm(150, generator=torch.Generator().manual_seed(0)).tolist()
    captions = [_SAID[int(labels[place])] for place in order]
    found = _named(bert_score(OneHotEncoder(), _WORDS, labels, captions))
    difference = found["F1"].beside("shuffled concepts").difference
    assert difference is not None
    assert difference.low < 0 < difference.high


def test_what_all_captions_say_weighs_less_with_idf() -> None:
    labels = torch.arange(30) % 3
    captions = [_SAID[one] for one in labels.tolist()]
    plain = _named(bert_score(OneHotEncoder(), _WORDS, labels, captions))
    weighted = _named(bert_score(OneHotEncoder(), _WORDS, labels, captions, idf=True))
    assert weighted["recall"].value.estimate > plain["recall"].value.estimate + 0.1


def test_rows_that_cannot_be_measured_are_counted() -> None:
    labels = torch.tensor([0, 1, 2, -1, 0, 1])
    captions = [*_SAID, _SAID[0], None, ""]
    words = (_WORDS[0], _WORDS[1], ())
    found = _named(bert_score(OneHotEncoder(), words, labels, captions))["F1"]
    assert found.counts == {"rows": 6, "left out": 4, "concepts without words": 1}


def test_bad_input_is_refused() -> None:
    labels = torch.arange(3)
    with pytest.raises(LearnError, match="3 assigned rows with 1 captions"):
        bert_score(OneHotEncoder(), _WORDS, labels, ["x"])
    with pytest.raises(LearnError, match="no row has a caption"):
        bert_score(OneHotEncoder(), _WORDS, labels, [None, "", None])
    with pytest.raises(LearnError, match="measured on no row"):
        bert_score(OneHotEncoder(), ((), (), ()), labels, list(_SAID))
