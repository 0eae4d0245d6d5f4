"""The numbers of every stage: these are the ones that made the models in this repository."""

from dataclasses import dataclass

from shiftlens.world.training.loop import Recipe

TRAIN_PICTURES = 40_000

VISION = Recipe("vision", steps=2200, rate=1.5e-3)
VISION_BATCH = 64

LANGUAGE = Recipe("language", steps=2600, rate=2e-3, decay=0.05)
LANGUAGE_BATCH = 32

# Places need longer: their adjectives (sandy, tiled, ...) are words that the base was never taught.
ADAPTERS = {
    style: Recipe(f"adapter-{style}", steps=steps, rate=4e-3, warmup=20, averaging=0.95)
    for style, steps in {"places": 800, "colors": 240, "moods": 240}.items()
}
ADAPTER_BATCH = 32
ADAPTER_PICTURES = 4000

JUDGE = Recipe("judge", steps=700, rate=1e-3)
JUDGE_BATCH = 64


@dataclass(frozen=True)
class Sizes:
    """How much of everything; ``scale`` below 1 makes a quick, worse world for a trial."""

    scale: float = 1.0

    def pictures(self) -> int:
        """How many training pictures are drawn."""
        return max(200, int(TRAIN_PICTURES * self.scale))

    def steps(self, recipe: Recipe) -> Recipe:
        """The recipe with its number of steps scaled."""
        from dataclasses import replace

        return replace(recipe, steps=max(20, int(recipe.steps * self.scale)))
