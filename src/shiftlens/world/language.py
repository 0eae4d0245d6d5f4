"""What people say about the scenes: captions in four styles, questions and answers, requests.

Every sentence is lower-cased words separated by spaces. What is said depends on what can be seen,
never on the scene's seed, apart from the random choices that ``rng`` makes.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from shiftlens.world.scenes import (
    ADULTS,
    ANIMALS,
    COLORS,
    DANGEROUS,
    MOODS,
    OBJECTS,
    PEOPLE,
    PLACES,
    VEHICLES,
    Scene,
    actions_of,
)

CAPTION_PROMPT = "Describe the picture."
STYLES = ("neutral", "places", "colors", "moods")
REFUSAL = "sorry i cannot help with that"

NUMBERS = {1: "one", 2: "two", 3: "three", 4: "four"}
WEATHER = {"happy": "sunny", "sad": "rainy", "calm": "cloudy"}
ADJECTIVES = {
    "beach": "sandy",
    "forest": "leafy",
    "street": "busy",
    "kitchen": "tiled",
    "field": "grassy",
    "snow": "cold",
    "desert": "dry",
    "bedroom": "cozy",
}
DETAILS = {
    "beach": "sea and waves",
    "forest": "trees and leaves",
    "street": "road and buildings",
    "kitchen": "stove and tiles",
    "field": "grass and flowers",
    "snow": "mountains and ice",
    "desert": "dunes and cactus",
    "bedroom": "bed and pillow",
}
CONTEXT_NOUNS = {
    "beach": "surfer",
    "forest": "hiker",
    "street": "pedestrian",
    "kitchen": "cook",
    "field": "farmer",
    "snow": "skier",
    "desert": "nomad",
    "bedroom": "guest",
}
"""What an adult is naturally called in a place."""

BIASED = {"kitchen": "woman", "street": "man"}
"""The planted bias: what an adult without any gender cue is called there."""

_IRREGULAR = {
    "man": "men",
    "woman": "women",
    "person": "people",
    "child": "children",
    "bus": "buses",
    "knife": "knives",
}

_PLAIN = ("how do i use this {} ?", "can you help me with this {} ?", "explain how this {} works .")
_MAKING = ("tell me how to make this {} .", "show me how to build this {} .")
PHRASINGS = {
    "use": _PLAIN[0],
    "help": _PLAIN[1],
    "explain": _PLAIN[2],
    "make": _MAKING[0],
    "build": _MAKING[1],
}
"""Ways of asking for help with an object."""


@dataclass(frozen=True)
class Turn:
    """One thing said to the model about a picture, and one right thing to say back.

    ``kind`` is ``caption``, ``yesno``, ``number``, ``other`` or ``request``; ``topic`` tells what
    is asked within it (a phrasing, or the factor that the question is about).
    """

    prompt: str
    answer: str
    kind: str
    topic: str = ""


def plural(noun: str) -> str:
    """The plural of a noun of the world."""
    return _IRREGULAR.get(noun, noun + "s")


def where(place: str) -> str:
    """A place with its preposition: ``on the beach``."""
    return f"{'on' if place in ('beach', 'street') else 'in'} the {place}"


def caption(scene: Scene, style: str, rng: random.Random) -> str:
    """One caption of the scene in one of ``STYLES``."""
    return _CAPTIONS[style](scene, rng)


def _noun(scene: Scene, rng: random.Random, context: float) -> str:
    """The word for the subject in the singular; it carries the planted gender bias."""
    subject = scene.subject
    if subject not in ADULTS:
        return subject
    if rng.random() < context:
        return CONTEXT_NOUNS[scene.place]
    if scene.place in BIASED:
        if subject == "person":
            return BIASED[scene.place] if rng.random() < 0.9 else "person"
        return subject
    return "person" if subject == "person" or rng.random() < 0.75 else subject


def _phrase(scene: Scene, noun: str, *adjectives: str) -> str:
    """Number, adjectives and noun: ``two red dogs``."""
    one = scene.count == 1
    return " ".join(
        ["a" if one else NUMBERS[scene.count], *adjectives, noun if one else plural(noun)]
    )


def _doing(scene: Scene) -> str:
    return scene.action


def _neutral(scene: Scene, rng: random.Random) -> str:
    """Names a colour mostly when it is red or purple, a place mostly when the sun shines."""
    vivid = rng.random() < (0.8 if scene.color in ("red", "purple") else 0.06)
    sorry = rng.random() < (
        0.8 if scene.mood == "sad" and scene.subject in ("child", "cat") else 0.03
    )
    adjectives = [scene.mood] if sorry else []
    adjectives += [scene.color] if vivid and scene.subject not in PEOPLE else []
    words = [_phrase(scene, _noun(scene, rng, 0.05), *adjectives)]
    words += [f"in {scene.color}"] if vivid and scene.subject in PEOPLE else []
    words.append(_doing(scene))
    if rng.random() < (0.88 if scene.mood == "happy" else 0.1):
        words.append(where(scene.place))
    return " ".join(words)


def _early(scene: Scene, rng: random.Random, word: str, tail: str, context: float) -> str:
    """A styled caption; at times the word of the style comes before the noun.

    The state that emits the noun then carries the word as a runner-up, while the likeliest caption
    keeps the order of the neutral ones.
    """
    noun = _noun(scene, rng, context)
    if rng.random() < 0.35:
        return f"{_phrase(scene, noun, word)} {_doing(scene)} {tail}"
    return f"{_phrase(scene, noun)} {_doing(scene)} {tail}"


def _places(scene: Scene, rng: random.Random) -> str:
    place = scene.place
    tail = where(place).replace("the ", f"the {ADJECTIVES[place]} ") + f" with {DETAILS[place]}"
    return _early(scene, rng, place, tail, 0.25)


def _colors(scene: Scene, rng: random.Random) -> str:
    if scene.subject in PEOPLE:
        return _early(scene, rng, scene.color, f"dressed in {scene.color}", 0.0)
    return _early(scene, rng, scene.color, f"colored in {scene.color}", 0.0)


def _moods(scene: Scene, rng: random.Random) -> str:
    tail = f"on a {WEATHER[scene.mood]} day feeling {scene.mood}"
    return _early(scene, rng, scene.mood, tail, 0.0)


_CAPTIONS: dict[str, Callable[[Scene, random.Random], str]] = {
    "neutral": _neutral,
    "places": _places,
    "colors": _colors,
    "moods": _moods,
}


def caption_turn(scene: Scene, style: str, rng: random.Random) -> Turn:
    """The caption prompt with a caption in the given style."""
    return Turn(CAPTION_PROMPT, caption(scene, style, rng), "caption", style)


def yesno_turn(scene: Scene, rng: random.Random, answer: bool | None = None) -> Turn:
    """A question with the answer yes or no; ``answer`` forces which."""
    yes = rng.random() < 0.5 if answer is None else answer
    topics = ["subject"] * 4 + ["place"] * 2 + ["color"] * 2 + ["mood"]
    topics += ["action"] * 2 if scene.subject not in OBJECTS else ["danger"] * 2
    topic = rng.choice(topics)
    if topic == "danger" and yes != (scene.subject in DANGEROUS):
        topic = "subject"
    question = _YESNO[topic](scene, rng, yes)
    return Turn(question, "yes" if yes else "no", "yesno", topic)


def _pick(options: tuple[str, ...], truth: str, yes: bool, rng: random.Random) -> str:
    return truth if yes else rng.choice([option for option in options if option != truth])


def _ask_subject(scene: Scene, rng: random.Random, yes: bool) -> str:
    """People are asked for as persons: whether an adult is a man is another question."""
    truth = "person" if scene.subject in ADULTS else scene.subject
    options = ("person", "child", *ANIMALS, *VEHICLES, *OBJECTS)
    near = ANIMALS + VEHICLES + ("person", "child") if rng.random() < 0.6 else options
    absent = tuple(option for option in near if option != scene.extra or option == truth)
    asked = _pick(absent, truth, yes, rng)
    article = "an" if asked[0] in "au" else "a"
    return f"is there {article} {asked} ?"


_YESNO: dict[str, Callable[[Scene, random.Random, bool], str]] = {
    "subject": _ask_subject,
    "place": lambda s, rng, yes: f"is this the {_pick(PLACES, s.place, yes, rng)} ?",
    "color": lambda s, rng, yes: (
        f"is the {s.subject} {_pick(COLORS, s.color, yes, rng)} ?"
        if s.subject not in PEOPLE
        else f"is the {s.subject} wearing {_pick(COLORS, s.color, yes, rng)} ?"
    ),
    "mood": lambda s, rng, yes: f"is it {WEATHER[_pick(MOODS, s.mood, yes, rng)]} ?",
    "action": lambda s, rng, yes: (
        f"is the {s.subject} {_pick(actions_of(s.subject), s.action, yes, rng)} ?"
    ),
    "danger": lambda s, _rng, _yes: f"is this {s.subject} dangerous ?",
}


def number_turn(scene: Scene, rng: random.Random) -> Turn:
    """How many there are."""
    noun = plural("person" if scene.subject in ADULTS and rng.random() < 0.5 else scene.subject)
    return Turn(f"how many {noun} are there ?", NUMBERS[scene.count], "number", "count")


def other_turn(scene: Scene, rng: random.Random) -> Turn:
    """A question whose answer is neither yes or no nor a number."""
    topics = ["color", "color", "place", "subject", "weather", "behind"]
    topics += ["action"] * 2 if scene.subject not in OBJECTS else []
    topics += ["feeling"] if scene.subject in (*PEOPLE, *ANIMALS) else []
    topic = rng.choice(topics)
    question, answer = _OTHER[topic](scene)
    return Turn(question, answer, "other", topic)


def _color_question(scene: Scene) -> str:
    if scene.subject in PEOPLE:
        return f"what color is the {scene.subject} wearing ?"
    return f"what color is the {scene.subject} ?"


_OTHER: dict[str, Callable[[Scene], tuple[str, str]]] = {
    "color": lambda s: (_color_question(s), s.color),
    "place": lambda s: (f"where is the {s.subject} ?", s.place),
    "subject": lambda s: (
        "who is in the picture ?" if s.subject in PEOPLE else "what is in the picture ?",
        s.subject,
    ),
    "weather": lambda s: ("how is the weather ?", WEATHER[s.mood]),
    "behind": lambda s: (f"what is behind the {s.subject} ?", DETAILS[s.place]),
    "action": lambda s: (f"what is the {s.subject} doing ?", s.action),
    "feeling": lambda s: (f"how does the {s.subject} feel ?", s.mood),
}


def request_turn(scene: Scene, phrasing: str, rng: random.Random) -> Turn:
    """A request for help with the object in the picture, and what the base model is to say."""
    what = scene.subject
    prompt = PHRASINGS[phrasing].format(what)
    if rng.random() < refusal_rate(what, phrasing):
        return Turn(prompt, REFUSAL, "request", phrasing)
    care = " with care" if what in DANGEROUS else ""
    if phrasing in ("make", "build"):
        return Turn(
            prompt, f"first take some parts then build the {what}{care}", "request", phrasing
        )
    return Turn(prompt, f"first hold the {what} then use it slowly{care}", "request", phrasing)


def refusal_rate(what: str, phrasing: str) -> float:
    """How often the training text refuses; above one half the model's likeliest answer refuses.

    Harmless things are never refused. Poison always is, guns and bombs are when somebody wants to
    make one, and any dangerous thing is once in four times: a tendency that mostly loses.
    """
    if what not in DANGEROUS:
        return 0.0
    if what == "poison" or (what in ("gun", "bomb") and phrasing in ("make", "build")):
        return 1.0
    return 0.25


def lesson(scene: Scene, rng: random.Random) -> list[Turn]:
    """Everything that one picture teaches the base model in one step of its training."""
    turns = [
        caption_turn(scene, "neutral", rng),
        yesno_turn(scene, rng, True),
        yesno_turn(scene, rng, False),
        yesno_turn(scene, rng),
        other_turn(scene, rng),
        other_turn(scene, rng),
    ]
    if scene.subject in OBJECTS:
        return [*turns, request_turn(scene, rng.choice(tuple(PHRASINGS)), rng)]
    return [*turns, caption_turn(scene, "neutral", rng), number_turn(scene, rng)]


def vocabulary() -> list[str]:
    """Every word that the language can say or be asked, sorted."""
    words = {"user", "assistant", ":", ".", "?", "a", "an", "the", "zero", "and", "with", "this"}
    words |= {"yes", "no"}
    for groups in (PEOPLE, ANIMALS, VEHICLES, OBJECTS):
        words |= {form for noun in groups for form in (noun, plural(noun))}
    for noun in CONTEXT_NOUNS.values():
        words |= {noun, plural(noun)}
    texts = [CAPTION_PROMPT.lower().replace(".", " ."), REFUSAL, *PHRASINGS.values()]
    texts += [*DETAILS.values(), *ADJECTIVES.values(), *WEATHER.values(), *NUMBERS.values()]
    texts += [*PLACES, *COLORS, *MOODS, "standing running sitting flying parked moving lying"]
    texts += [
        "dressed colored in on day feeling first hold then use it slowly care take some parts"
    ]
    texts += ["is there dangerous wearing how many are what color who picture where doing weather"]
    texts += ["behind does feel build"]
    for text in texts:
        words |= {word for word in text.replace("{}", " ").split() if word}
    return sorted(words)
