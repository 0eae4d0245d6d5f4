"""Which forward pass of a generation is under way, and which of its columns are what.

A tracker watches the calls of the whole model and knows, for each, which columns are prompt, which
are generated and which are padding: with a key-value cache (the prompt in one call, then a column a
call) and without (every call repeats the sequence), with beams, which change places between calls.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from shiftlens.core.errors import SteeringError
from shiftlens.models.generation import decode
from shiftlens.models.model import Model
from shiftlens.models.picture_tokens import seen_by_row
from shiftlens.models.prompts import Inputs


@dataclass(frozen=True, eq=False)
class Call:
    """One forward pass of the whole model; its masks are worked out when first asked for.

    Attributes:
        model: whose pass it is.
        number: of the generation that it belongs to, from 0.
        first_sample: number of its first row among all samples seen.
        starts: whether it is the first call of its generation, the one that holds the prompt.
        rows: how many sequences there are.
        width: how many columns this call has.
        first_column: place of its first column in the whole sequence, padding included.
        fresh_from: the first column of this call that no earlier call held; without a cache every
            call repeats the earlier ones.
        prompt_width: how many columns the prompts took.
        ids: (b, t) tokens; ``None`` where the model is called with embeddings.
        attention: (b, any) the mask that came with the call, if it was a plain one.
        masked: whether any mask came with it.
        pictures: the other inputs of the generation's first call, pictures among them.
        history: (b, s) all tokens up to this call's end, as far as they are known.
        idle: tokens behind which nothing more is said.
    """

    model: Model
    number: int
    first_sample: int
    starts: bool
    rows: int
    width: int
    first_column: int
    fresh_from: int
    prompt_width: int
    ids: Tensor | None
    attention: Tensor | None
    masked: bool
    pictures: Mapping[str, Any]
    history: Sequence[Tensor]
    idle: tuple[int, ...]
    device: torch.device

    @property
    def decodes(self) -> bool:
        """Whether this call is one generated column and nothing else, as with a cache."""
        return self.width == 1 and self.first_column >= self.prompt_width

    @cached_property
    def columns(self) -> Tensor:
        """(t,) places of this call's columns in the whole sequence."""
        return torch.arange(self.first_column, self.first_column + self.width, device=self.device)

    @cached_property
    def generated(self) -> Bool[Tensor, "b t"]:
        """Columns behind the prompt."""
        return (self.columns >= self.prompt_width).expand(self.rows, self.width)

    @cached_property
    def real(self) -> Bool[Tensor, "b t"]:
        """Columns that are not padding, and not behind the end of a finished response."""
        alive = self._unfinished()
        if self.decodes:
            return alive
        given = self.attention
        if given is None or given.shape[1] < self.width:
            # Without any mask every column is read, whatever its token: ends of earlier turns too.
            return alive if self.masked else alive | ~self.generated
        return given[:, -self.width :].bool() & (alive | ~self.generated)

    @cached_property
    def last(self) -> Tensor:
        """(b,) the last real column of the prompt, where this call holds the prompt."""
        prompt = self.real & ~self.generated
        return (prompt * (self.columns - self.first_column + 1)).argmax(dim=1)

    @cached_property
    def last_prompt(self) -> Bool[Tensor, "b t"]:
        """The column that emits the first response token."""
        if self.first_column >= self.prompt_width:
            return torch.zeros(self.rows, self.width, dtype=torch.bool, device=self.device)
        return torch.arange(self.width, device=self.device) == self.last[:, None]

    @cached_property
    def emits(self) -> Bool[Tensor, "b t"]:
        """Columns that emit a response token: the last prompt column and all generated ones."""
        return self.real if self.decodes else self.real & (self.last_prompt | self.generated)

    @cached_property
    def repeats(self) -> list[bool]:
        """For each row but the first whether its prompt and pictures are those of the row above.

        So it is with beams, and with several samples of one prompt.
        """
        prompts = self.history[0][:, : self.prompt_width]
        alike: list[bool] = (prompts[1:] == prompts[:-1]).all(dim=1).tolist()
        seen = seen_by_row(self.model, prompts, self.pictures) if any(alike) else None
        if seen is None:
            return alike
        return [
            same and all(map(torch.equal, above, below))
            for same, (above, below) in zip(alike, pairwise(seen), strict=True)
        ]

    @cached_property
    def prompts(self) -> list[str]:
        """The prompts with their template, decoded, without special tokens.

        Raises:
            SteeringError: the model was called with embeddings, which cannot be read.
        """
        if not self.history:
            raise SteeringError(
                "the prompt's tokens are not known: the model was called with embeddings",
                remedy="call it with input_ids",
            )
        ids = self.history[0][:, : self.prompt_width].tolist()
        return [decode(self.model, row) for row in ids]

    def _unfinished(self) -> Tensor:
        """A finished sample of a batch goes on as padding, whatever its mask says."""
        if self.ids is None or not self.idle:
            return torch.ones(self.rows, self.width, dtype=torch.bool, device=self.device)
        alive = self.ids != self.idle[0]
        for token in self.idle[1:]:
            alive = alive & (self.ids != token)
        return alive


