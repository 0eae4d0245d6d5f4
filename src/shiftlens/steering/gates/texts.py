"""Gates that decide by the prompt's words, and gates that a user writes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from shiftlens.activations.words.occurrences import word_spans
from shiftlens.core.errors import SteeringError
from shiftlens.steering.gates.gate import Decisions, Leaf, Reading


@dataclass(frozen=True, eq=False)
class PromptSays(Leaf):
    """Open where the prompt holds one of some words, whole and in any letter case.

    The prompt is read with its template: what the template writes ("user") is in all of them.

    Attributes:
        words: any of them.
    """

    words: tuple[str, ...]
    layer: int | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        if not self.words or any(not word.strip() for word in self.words):
            raise SteeringError(
                f"words {self.words} name nothing", allowed='PromptSays(("gun", "bomb"))'
            )

    def decide(self, reading: Reading) -> Decisions:
        """Whether each prompt says a word."""
        words = [word.strip() for word in self.words]
        return torch.tensor([bool(word_spans(text, words)) for text in reading.texts()])

    def describe(self) -> dict[str, Any]:
        """The gate as JSON."""
        return {"gate": "prompt says", "words": list(self.words)}


@dataclass(frozen=True, eq=False)
class When(Leaf):
    """Open where a function says so.

    Attributes:
        rule: from a ``Reading`` of m rows to m decisions.
        name: for receipts.
        layer: the block whose states the function is shown; ``None`` for none.
        every_step: ask again for every position that emits a token.
    """

    rule: Callable[[Reading], Tensor]
    name: str = "user function"
    layer: int | None = None
    every_step: bool = False

    def decide(self, reading: Reading) -> Decisions:
        """What the function says.

        Raises:
            SteeringError: it did not return one boolean a row.
        """
        said = self.rule(reading)
        if not isinstance(said, Tensor):  # pyright: ignore[reportUnnecessaryIsInstance]
            said = torch.as_tensor(said)
        if said.shape != (reading.rows,) or said.dtype != torch.bool:
            raise SteeringError(
                f"the gate {self.name!r} returned {said.dtype} of shape {tuple(said.shape)}",
                allowed=f"one boolean for each of {reading.rows} rows",
            )
        return said

    def describe(self) -> dict[str, Any]:
        """The gate as JSON; the function itself cannot be written down."""
        return {
            "gate": self.name,
            "layer": self.layer,
            "every_step": self.every_step,
        }
