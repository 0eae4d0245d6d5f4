"""Rules: planted changes are judged as they are, and too few data never pass."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.study.check.builders import changed, concept, row, run

from shiftlens.core.errors import DataError, StoreError
from shiftlens.study.check.judging import Judged, check
from shiftlens.study.check.kinds.answers import AnswersRule
from shiftlens.study.check.kinds.concept import ConceptRule, find_concept
from shiftlens.study.check.kinds.divergence import DivergenceRule
from shiftlens.study.check.kinds.length import LengthRule
from shiftlens.study.check.kinds.words import WordsRule
from shiftlens.study.check.policy import Head, Policy
from shiftlens.study.check.rows import Row, Run
from shiftlens.study.check.rules import FAIL, PASS, UNDECIDED, Precision, Rule

CAT = ["cat"]


def judged(rule: Rule, on: Run, **head: Any) -> Judged:
    return check(on, Policy(Head(**{"draws": 300, **head}), (rule,))).rules[0]


ON_SAMPLES: dict[str, Callable[[float], Rule]] = {
    "answers": lambda m: AnswersRule("r", m),
    "first word": lambda m: AnswersRule("r", m, by="first_word"),
    "correct": lambda m: AnswersRule("r", m, by="correct"),
    "rate": lambda m: WordsRule("r", m, words=CAT),
    "swap": lambda m: WordsRule("r", m, words=CAT, mode="swap"),
    "gap": lambda m: WordsRule("r", m, words=CAT, against=["dog"], mode="gap"),
    "start": lambda m: WordsRule("r", m, words=["a cat"], at="start", direction="more"),
    "length": lambda m: LengthRule("r", m),
    "divergence": lambda m: DivergenceRule("r", m),
    "quantile": lambda m: DivergenceRule("r", m, quantile=0.9),
}
every_rule = pytest.mark.parametrize("make", ON_SAMPLES.values(), ids=ON_SAMPLES.keys())
LABELS = {"labels": {"answer": "a dog"}}


@every_rule
def test_equal_answers_pass_with_enough_data_and_only_then(make: Callable[[float], Rule]) -> None:
    """From some number of pictures on, and the number that was asked for is that one."""
    rule = make(0.2)
    found = {n: judged(rule, changed(n, 0, **LABELS), draws=200) for n in range(2, 123, 4)}
    first = min(n for n, one in found.items() if one.verdict == PASS)
    assert first >= 20
    for n, one in found.items():
        assert one.estimate == 0
        assert one.verdict == (PASS if n >= first else UNDECIDED)
        if n < first:
            assert one.needs is not None
            # Two digits, rounded up; pictures are tried in steps of four here.
            assert first - 4 <= one.needs <= 1.1 * first


@every_rule
@pytest.mark.parametrize("n", [1, 2, 19])
@pytest.mark.parametrize("share", [0.0, 1.0])
def test_fewer_than_twenty_pictures_decide_nothing(
    make: Callable[[float], Rule], n: int, share: float
) -> None:
    found = judged(make(0.5), changed(n, share, **LABELS))
    assert found.verdict == UNDECIDED
    assert found.needs is not None
    assert found.needs >= 20
    assert "at least 20" in found.note


def test_many_samples_of_few_pictures_decide_nothing() -> None:
    rows = [row(i, group=f"p{i % 19}") for i in range(1000)]
    assert judged(AnswersRule("r", 0.5), run(rows)).verdict == UNDECIDED
    rows = [row(i, group=f"p{i % 20}") for i in range(1000)]
    assert judged(AnswersRule("r", 0.5), run(rows)).verdict == PASS


@pytest.mark.parametrize("name", ["answers", "correct", "rate", "swap", "gap", "start"])
def test_a_planted_share_is_judged_against_the_margin(name: str) -> None:
    """200 pictures: 2 % changed pass a margin of .1, 30 % fail it, 8 % are neither."""
    make = ON_SAMPLES[name]
    step = 2 if name == "gap" else 1  # one cat more is one dog less
    expected = {0.02: PASS, 0.30: FAIL, 0.08: UNDECIDED}
    for share, verdict in expected.items():
        found = judged(make(0.1 * step), changed(200, share, **LABELS))
        assert (share, found.verdict) == (share, verdict)
        assert found.estimate == pytest.approx(share * step)
        assert found.low < found.estimate < found.high
        assert (found.needs is None) == (verdict != UNDECIDED)


def test_twin_the_same_change_elsewhere_is_not_the_rule_s() -> None:
    """Words that did not change pass however many answers did."""
    found = judged(WordsRule("r", 0.1, words=["a"]), changed(200, 0.3))
    assert (found.verdict, found.estimate) == (PASS, 0)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(20, 300), st.floats(0, 1), st.floats(0.01, 0.9), st.floats(0.05, 1),
    st.sampled_from(["answers", "rate", "correct", "length"]),
)  # fmt: skip
def test_what_a_part_of_the_data_decides_the_whole_decides_too(
    n: int, share: float, margin: float, kept: float, name: str
) -> None:
    """Less data of the same kind gives the same verdict or undecided, never another one."""
    rule = ON_SAMPLES[name](margin)
    flips, block = round(10 * share), 10
    rows = [
        row(i, tuned="a cat here" if i % block < flips else None, **LABELS)
        for i in range(max(1, n // block) * block)
    ]
    blocks = max(1, round(kept * len(rows) / block))
    less = judged(rule, run(rows[: blocks * block]))
    more = judged(rule, run(rows))
    # The bootstrap's own noise may matter where an end lies on the margin itself.
    near = min(abs(end - margin) for end in (less.high, less.low, more.high, more.low))
    assert less.verdict in (UNDECIDED, more.verdict) or near < 0.02


@pytest.mark.parametrize(("share", "margin"), [(0.08, 0.1), (0.12, 0.1), (0.02, 0.03)])
def test_about_as_many_as_it_needs_decide(share: float, margin: float) -> None:
    rule = AnswersRule("r", margin)
    needs = judged(rule, changed(100, share)).needs
    assert needs is not None
    flips = round(share * 100)
    rows = [row(i, tuned="a cat" if i % 100 < flips else None) for i in range(2 * needs)]
    assert judged(rule, run(rows[: needs // 200 * 100])).verdict == UNDECIDED
    assert judged(rule, run(rows)).verdict == (PASS if share < margin else FAIL)


def test_on_the_margin_no_number_is_named() -> None:
    found = judged(AnswersRule("r", 0.1), changed(100, 0.1))
    assert (found.verdict, found.needs) == (UNDECIDED, None)
    assert "lies on the margin" in found.note
    near = judged(AnswersRule("r", 0.1001), changed(1000, 0.1))
    assert near.needs is None


def test_only_losses_count_as_a_loss_of_accuracy() -> None:
    rows = [row(i, base="Yes.", tuned="no", labels={"answer": ["no", "none"]}) for i in range(100)]
    gained = judged(AnswersRule("r", 0.1, by="correct"), run(rows))
    assert (gained.verdict, gained.estimate) == (PASS, -1)
    lost = [row(i, base="Yes.", tuned="yes it is", labels={"answer": "yes"}) for i in range(100)]
    found = judged(AnswersRule("r", 0.1, by="correct"), run(lost))
    assert (found.verdict, found.estimate) == (FAIL, 1)


def test_the_first_word_is_read_without_marks_and_case() -> None:
    pairs = [("Yes, it is", "yes"), ("Yes", "No"), ("", ""), ("", "Yes")]
    rows = [row(i, *pairs[i % 4]) for i in range(100)]
    assert judged(AnswersRule("r", 0.1, by="first_word"), run(rows)).estimate == 0.5


def test_words_are_whole_and_a_swap_counts_both_ways() -> None:
    pairs = [("a cat", "a dog"), ("a dog", "a cat"), ("cats", "dogs"), ("a Cat", "the cat")]
    rows = [row(i, *pairs[i % 4]) for i in range(100)]
    assert judged(WordsRule("r", 0.1, words=CAT), run(rows)).estimate == 0
    assert judged(WordsRule("r", 0.1, words=CAT, mode="swap"), run(rows)).estimate == 0.5


def test_a_direction_lets_the_other_one_pass() -> None:
    more = run([row(i, "a dog", "I cannot say that") for i in range(60)])
    less = run([row(i, "I cannot say that", "a dog") for i in range(60)])
    for direction, verdicts in {
        "both": (FAIL, FAIL), "more": (FAIL, PASS), "less": (PASS, FAIL)
    }.items():  # fmt: skip
        rule = WordsRule("r", 0.2, words=["I cannot"], at="start", direction=direction)
        assert tuple(judged(rule, one).verdict for one in (more, less)) == verdicts
        length = LengthRule("r", 1.5, direction=direction)
        assert tuple(judged(length, one).verdict for one in (more, less)) == verdicts


def test_words_inside_an_answer_do_not_begin_it() -> None:
    rows = [row(i, "a dog", "here I cannot say that") for i in range(60)]
    assert judged(WordsRule("r", 0.2, words=["I cannot"], at="start"), run(rows)).estimate == 0
    assert judged(WordsRule("r", 0.2, words=["I cannot"]), run(rows)).estimate == 1


def test_words_that_nobody_says_are_told() -> None:
    found = judged(WordsRule("r", 0.1, words=["horze"]), changed(100, 0))
    assert "neither model says any of its words: horze" in found.note
    assert judged(WordsRule("r", 0.1, words=["dog"]), changed(100, 0)).note == ""
    gap = WordsRule("r", 0.1, words=["dog"], against=["mann"], mode="gap")
    assert "neither model says any of its against: mann" in judged(gap, changed(100, 0)).note


def test_divergence_is_a_mean_over_tokens_then_answers() -> None:
    rows = [row(i, divergence=(0.0, 0.4) if i % 2 else (0.0, 0.0, 0.0, 0.0)) for i in range(400)]
    found = judged(DivergenceRule("r", 0.3), run(rows))
    assert (found.verdict, found.estimate) == (PASS, pytest.approx(0.1))
    assert judged(DivergenceRule("r", 0.05), run(rows)).verdict == FAIL
    assert judged(DivergenceRule("r", 0.3, largest=40.0), run(rows)).verdict == UNDECIDED
    half = judged(DivergenceRule("r", 0.25, quantile=0.4), run(rows))
    assert (half.verdict, half.estimate) == (PASS, 0)
    assert judged(DivergenceRule("r", 0.15, quantile=0.6), run(rows)).verdict == FAIL


def test_answers_without_a_token_have_no_divergence() -> None:
    rows = [row(i, divergence=(0.1,) if i else ()) for i in range(100)]
    found = judged(DivergenceRule("r", 0.5), run(rows))
    assert (found.n, found.note) == (99, "1 empty answers left out")
    with pytest.raises(DataError, match="no answer of the base has a token"):
        judged(DivergenceRule("r", 0.5), run([row(0, divergence=())]))


def _labelled() -> Run:
    kinds: list[dict[str, Any]] = [
        {"place": "beach", "n": 1, "tags": ["sea", "sun"]},
        {"place": "street", "n": True, "tags": []},
        {"place": "forest"},
    ]
    prompts = ["Is there a dog?", "What is this?"]
    rows = [row(i, labels=kinds[i % 3], prompt=prompts[i % 2]) for i in range(60)]
    return run(rows)


@pytest.mark.parametrize(
    ("where", "contains", "n"),
    [
        ({}, "", 60),
        ({"place": "beach"}, "", 20),
        ({"place": ["beach", "forest"]}, "", 40),
        ({"n": 1}, "", 20),
        ({"n": True}, "", 20),
        ({"tags": "sun"}, "", 20),
        ({"place": "beach", "tags": ["moon", "sea"]}, "is THERE", 10),
        ({}, "what", 30),
    ],
)
def test_only_the_samples_asked_for_are_looked_at(
    where: dict[str, Any], contains: str, n: int
) -> None:
    rule = AnswersRule("r", 0.05, where=where, prompt_contains=contains)
    found = judged(rule, _labelled())
    assert found.n == found.pictures == n
    assert (f"looks at {n} of 60 pictures" in found.note) == (n < 60)


@pytest.mark.parametrize(
    ("where", "contains", "message"),
    [
        ({"plaze": "beach"}, "", r"'r': no sample has the label 'plaze'\n.*n, place, tags"),
        ({"place": "beech"}, "", r"no sample has place = 'beech'\n.*'beach', 'forest', 'street'"),
        ({"place": "forest", "n": 1}, "", r"no sample has the label 'n'\n.*labels: place"),
        ({"place": 1}, "", "no sample has place = 1"),
        ({}, "who", r"no prompt contains 'who'\n.*Is there a dog\?, What is this\?"),
    ],
)
def test_a_rule_that_matches_nothing_says_what_there_is(
    where: dict[str, Any], contains: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        judged(AnswersRule("r", 0.5, where=where, prompt_contains=contains), _labelled())


def test_a_right_answer_must_be_known_of_every_sample() -> None:
    rule = AnswersRule("r", 0.5, by="correct", label="place")
    assert judged(rule, _labelled()).n == 60
    with pytest.raises(DataError, match=r"sample 's2' has no label 'n'\n.*place"):
        judged(AnswersRule("r", 0.5, by="correct", label="n"), _labelled())


CONCEPTS = [
    concept(0, ["dog", "run"], 0.1),
    concept(1, ["cat", "sit"], 0.9),
    concept(2, ["cow", "sit", "run"], 0.32),
]


@pytest.mark.parametrize(
    ("which", "verdict", "estimate"),
    [
        ("dog", PASS, 0.1),
        (1, FAIL, 0.9),
        ("cow", UNDECIDED, 0.32),
        ("all", FAIL, 0.9),
        ("any", PASS, 0.1),
    ],
)
def test_concepts_are_judged_by_the_diff_s_interval(
    which: int | str, verdict: str, estimate: float
) -> None:
    rows = [row(i) for i in range(300)]
    found = judged(ConceptRule("r", 0.3, concept=which, effect="own"), run(rows, CONCEPTS))
    assert (found.verdict, found.estimate) == (verdict, estimate)
    # Half the width is .1, the gap .02: five times as narrow, 25 times the 300 pictures.
    assert found.needs == (7600 if which == "cow" else None) or found.needs == 7500


def test_a_concept_without_an_interval_keeps_all_from_passing() -> None:
    rows = [row(i) for i in range(300)]
    unknown = concept(3, ["fox"], None)
    few = concept(4, ["owl"], 0.1, pictures=12)
    for other in (unknown, few):
        found = judged(ConceptRule("r", 0.3), run(rows, [CONCEPTS[0], other]))
        assert found.verdict == UNDECIDED
        assert "1 of 2 concepts" in found.note
    assert judged(ConceptRule("r", 0.3), run(rows, [CONCEPTS[0], unknown])).needs is None
    assert judged(ConceptRule("r", 0.3), run(rows, [CONCEPTS[0], few])).needs == 510  # 300 * 20/12
    alone = judged(ConceptRule("r", 0.3, concept="owl"), run(rows, [few]))
    assert (alone.verdict, alone.needs) == (UNDECIDED, 510)
    nothing = judged(ConceptRule("r", 0.3, concept="fox"), run(rows, [unknown]))
    assert (nothing.verdict, nothing.needs) == (UNDECIDED, None)
    assert "refits do not find it" in nothing.note
    # A sure change is a failure, whatever is unknown beside it; a sure stay satisfies "any".
    assert judged(ConceptRule("r", 0.3), run(rows, [CONCEPTS[1], unknown])).verdict == FAIL
    both = run(rows, [CONCEPTS[0], unknown])
    assert judged(ConceptRule("r", 0.3, concept="any"), both).verdict == PASS


@pytest.mark.parametrize(
    ("which", "message"),
    [
        (7, r"rule 'r': there is no concept 7\n.*0: dog, run; 1: cat, sit; 2: cow"),
        ("horse", "there is no concept 'horse'"),
        ("sit", "2 concepts say 'sit'"),
        ("on", "3 concepts say 'on'"),
    ],
)
def test_a_concept_that_is_not_there_is_an_error(which: int | str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        judged(ConceptRule("r", 0.3, concept=which), run([row(0)], CONCEPTS))


def test_concepts_are_found_as_concepts_find_them() -> None:
    import torch

    from shiftlens.activations.site import Site
    from shiftlens.activations.tokens import word
    from shiftlens.concepts.concepts import Concepts

    lists = tuple(tuple(one["contrastive_base"]) for one in CONCEPTS)
    plain = tuple(tuple(one["words_base"]) for one in CONCEPTS)
    site, sizes = Site(layer=0, tokens=word("dog")), (1, 1, 1)
    concepts = Concepts(
        torch.eye(3), "centroid", site, sizes, words=plain, contrastive=lists, images=lists
    )
    for which in ("dog", "cat", "cow", 0, 2):
        assert find_concept("r", which, CONCEPTS) == concepts.find(which)


def test_a_run_without_concepts_is_told() -> None:
    rule = ConceptRule("r", 0.3)
    with pytest.raises(DataError, match="its diff did not finish"):
        judged(rule, run([row(0)], None))
    with pytest.raises(DataError, match="the diff has no concepts"):
        judged(rule, run([row(0)], []))
    with pytest.raises(StoreError, match="tells no effect 'moved'"):
        judged(rule, run([row(0)], [{"index": 0, "contrastive_base": []}]))


def test_one_rule_fails_the_policy_and_one_undecided_leaves_it_open() -> None:
    on = changed(200, 0.08)
    rules = {
        PASS: AnswersRule("good", 0.5),
        UNDECIDED: AnswersRule("open", 0.1),
        FAIL: AnswersRule("bad", 0.02),
    }
    codes = {
        (PASS,): 0, (PASS, UNDECIDED): 4, (UNDECIDED,): 4, (FAIL,): 1, (PASS, UNDECIDED, FAIL): 1
    }  # fmt: skip
    for verdicts, code in codes.items():
        found = check(on, Policy(Head(draws=300), tuple(rules[one] for one in verdicts)))
        assert [one.verdict for one in found.rules] == list(verdicts)
        assert found.exit_code == code


def test_simultaneous_rules_have_wider_intervals() -> None:
    on = run([row(i, tuned="a cat" if i < 20 else None) for i in range(200)], CONCEPTS)
    rules = (AnswersRule("a", 0.5), WordsRule("b", 0.5, words=CAT), ConceptRule("c", 2.0))
    each = check(on, Policy(Head(), rules)).rules
    together = Policy(Head(simultaneous=True), rules)
    assert together.precision.level == pytest.approx(1 - 0.05 / 3)
    for one, wide in zip(each, check(on, together).rules, strict=True):
        assert wide.low < one.low < one.high < wide.high
    many = Policy(Head(simultaneous=True), rules * 40)
    assert many.precision.draws == math.ceil(20 / (0.05 / 120))


def test_the_same_run_gives_the_same_numbers() -> None:
    rows: list[Row] = [
        row(i, divergence=tuple(np.random.default_rng(i).exponential(1, 3))) for i in range(50)
    ]
    rule = DivergenceRule("r", 0.5, largest=0.1)
    found = [judged(rule, run(rows), seed=seed) for seed in (0, 0, 1)]
    assert found[0].to_dict() == found[1].to_dict()
    assert found[0].low != found[2].low


def test_what_is_not_known_is_null() -> None:
    rows = [row(i) for i in range(30)]
    told = judged(ConceptRule("r", 0.3, concept="fox"), run(rows, [concept(0, ["fox"], None)]))
    found = told.to_dict()
    assert (found["estimate"], found["low"], found["high"]) == (None, None, None)
    assert found["allowed"] == [None, 0.3]


def test_precision_is_at_95_percent_by_default() -> None:
    assert Precision().level == Policy(Head(), (AnswersRule("r", 0.1),)).precision.level == 0.95
