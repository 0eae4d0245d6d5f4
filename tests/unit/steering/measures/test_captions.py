"""CIDEr-D: the public scorer's numbers, and what they promise."""

import json
from pathlib import Path

import pytest

from shiftlens.core.errors import SteeringError
from shiftlens.core.intervals import wilson
from shiftlens.steering.measures.captions import CiderD, cider_d, saying, word_shares

GOLDEN = Path(__file__).parents[3] / "golden" / "cider.json"
REFERENCES = [
    ["a dog runs on the beach", "a brown dog is running"],
    ["a man stands in the snow"],
    ["two birds sit on a wire", "birds on a wire"],
]


def test_shares_are_of_captions_that_say_the_whole_word() -> None:
    captions = ["A Beach, a beach!", "beaches", "on the beach in the forest", "reforestation"]
    assert saying(captions, ["beach", "forest"]) == [True, False, True, False]
    assert word_shares(captions, ["beach", "forest", "sea"]) == {
        "beach": wilson(2, 4),
        "forest": wilson(1, 4),
        "sea": wilson(0, 4),
    }


@pytest.mark.parametrize("words", [[], [""], ["beach", " "], "beach"])
def test_words_that_are_none_are_refused(words: list[str] | str) -> None:
    for call in (saying, word_shares):
        with pytest.raises(SteeringError, match="are no words to look for"):
            call(["a beach"], words)
    with pytest.raises(SteeringError, match="no sample to judge"):
        word_shares([], ["beach"])


def test_scores_are_the_public_scorer_s() -> None:
    golden = json.loads(GOLDEN.read_text())
    captions = [one["caption"] for one in golden["pictures"]]
    scorer = CiderD([one["references"] for one in golden["pictures"]])
    found = scorer.per_caption(captions)
    expected = [one["score"] for one in golden["pictures"]]
    assert found == pytest.approx(expected, abs=1e-6)
    assert scorer.corpus(captions) == pytest.approx(golden["corpus"], abs=1e-6)
    assert sum(0 < one < 10 for one in expected) > 20  # not all trivial


def test_a_caption_that_is_the_only_reference_has_ten() -> None:
    found = cider_d(["", "a man stands in the snow", ""], REFERENCES)
    assert found == pytest.approx((0.0, 10.0, 0.0))


def test_case_and_marks_do_not_count_unless_one_tokenises_oneself() -> None:
    said = ["A dog runs, on the beach!", "", ""]
    plain = ["a dog runs on the beach", "", ""]
    assert cider_d(said, REFERENCES) == cider_d(plain, REFERENCES)
    assert cider_d(said, REFERENCES, tokenise=str.split) != cider_d(plain, REFERENCES)


def test_repeating_what_is_right_does_not_pay() -> None:
    once = cider_d(["", "a man stands in the snow", ""], REFERENCES)[1]
    again = cider_d(["", " ".join(["a man stands in the snow"] * 3), ""], REFERENCES)[1]
    assert 0 < again < 0.3 * once


def test_the_order_of_words_counts() -> None:
    right = cider_d(["", "a man stands in the snow", ""], REFERENCES)[1]
    jumbled = cider_d(["", "snow the in stands man a", ""], REFERENCES)[1]
    assert jumbled == pytest.approx(right / 4)  # only single words agree


def test_what_every_picture_says_weighs_nothing() -> None:
    references = [["a dog runs"], ["a dog jumps"], ["a dog sits"]]
    assert cider_d(["a dog", "a dog", "a dog"], references) == (0.0, 0.0, 0.0)


def test_one_scorer_serves_many_runs_on_one_scale() -> None:
    scorer = CiderD(REFERENCES)
    first = scorer.per_caption(["a dog runs", "a man", "birds"])
    scorer.per_caption(["zebra", "zebra", "zebra"])
    assert scorer.per_caption(["a dog runs", "a man", "birds"]) == first


def test_bad_input_is_refused() -> None:
    with pytest.raises(SteeringError, match="over 1 pictures"):
        CiderD([["a dog"]])
    with pytest.raises(SteeringError, match="picture 1 has no list of references"):
        CiderD([["a dog"], []])
    with pytest.raises(SteeringError, match="picture 0 has no list of references"):
        CiderD(["a dog", "a cat"])
    with pytest.raises(SteeringError, match="2 captions of 3 pictures"):
        CiderD(REFERENCES).per_caption(["a", "b"])
