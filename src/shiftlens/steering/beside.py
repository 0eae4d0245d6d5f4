"""Steering beside the language model: whole pictures, or their patches, in the vision tower.

The tower runs once, with the prompt; everything that the language model reads of a picture has
passed through it. Only whole pictures and rectangles can be meant, and only what is known before
any token is read can guard them: the prompt's words, or decisions from an unsteered pass.
"""

import math
from collections.abc import Sequence
from contextlib import ExitStack

import torch
from torch import Tensor

from shiftlens.core.errors import MismatchError, SteeringError
from shiftlens.models.hooks import edit
from shiftlens.models.model import Model
from shiftlens.models.picture_tokens import pictures_of
from shiftlens.models.towers import Piece, Tower, pieces_of
from shiftlens.steering.calls import Call, Tracker
from shiftlens.steering.counting import Counter
from shiftlens.steering.guarding import Guard
from shiftlens.steering.intervening import Edit, Intervention
from shiftlens.steering.receipt import VectorReceipt
from shiftlens.steering.scopes import Image, Patches, read_scope


class RunningBeside:
    """One intervention in the vision tower or the projector while its context is open."""

    def __init__(
        self, model: Model, one: Intervention, tracker: Tracker, decided: Sequence[bool] | None
    ) -> None:
        self.one, self._model, self._tracker = one, model, tracker
        self._scope = read_scope(one.scope)
        self._tower: Tower = one.tower
        self._layers = one.resolve_layers(model)
        self._edit = Edit(one, model.device)
        self._guard = None if one.gate is None else Guard(model, one.gate, tracker, decided)
        self._counters = {layer: Counter(self._edit.along) for layer in self._layers}

    def watch(self, handles: ExitStack) -> None:
        """Nothing is read here: see the module's text."""

    def act(self, handles: ExitStack) -> None:
        """Hook the blocks that are edited; strength 0 edits nothing, but its gate is asked."""
        if self.one.strength != 0 or self._guard is not None:
            for layer, counter in self._counters.items():

                def change(states: Tensor, counter: Counter = counter) -> Tensor:
                    return self._change(states, counter)

                handles.enter_context(edit(self._model, layer, change, tower=self._tower))

    def _change(self, states: Tensor, counter: Counter) -> Tensor:
        if self._tracker.paused:
            return states
        call = self._tracker.picture_call
        if states.shape[-1] != self.one.d:
            raise MismatchError(
                f"vector {self.one.vector.name!r} has {self.one.d} entries",
                allowed=f"the {self._tower} of {self._model.name} is {states.shape[-1]} wide",
            )
        opened = None if self._guard is None else self._guard.opened(call)[:, 0]
        if self.one.strength == 0:
            return states
        scope, mask = self._masks(call, states, opened)
        changed = states
        if bool(mask.any()):
            changed = states.clone()
            changed[mask] = self._edit.apply(states[mask])
        if call.starts:  # without a cache the pictures may be read again: they count once
            self._count(call, counter, scope, mask, states, changed)
        return changed

    def _masks(self, call: Call, states: Tensor, opened: Tensor | None) -> tuple[Tensor, Tensor]:
        """Rows of the scope, and those of them whose gate is open."""
        scope = torch.zeros(states.shape[:-1], dtype=torch.bool, device=states.device)
        mask = scope.clone()
        for piece in self._pieces(call, states):
            chosen = self._chosen(piece, states)
            scope[piece.index] = chosen
            mask[piece.index] = chosen & (opened is None or bool(opened[piece.sample]))
        return scope, mask

    def _pieces(self, call: Call, states: Tensor) -> list[Piece]:
        if call.ids is None:
            raise SteeringError(
                "pictures cannot be told apart: the model was called with embeddings",
                remedy="call it with input_ids",
            )
        rows = pictures_of(self._model, call.ids[:, : call.prompt_width], call.pictures)
        counts, grid = [len(row) for row in rows], call.pictures.get("image_grid_thw")
        return pieces_of(self._model, self._tower, states, counts, grid)

    def _chosen(self, piece: Piece, states: Tensor) -> Tensor:
        """(patches,) those that the scope selects in one picture."""
        scope = self._scope
        whole = torch.ones(piece.patches, dtype=torch.bool, device=states.device)
        if isinstance(scope, Image):
            return whole if scope.index in (None, piece.number) else ~whole
        assert isinstance(scope, Patches)  # ``check`` lets no other one through
        if piece.number != scope.index:
            return ~whole
        return _inside(scope, piece, states, self._tower)

    def _count(
        self, call: Call, counter: Counter, scope: Tensor, mask: Tensor, before: Tensor,
        after: Tensor,
    ) -> None:  # fmt: skip
        for piece in self._pieces(call, before):
            at = piece.index
            counter.add_rows(
                call.first_sample + piece.sample, scope[at], mask[at], before[at], after[at]
            )

    def receipts(self) -> list[VectorReceipt]:
        """What happened so far, for each block; places are numbers of patches, from 0."""
        return [
            VectorReceipt(
                name=self.one.vector.name,
                layer=layer,
                scope=f"{self._scope} in the {self._tower}",
                strength=self.one.strength,
                operator=self._edit.name,
                selected=counter.selected,
                tokens=counter.tokens,
                samples=self._tracker.samples,
                touched=len(counter.places()),
                dose=counter.dose(),
                state_norm=counter.state_norm(),
                cosine=counter.cosine(),
                gate=None if self.one.gate is None else self.one.gate.describe(),
                gate_open=() if self._guard is None else self._guard.ever_open(),
                places=counter.places(),
            )
            for layer, counter in self._counters.items()
        ]


def _inside(scope: Patches, piece: Piece, states: Tensor, tower: str) -> Tensor:
    """(patches,) those of a square grid whose centre is in the box; a class token is not."""
    extra = 0
    side = math.isqrt(piece.patches)
    if side * side != piece.patches:
        extra, side = 1, math.isqrt(piece.patches - 1)
    if isinstance(piece.index, slice) or side * side + extra != piece.patches:
        raise SteeringError(
            f"the {piece.patches} patches of a picture in the {tower} lie in no known grid",
            remedy='steer the whole picture instead: scope "image"',
        )
    left, top, right, bottom = scope.box
    middle = (torch.arange(side, device=states.device) + 0.5) / side
    across, down = (middle >= left) & (middle < right), (middle >= top) & (middle < bottom)
    chosen = (down[:, None] & across[None, :]).flatten()
    return torch.cat([chosen.new_zeros(extra), chosen])
