"""Where single rows of a batch stop, while the others go on."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Enough = Callable[[Sequence[int]], bool]
"""Whether the tokens that a row has said are all that is wanted of it."""


class RowStops:
    """Stops each row at its own limit, or as soon as it has said enough.

    transformers asks it once after every step, and pads the rows that have stopped.

    Args:
        limits: how many tokens each row may say.
        enough: asked with a row's tokens after each step; ``None`` for limits alone.
    """

    def __init__(self, limits: Sequence[int], enough: Enough | None = None) -> None:
        self._limits = tuple(limits)
        self._enough = enough
        self._said: list[list[int]] = [[] for _ in limits]
        self.lengths: list[int | None] = [None] * len(self._limits)
        """After how many tokens each row was stopped; ``None`` for rows that were not."""

    def __call__(self, input_ids: Tensor, scores: object, **_: object) -> Tensor:  # noqa: ARG002
        """One boolean a row: whether it stops after the step that has just been made."""
        for row, token in enumerate(input_ids[:, -1].tolist()):
            if self.lengths[row] is None:
                self._said[row].append(token)
                n = len(self._said[row])
                # Asked at the limit as well: who listens hears the last token.
                done = self._enough is not None and self._enough(self._said[row])
                if done or n >= self._limits[row]:
                    self.lengths[row] = n
        stopped = [length is not None for length in self.lengths]
        return torch.tensor(stopped, device=input_ids.device)
