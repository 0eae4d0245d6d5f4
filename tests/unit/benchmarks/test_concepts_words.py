"""The large vocabulary, and which words name a value of the world."""

import numpy as np
from benchmarks.concepts import naming, words
from benchmarks.concepts.big_vocabulary import build_tokenizer


def test_a_drawn_tokenizer_reads_back_what_it_writes() -> None:
    tokenizer = build_tokenizer(1500)
    assert len(tokenizer) == 1500
    text = "a b сталь 漢"
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text


def test_two_drawn_tokenizers_share_nothing_but_their_tokens() -> None:
    one, again, other = build_tokenizer(900), build_tokenizer(900), build_tokenizer(900, 1)
    assert one is not again
    assert one.get_vocab() == again.get_vocab() != other.get_vocab()


def test_words_of_a_small_head_have_four_figures() -> None:
    figures = words.measure(v=900, d=16, k=3, rounds=1)
    assert [one.goal for one in figures] == ["<= 1", "", "", ""]
    assert all(one.value > 0 for one in figures)


def test_words_that_name_a_value() -> None:
    assert naming.words_for("place", "snow") == {
        "snow", "cold", "skier", "skiers", "mountains", "ice",
    }  # fmt: skip
    assert naming.words_for("mood", "sad") == {"sad", "rainy"}
    assert naming.words_for("subject", "man") == {"man", "men"}
    assert naming.words_for("extra", "None") == {"None"}


def test_the_lenient_and_the_strict_rule() -> None:
    assignment = np.repeat([0, 1], 6)
    values = {
        "place": np.asarray(["snow"] * 6 + ["beach"] * 6),
        "mood": np.asarray(["sad", "sad", "sad", "sad", "calm", "calm"] * 2),
    }
    found = naming.majorities(assignment, 0, values)
    assert [(one.value, one.lift) for one in found] == [("snow", 0.5), ("sad", 0.0)]
    lists = (("skier", "dog"), ("rainy", "dog"))
    assert naming.named(assignment, lists, values) == ([True, True], [True, False])
    nothing = (("dog",), ("snow",))
    assert naming.named(assignment, nothing, values) == ([False, False], [False, False])


def test_a_concept_of_few_samples_is_not_counted() -> None:
    assignment = np.asarray([0] * 4 + [1] * 6)
    values = {"place": np.asarray(["snow"] * 10)}
    lenient, _ = naming.named(assignment, (("snow",), ("snow",)), values)
    assert lenient == [True]
