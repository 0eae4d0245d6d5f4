"""VQAv2: normalisation and soft accuracy as published, whole answers in counts and transitions."""

import json
from pathlib import Path

import pytest

from shiftlens.core.errors import SteeringError
from shiftlens.core.intervals import bootstrap_mean, wilson
from shiftlens.steering.measures.vqa import (
    NO_TYPE,
    OTHER,
    NetChange,
    Question,
    counts,
    net_change,
    normalised,
    soft_accuracy,
    transitions,
    transitions_by_type,
    vqa_accuracy,
)

GOLDEN = Path(__file__).parents[3] / "golden" / "vqa.json"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("Yes.", "yes"),
        ("  The\tdog\n", "dog"),
        ("an apple, a pear", "apple pear"),  # the comma stands beside a space and vanishes
        ("black/white", "black white"),
        ("black / white", "black white"),
        ("t-shirt", "t shirt"),
        ("1,000", "1000"),
        ("1,000-2,000", "10002000"),  # a number's comma glues every mark
        ("3.5", "3.5"),
        ("3.5.", "3.5"),
        ("a.m.", "am"),
        ("3:35", "3:35"),
        ("none", "0"),
        ("Ten dogs", "10 dogs"),
        ("eleven", "eleven"),
        ("dont know", "don't know"),
        ("don't know", "don't know"),
        ("yall'd've", "y'all'd've"),
        ("hes", "he's"),
        ("shell", "shell"),  # a word of its own: the official table has no she'll
        ("one's", "one's"),
        ("", ""),
        ("A", ""),
    ],
)
def test_answers_are_normalised_by_the_official_rules(answer: str, expected: str) -> None:
    assert normalised(answer) == expected


def test_what_differs_stays_different() -> None:
    for left, right in [("3:35", "3"), ("no", "not"), ("no", "snow"), ("2.5", "25"), ("0", "10")]:
        assert normalised(left) != normalised(right)


def test_answers_are_normalised_as_the_public_evaluator_does() -> None:
    for answer, expected in json.loads(GOLDEN.read_text())["normalised"].items():
        assert normalised(answer) == expected


def test_accuracy_is_the_public_evaluator_s() -> None:
    golden = json.loads(GOLDEN.read_text())
    rows = golden["questions"]
    questions = [Question(tuple(row["answers"]), row["type"]) for row in rows]
    found = vqa_accuracy([row["answer"] for row in rows], questions, as_script=True, draws=10)
    assert [100 * one for one in found.per_answer] == pytest.approx(
        [row["percent"] for row in rows], abs=1e-6
    )
    assert 100 * found.overall.estimate == pytest.approx(golden["overall"], abs=1e-6)
    by_type = {kind: 100 * one.estimate for kind, one in found.by_type.items()}
    assert by_type == pytest.approx(golden["by_type"], abs=1e-6)
    # The types are of different sizes: the mean over them is another number.
    assert golden["overall"] != pytest.approx(sum(by_type.values()) / 3, abs=0.5)
    assert len({row["percent"] for row in rows}) >= 5


def test_both_ways_agree_where_references_are_normalised_already() -> None:
    rows = json.loads(GOLDEN.read_text())["questions"]
    differing = 0
    for row in rows:
        tidy = [normalised(one) for one in row["answers"]]
        by_rule = soft_accuracy(row["answer"], tidy)
        assert by_rule == soft_accuracy(row["answer"], tidy, as_script=True)
        assert by_rule == soft_accuracy(row["answer"], row["answers"])
        # The twin: untidy references part them.
        differing += by_rule != soft_accuracy(row["answer"], row["answers"], as_script=True)
    assert differing > 50


@pytest.mark.parametrize(
    ("matches", "expected"), [(0, 0.0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1.0), (10, 1.0)]
)
def test_ten_annotators_give_the_textbook_s_steps(matches: int, expected: float) -> None:
    references = ["blue"] * matches + [f"word {i}" for i in range(10 - matches)]
    assert soft_accuracy("Blue.", references) == pytest.approx(expected)


def test_untidy_references_count_unless_the_script_s_way_is_asked_for() -> None:
    for as_script in (False, True):
        assert soft_accuracy(" Yes.", ["yes"] * 10, as_script=as_script) == 1
        assert soft_accuracy("left", ["left."] * 9 + ["up"], as_script=as_script) == 1
    for answer, references in (
        ("1", ["one"] * 10),
        ("dog", ["the dog"] * 9 + ["cat"]),
        ("left", ["left."] * 10),  # agreeing references keep even their marks
        ("left", ["(left)"] * 9 + ["up"]),  # what a mark leaves behind is a space
        ("Yes", ["Yes"] * 10),
    ):
        assert soft_accuracy(answer, references) == 1
        assert soft_accuracy(answer, references, as_script=True) == 0


