"""Which positions of a forward pass are steered.

A tracker watches the calls of the whole model and knows, for each, which columns are prompt, which
are generated and which are padding: with a key-value cache (the prompt in one call, then one column
a call) and without (every call repeats the sequence).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from shiftlens.core.errors import SteeringError
from shiftlens.core.scopes import SCOPES
from shiftlens.models.model import Model


def require_scope(scope: str) -> None:
    """Refuse an unknown scope.

    Raises:
        SteeringError: the message lists the scopes.
    """
    if scope not in SCOPES:
        raise SteeringError(f"unknown scope {scope!r}", allowed=", ".join(SCOPES))


@dataclass(frozen=True)
class Call:
    """One forward pass of the whole model.

    Attributes:
        number: of the generation that it belongs to, from 0.
        starts: whether it is the first call of its generation, the one that holds the prompt.
        real: (b, t) columns that are not padding.
        generated: (b, t) columns behind the prompt.
        last_prompt: (b, t) the last prompt column, where this call holds it.
    """

    number: int
    starts: bool
    real: Bool[Tensor, "b t"]
    generated: Bool[Tensor, "b t"]
    last_prompt: Bool[Tensor, "b t"]

    def mask(self, scope: str) -> Bool[Tensor, "b t"]:
        """The columns that a scope selects in this call."""
        if scope == "all":
            return self.real
        if scope == "prompt":
            return self.real & ~self.generated
        if scope == "last_prompt":
            return self.real & self.last_prompt
        if scope == "generated":
            return self.real & self.generated
        return self.real & (self.last_prompt | self.generated)


class Tracker:
    """Follows the calls of a model through generations; a forward pre-hook feeds it."""

    def __init__(self, model: Model) -> None:
        self._idle = _idle_tokens(model)
        self._ids: Tensor | None = None
        self._prompt_width = 0
        self._number = -1
        self._call: Call | None = None

    @property
    def generations(self) -> int:
        """How many generations (or single forward passes) were seen."""
        return self._number + 1

    @property
    def call(self) -> Call:
        """The call under way.

        Raises:
            SteeringError: a block ran outside a call of the whole model.
        """
        if self._call is None:
            raise SteeringError("a block ran outside a call of the whole model")
        return self._call

    def begin(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Take in the arguments of a call of the whole model."""
        ids = kwargs.get("input_ids", args[0] if args else None)
        embeds = kwargs.get("inputs_embeds")
        shape = (ids if ids is not None else embeds).shape[:2]  # pyright: ignore[reportOptionalMemberAccess]
        past = _past_length(kwargs)
        repeats = past == 0 and self._repeats(ids)
        if past == 0 and not repeats:
            self._number += 1
            self._prompt_width = shape[1]
        self._ids = ids if past == 0 else self._ids
        device = (ids if ids is not None else embeds).device  # pyright: ignore[reportOptionalMemberAccess]
        column = torch.arange(past, past + shape[1], device=device).expand(*shape)
        starts = past == 0 and not repeats
        self._call = Call(
            number=self._number,
            starts=starts,
            real=self._real(kwargs.get("attention_mask"), ids, shape, column),
            generated=column >= self._prompt_width,
            last_prompt=column == self._prompt_width - 1,
        )

    def _repeats(self, ids: Tensor | None) -> bool:
        """Whether a call without cache is the last call's sequence with one token more."""
        if ids is None or self._ids is None or ids.shape[1] != self._ids.shape[1] + 1:
            return False
        return ids.shape[0] == self._ids.shape[0] and torch.equal(ids[:, :-1], self._ids)

    def _real(
        self,
        mask: Any,
        ids: Tensor | None,
        shape: tuple[int, int],
        column: Tensor,
    ) -> Tensor:
        real = torch.ones(shape, dtype=torch.bool, device=column.device)
        if isinstance(mask, Tensor) and mask.ndim == 2:
            real = mask[:, -shape[1] :].bool()
        if ids is not None and self._idle:
            # A finished sample of a batch goes on as padding, whatever its mask says.
            idle = torch.isin(ids, torch.tensor(self._idle, device=ids.device))
            real = real & ~(idle & (column >= self._prompt_width))
        return real


def _idle_tokens(model: Model) -> list[int]:
    """Tokens behind which nothing more is said: the ends of a response, and padding."""
    ends = model.hf.generation_config.eos_token_id or model.tokenizer.eos_token_id
    tokens = [*(ends if isinstance(ends, list) else [ends]), model.tokenizer.pad_token_id]
    return [token for token in tokens if token is not None]


def _past_length(kwargs: Mapping[str, Any]) -> int:
    """How many positions the cache holds before this call."""
    cache = kwargs.get("past_key_values")
    measure = getattr(cache, "get_seq_length", None)
    return int(measure()) if measure is not None else 0
