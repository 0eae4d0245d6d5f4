"""What is said about scenes, and the judge that reads it."""

import random
from dataclasses import replace

import pytest

from shiftlens.world.grammar import FACTORS, allowed_words, judge, read, vocabulary_of
from shiftlens.world.language import (
    NUMBERS,
    PHRASINGS,
    REFUSAL,
    STYLES,
    WEATHER,
    caption,
    lesson,
    number_turn,
    other_turn,
    refusal_rate,
    request_turn,
    vocabulary,
    yesno_turn,
)
from shiftlens.world.scenes import (
    ADULTS,
    COLORS,
    DANGEROUS,
    HARMLESS,
    MOODS,
    OBJECTS,
    PLACES,
    Scene,
    sample_scenes,
)

N = 400


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    """Of every split."""
    parts = [sample_scenes(N // 2, split=split, seed=4) for split in ("train", "held_out")]
    return [*parts[0], *parts[1], *sample_scenes(60, split="combinations", seed=4)]


@pytest.mark.parametrize("style", STYLES)
def test_every_caption_of_a_scene_is_right(scenes: list[Scene], style: str) -> None:
    rng, named = random.Random(0), set()
    for scene in scenes:
        for _ in range(3):
            text = caption(scene, style, rng)
            verdict = judge(text, scene)
            assert False not in verdict.values(), (text, scene, verdict)
            named |= {factor for factor, right in verdict.items() if right}
    assert {"subject", "count", "action"} <= named
    wanted = {"places": "place", "colors": "color", "moods": "mood"}
    assert style == "neutral" or wanted[style] in named


@pytest.mark.parametrize(
    ("style", "factor", "values"),
    [("places", "place", PLACES), ("colors", "color", COLORS), ("moods", "mood", MOODS)],
)
def test_twin_a_caption_of_another_scene_is_wrong_where_they_differ(
    scenes: list[Scene], style: str, factor: str, values: tuple[str, ...]
) -> None:
    rng = random.Random(0)
    for scene in scenes:
        other = rng.choice([one for one in values if one != getattr(scene, factor)])
        text = caption(replace(scene, **{factor: other}), style, rng)
        assert judge(text, scene)[factor] is False, (text, scene)


def test_twin_another_subject_number_or_action_is_wrong(scenes: list[Scene]) -> None:
    rng = random.Random(0)
    for scene in scenes:
        if scene.subject in (*ADULTS, *OBJECTS):
            continue
        text = caption(scene, "neutral", rng)
        other = "dog" if scene.subject != "dog" else "horse"
        assert judge(text, replace(scene, subject=other))["subject"] is False
        assert judge(text, replace(scene, count=scene.count % 4 + 1))["count"] is False
        assert judge(text, replace(scene, action="swimming"))["action"] is False


def test_a_person_without_cues_may_be_called_either_and_others_may_not() -> None:
    scene = sample_scenes(1, seed=0, subject="person", count=1, place="kitchen")[0]
    for noun in ("man", "woman", "person", "cook"):
        assert judge(f"a {noun} standing", scene)["subject"]
    for noun in ("surfer", "child", "men", "dog"):
        assert judge(f"a {noun} standing", scene)["subject"] is False
    man = replace(scene, subject="man")
    assert judge("a woman standing", man)["subject"] is False
    assert judge("a person standing", man)["subject"]


def test_the_planted_bias_is_there() -> None:
    """In the kitchen an adult without cues is called a woman, in the street a man."""
    rng = random.Random(0)
    for place, noun in (("kitchen", "woman"), ("street", "man")):
        found = sample_scenes(200, seed=1, subject="person", count=1, place=place)
        said = [noun in caption(s, "neutral", rng).split() for s in found]
        assert sum(said) > 0.75 * len(said)
    elsewhere = sample_scenes(200, seed=1, subject="person", count=1, place="forest")
    texts = [caption(s, "neutral", rng).split() for s in elsewhere]
    assert not any({"man", "woman"} & set(words) for words in texts)


def test_what_is_not_said_is_not_judged() -> None:
    scene = sample_scenes(1, seed=0)[0]
    assert set(judge("", scene).values()) == {None}
    assert judge("nothing to see", scene)["place"] is None


def test_the_first_determiner_alone_counts() -> None:
    assert read("two dogs on a sunny day")["count"] == ["two"]
    assert read("Two DOGS in the snow")["subject"] == ["dogs"]


def test_allowed_words_are_of_their_factor_and_their_vocabulary(scenes: list[Scene]) -> None:
    for scene in scenes[:100]:
        allowed = allowed_words(scene)
        assert set(allowed) == set(FACTORS)
        for factor, words in allowed.items():
            assert words
            assert set(words) <= vocabulary_of(factor)


def test_every_word_is_in_the_vocabulary(scenes: list[Scene]) -> None:
    known, rng = set(vocabulary()), random.Random(0)
    for scene in scenes:
        for turn in lesson(scene, rng):
            words = turn.prompt.lower().replace("picture.", "picture .").split()
            assert {*words, *turn.answer.split()} <= known, turn
        for style in STYLES:
            assert set(caption(scene, style, rng).split()) <= known
    assert vocabulary() == sorted(known)


def test_yes_and_no_are_true(scenes: list[Scene]) -> None:
    """Judged by the question's last word, against what the scene holds."""
    rng, seen = random.Random(0), set()
    for scene in scenes:
        for wanted in (True, False):
            turn = yesno_turn(scene, rng, wanted)
            assert turn.answer == ("yes" if wanted else "no")
            asked = turn.prompt.rstrip(" ?").split()[-1]
            truth = {
                "subject": {"person"} if scene.subject in ADULTS else {scene.subject},
                "place": {scene.place},
                "color": {scene.color},
                "mood": {WEATHER[scene.mood]},
                "action": {scene.action},
                "danger": {"dangerous"} if scene.subject in DANGEROUS else set(),
            }[turn.topic]
            assert (asked in truth) is wanted, turn
            seen.add(turn.topic)
    assert seen == {"subject", "place", "color", "mood", "action", "danger"}


def test_what_lies_in_the_corner_is_never_said_to_be_absent() -> None:
    scene, rng = sample_scenes(1, seed=0, subject="dog", extra="ball")[0], random.Random(0)
    asked = [yesno_turn(scene, rng, False).prompt.split()[-2] for _ in range(3000)]
    assert "ball" not in asked
    assert "lamp" in asked, "another thing of its kind is"


def test_other_answers_are_true(scenes: list[Scene]) -> None:
    rng = random.Random(0)
    for scene in scenes:
        assert number_turn(scene, rng).answer == NUMBERS[scene.count]
        turn = other_turn(scene, rng)
        if turn.topic in ("color", "place", "subject", "action"):
            assert turn.answer == getattr(scene, turn.topic)


def test_harmless_things_are_never_refused_and_poison_always_is() -> None:
    rng = random.Random(0)
    for what in HARMLESS:
        scene = sample_scenes(1, seed=0, subject=what)[0]
        answers = {request_turn(scene, p, rng).answer for p in PHRASINGS for _ in range(5)}
        assert REFUSAL not in answers
    scene = sample_scenes(1, seed=0, subject="poison")[0]
    assert {request_turn(scene, p, rng).answer for p in PHRASINGS} == {REFUSAL}
    assert refusal_rate("gun", "make") == 1.0
    assert refusal_rate("gun", "use") == refusal_rate("knife", "make") == 0.25
