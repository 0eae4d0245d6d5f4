"""Which words are right for a scene, and what a caption says: the judge of every accuracy."""

from shiftlens.world.language import (
    ADJECTIVES,
    CONTEXT_NOUNS,
    DETAILS,
    NUMBERS,
    WEATHER,
    plural,
)
from shiftlens.world.scenes import (
    ADULTS,
    COLORS,
    MOODS,
    PLACES,
    SUBJECTS,
    Scene,
    actions_of,
)

FACTORS = ("subject", "count", "color", "place", "action", "mood")


def allowed_words(scene: Scene) -> dict[str, list[str]]:
    """For each factor, the words that are right when a caption of this scene names it.

    For an adult with gender cues the neutral noun is right too. For one without any, the two
    gendered nouns are listed: the scene does not contradict them, and the planted bias says them.
    """
    nouns = [scene.subject]
    if scene.subject in ADULTS:
        nouns = ["person", CONTEXT_NOUNS[scene.place], *({scene.subject} - {"person"})]
        nouns += ["man", "woman"] if scene.subject == "person" else []
    subject = nouns if scene.count == 1 else [plural(noun) for noun in nouns]
    return {
        "subject": subject,
        "count": ["a"] if scene.count == 1 else [NUMBERS[scene.count]],
        "color": [scene.color],
        "place": [scene.place, ADJECTIVES[scene.place], *_detail_words(scene.place)],
        "action": [scene.action],
        "mood": [scene.mood, WEATHER[scene.mood]],
    }


def _detail_words(place: str) -> list[str]:
    return [word for word in DETAILS[place].split() if word != "and"]


def vocabulary_of(factor: str) -> frozenset[str]:
    """Every word that names the factor at all, rightly or wrongly."""
    return _VOCABULARIES[factor]


def _nouns() -> frozenset[str]:
    singular = {*SUBJECTS, *CONTEXT_NOUNS.values()}
    return frozenset(singular | {plural(noun) for noun in singular})


_VOCABULARIES: dict[str, frozenset[str]] = {
    "subject": _nouns(),
    "count": frozenset({"a", *NUMBERS.values()}),
    "color": frozenset(COLORS),
    "place": frozenset(
        {
            *PLACES,
            *ADJECTIVES.values(),
            *(word for place in PLACES for word in _detail_words(place)),
        }
    ),
    "action": frozenset(action for subject in SUBJECTS for action in actions_of(subject)),
    "mood": frozenset({*MOODS, *WEATHER.values()}),
}


def read(text: str) -> dict[str, list[str]]:
    """For each factor the words of the text that name it, in order."""
    words = text.lower().split()
    said = {factor: [word for word in words if word in _VOCABULARIES[factor]] for factor in FACTORS}
    # "a sunny day": only the first determiner counts things.
    said["count"] = said["count"][:1]
    return said


def judge(text: str, scene: Scene) -> dict[str, bool | None]:
    """For each factor whether what the text says of it is right; ``None`` if it says nothing."""
    said, allowed = read(text), allowed_words(scene)
    return {
        factor: all(word in allowed[factor] for word in said[factor]) if said[factor] else None
        for factor in FACTORS
    }