class Aside:
    """Announced (``model.tenancy.announcing``) for a pass that no steering context may touch."""


class Tracker:
    """Follows the calls of a model through generations; a forward pre-hook feeds it."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._idle = idle_tokens(model)
        self._prompt: Tensor | None = None
        self._prompt_width = self._width = 0
        self._number, self.samples = -1, 0
        self._pictures: Mapping[str, Any] = {}
        self._history: list[Tensor] = []
        self._call: Call | None = None
        self._speaker: nn.Module | None = None
        self._cached = False

    @property
    def paused(self) -> bool:
        """Whether a pass runs that is none of the user's: every open context lets it be."""
        return isinstance(self._model.tenancy.running, Aside)

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

    @property
    def picture_call(self) -> Call:
        """The call whose pictures are being read, which may come before the model itself is called.

        Raises:
            SteeringError: they are read ahead, and nobody said of what.
        """
        if self._speaker is not None and self._call is not None:
            return self._call
        inputs = self._model.tenancy.running
        if not isinstance(inputs, Inputs):
            raise SteeringError(
                "the pictures are read before it is known to which prompts they belong",
                remedy="use model.generate, model.respond or steer_responses in place of "
                "model.hf.generate",
            )
        tensors = inputs.tensors
        rows, width = tensors["input_ids"].shape
        return Call(
            model=self._model,
            number=self._number + 1,
            first_sample=self.samples,
            starts=True,
            rows=int(rows),
            width=int(width),
            first_column=0,
            fresh_from=0,
            prompt_width=inputs.prompt_width,
            ids=tensors["input_ids"],
            attention=tensors.get("attention_mask"),
            masked="attention_mask" in tensors,
            pictures=_pictures(tensors),
            history=[tensors["input_ids"]],
            idle=self._idle,
            device=tensors["input_ids"].device,
        )

    def end(self, module: nn.Module, _args: Any, _output: Any) -> None:
        """A call is over: a forward hook of every one of ``speakers``."""
        if not self.paused and module is self._speaker:
            self._speaker = None

    def begin(self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Take in the arguments of a call: a forward pre-hook of every one of ``speakers``.

        A call of a part inside a call of the whole model is the same call.

        Raises:
            SteeringError: it goes on from a cache that was filled before the context was opened, or
                that did not grow call by call.
        """
        if self.paused or self._speaker is not None:
            return
        ids = kwargs.get("input_ids", args[0] if args else None)
        if ids is None and module is not self._model.hf:
            ids = self._announced(kwargs)
        given: Tensor = ids if ids is not None else kwargs["inputs_embeds"]
        rows, width = int(given.shape[0]), int(given.shape[1])
        past = _past_length(kwargs)
        if past and past != self._width:
            raise SteeringError(
                f"a call goes on from {past} cached positions, where {self._width} were seen",
                allowed="generations that begin inside the context, one token after the other",
                remedy="give the whole prompt, without past_key_values or assisted decoding",
            )
        cached = kwargs.get("past_key_values") is not None
        repeats = not (past or cached or self._cached) and self._repeats(ids, width)
        starts = past == 0 and not repeats
        if starts:
            self._number += 1
            self.samples += rows
            self._prompt, self._prompt_width = ids, width
            self._pictures = self._pictures_of(ids, kwargs)
        self._remember(ids, whole=past == 0)
        mask = kwargs.get("attention_mask")
        self._call = Call(
            model=self._model,
            number=self._number,
            first_sample=self.samples - rows,
            starts=starts,
            rows=rows,
            width=width,
            first_column=past,
            fresh_from=self._width if repeats else 0,
            prompt_width=self._prompt_width,
            ids=ids,
            attention=mask if isinstance(mask, Tensor) and mask.ndim == 2 else None,
            masked=mask is not None,
            pictures=self._pictures,
            history=self._history,
            idle=self._idle,
            device=given.device,
        )
        self._width, self._speaker, self._cached = past + width, module, cached

    def _pictures_of(self, ids: Tensor | None, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """What a generation sees: some families encode it ahead, and drop how it was laid out."""
        own = self._model.tenancy.running
        known: dict[str, Any] = {}
        if isinstance(own, Inputs) and ids is not None:
            prompts = own.tensors["input_ids"]
            known = _pictures(own.tensors) if torch.equal(prompts, ids) else {}
        return known | _pictures(kwargs)

    def _announced(self, kwargs: Mapping[str, Any]) -> Tensor | None:
        """The prompts' tokens, where a part is given what the whole model embedded of them."""
        own, given = self._model.tenancy.running, kwargs.get("inputs_embeds")
        if not isinstance(own, Inputs) or given is None:
            return None
        ids = own.tensors["input_ids"]
        return ids if ids.shape == given.shape[:2] else None

    def _remember(self, ids: Tensor | None, *, whole: bool) -> None:
        if ids is None:
            self._history = []
        elif whole:
            self._history = [ids]
        elif self._history:
            self._history.append(ids)

    def _repeats(self, ids: Tensor | None, width: int) -> bool:
        """Whether a call without cache is the last call's sequence with one token more.

        Beams change places between calls, but only among the rows of one prompt.
        """
        if self._call is None or width != self._width + 1:
            return False
        if ids is None or self._prompt is None:
            return ids is None and self._prompt is None
        prompt = self._prompt
        return ids.shape[0] == prompt.shape[0] and torch.equal(ids[:, : prompt.shape[1]], prompt)


def _pictures(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The tensors that are neither tokens nor their mask, and what was encoded ahead."""
    return {
        name: value
        for name, value in inputs.items()
        if (isinstance(value, Tensor) and name not in ("input_ids", "attention_mask"))
        or (name == "mm_encoder_outputs" and value)
    }


def speakers(model: Model) -> list[nn.Module]:
    """The modules whose calls are generation's: the whole model, and the part that some hand it to.

    BLIP embeds text and pictures and lets its language model generate from there on.
    """
    path = model.address.blocks_path.split(".")
    owners = [model.hf.get_submodule(".".join(path[:depth])) for depth in range(len(path))]
    return [owner for owner in owners if callable(getattr(owner, "generate", None))]


def idle_tokens(model: Model) -> tuple[int, ...]:
    """Tokens behind which nothing more is said: the ends of a response, and padding.

    Padding always counts, also where no end stands before it: a row that a stop string ended goes
    on so. A padding token that a model says itself cannot be told from that, and is not steered.
    """
    ends = model.hf.generation_config.eos_token_id or model.tokenizer.eos_token_id
    tokens = [*(ends if isinstance(ends, list) else [ends]), model.tokenizer.pad_token_id]
    return tuple(dict.fromkeys(token for token in tokens if token is not None))


def _past_length(kwargs: Mapping[str, Any]) -> int:
    """How many positions the cache holds before this call."""
    cache = kwargs.get("past_key_values")
    measure = getattr(cache, "get_seq_length", None)
    return int(measure()) if measure is not None else 0
