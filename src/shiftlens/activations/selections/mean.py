"""``Mean``: one state a sample in place of several."""

from dataclasses import dataclass
from typing import Any

from shiftlens.activations.selections.prompt import ImageTokens, TextTokens
from shiftlens.activations.selections.response import ResponseTokens
from shiftlens.activations.selections.selection import Pick, PromptSelection, Said, Selection
from shiftlens.core.errors import SiteError
from shiftlens.data.sample import Sample

# Means that have a name of their own in every file that was ever written.
NAMED: dict[str, Selection] = {
    "mean response": ResponseTokens(),
    "mean image": ImageTokens(),
    "mean prompt": TextTokens(),
}


@dataclass(frozen=True)
class Mean(Selection):
    """The mean over the states of another selection.

    Attributes:
        of: that selection.
    """

    of: Selection

    def __post_init__(self) -> None:
        if not isinstance(self.of, Selection) or isinstance(self.of, Mean):
            raise SiteError(
                f"there is no mean of {self.of!r}", allowed="a selection: mean(response())"
            )

    @property
    def kind(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """As it is written down."""
        return next((name for name, one in NAMED.items() if one == self.of), "mean")

    @property
    def part(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Where the states lie."""
        return self.of.part

    def picks(self, sample: Sample, said: Said) -> list[Pick]:
        """One, over all positions of the other selection; of prompts it is taken at once."""
        if isinstance(self.of, PromptSelection):
            return [Pick((0,))]
        found = self.of.picks(sample, said)
        words = {one.word for one in found}
        positions = tuple(at for one in found for at in one.positions)
        return [Pick(positions, words.pop() if len(words) == 1 else "")]

    def describe(self) -> dict[str, Any]:
        """As JSON."""
        return {"kind": self.kind, **({"of": self.of.describe()} if self.kind == "mean" else {})}