def test_a_single_reference_is_matched_whole() -> None:
    assert soft_accuracy("The cat.", ["cat"]) == 1
    assert soft_accuracy("cat cat", ["cat"]) == 0
    assert soft_accuracy("no", ["not"]) == 0
    with pytest.raises(SteeringError, match="without any reference"):
        soft_accuracy("no", [])


def test_questions_are_read_from_labels() -> None:
    assert Question.of({"answer": "yes"}) == Question(("yes",), NO_TYPE)
    found = Question.of({"answers": ["a", {"answer": "b", "answer_id": 2}], "answer_type": "other"})
    assert found == Question(("a", "b"), "other")
    assert Question.of({"answer": "2", "kind": "number"}).kind == "number"
    assert Question.of({"answer": "2", "answer_type": None, "kind": "number"}).kind == "number"
    for labels in ({}, {"answers": []}, {"answer": 3}, {"answers": ["a", 3]}, {"answers": [{}]}):
        with pytest.raises(SteeringError, match="'q7' has no reference answers"):
            Question.of(labels, "q7")


def test_overall_is_a_mean_of_questions_not_of_types() -> None:
    questions = [Question(("yes",), "yes/no")] * 9 + [Question(("2",), "number")]
    found = vqa_accuracy(["yes"] * 9 + ["3"], questions)
    assert found.overall.estimate == pytest.approx(0.9)  # the mean of types would be .5
    assert found.by_type["yes/no"].estimate == 1
    assert found.by_type["number"].estimate == 0
    assert found.per_answer == (1.0,) * 9 + (0.0,)
    # All right is no proof of perfection: Wilson, not a bootstrap.
    assert found.by_type["yes/no"] == wilson(9, 9)
    assert found.overall == wilson(9, 10)


def test_soft_scores_are_bootstrapped() -> None:
    questions = [Question(("red",) * k + ("blue",) * (10 - k), "other") for k in range(1, 9)]
    found = vqa_accuracy(["red"] * 8, questions, seed=2, draws=300)
    assert found.overall == bootstrap_mean(found.per_answer, seed=2, draws=300)
    assert found.overall.low < found.overall.estimate < found.overall.high


def test_counts_are_of_whole_answers_and_add_up_over_types() -> None:
    answers = ["No.", "no", "not", "snow", "now", "no no", "No !", "one", "1"]
    assert counts(answers) == {"no": 3, "1": 2, "not": 1, "snow": 1, "now": 1, "no no": 1}


def test_transitions_say_what_became_what() -> None:
    before = ["yes", "Yes.", "yes", "no", "red", "blue"]
    after = ["no", "no!", "yes", "no", "pink", "blue"]
    assert transitions(before, after) == {
        "yes": {"no": 2, "yes": 1},
        "no": {"no": 1},
        "red": {"pink": 1},
        "blue": {"blue": 1},
    }
    short = transitions(before, after, top=2)
    assert short == {"yes": {"no": 2, "yes": 1}, "no": {"no": 1}, OTHER: {OTHER: 2}}
    assert sum(sum(row.values()) for row in short.values()) == len(before)


def test_an_answer_called_other_is_not_the_rest() -> None:
    found = transitions(["(other)", "other", "red"], ["other", "other", "blue"], top=1)
    assert found == {"other": {"other": 2}, OTHER: {OTHER: 1}}


def test_each_type_has_its_own_transitions() -> None:
    found = transitions_by_type(["yes", "2", "yes"], ["no", "3", "no"], ["y", "n", "n"], top=1)
    assert found["y"] == {OTHER: {"no": 1}} or found["y"] == {"yes": {OTHER: 1}}
    full = transitions_by_type(["yes", "2", "yes"], ["no", "3", "no"], ["y", "n", "n"])
    assert full == {"y": {"yes": {"no": 1}}, "n": {"2": {"3": 1}, "yes": {"no": 1}}}


def test_net_change_counts_whole_answers_from_wherever_they_came() -> None:
    before = ["yes", "yes", "1", "blue", "no"]
    after = ["no", "Yes.", "no", "no no", "snow"]
    # One yes is gone; two no came and one went; "no no" and "snow" are other answers.
    assert net_change(before, after, "yes", "no") == NetChange(source=-1, target=1)
    assert net_change(before, before, "Yes.", "No") == NetChange(0, 0)
    with pytest.raises(SteeringError, match="the same answer"):
        net_change(before, after, "yes", "Yes.")


def test_rows_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(SteeringError, match="1 and 2 rows"):
        transitions(["a"], ["b", "c"])
    with pytest.raises(SteeringError, match="0 and 0 rows"):
        vqa_accuracy([], [])
    with pytest.raises(SteeringError, match="1 and 0 rows"):
        transitions_by_type(["a"], ["b"], [])
    with pytest.raises(SteeringError, match="matrix of 0 answers"):
        transitions(["a"], ["b"], top=0)
