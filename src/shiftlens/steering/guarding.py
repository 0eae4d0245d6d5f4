"""A gate at work: what it read, and what it decided for each column of the call under way."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor

from shiftlens.core.errors import SteeringError
from shiftlens.models.hooks import state_of
from shiftlens.models.model import Model
from shiftlens.steering.calls import Call, Tracker
from shiftlens.steering.gates import Gate, Leaf, Reading


class Guard:
    """A gate at work: it reads its blocks and holds what was decided for the call under way."""

    def __init__(
        self, model: Model, gate: Gate, tracker: Tracker, decided: Sequence[bool] | None
    ) -> None:
        self._model, self._gate, self._tracker = model, gate, tracker
        self._given = (
            None
            if decided is None
            else torch.tensor([bool(one) for one in decided], device=model.device)
        )
        self._leaves: tuple[Leaf, ...] = () if decided is not None else _once(gate.leaves())
        self._held: dict[Leaf, Tensor] = {}
        self._now: dict[Leaf, Tensor] = {}
        self._each = any(leaf.every_step for leaf in self._leaves)
        self._log: list[tuple[int, int, Tensor]] = []
        self._noted: tuple[int, int] = (-1, -1)
        self._asked: tuple[int, int] = (-1, -1)

    def watch(self, handles: ExitStack) -> None:
        """Hook the blocks that are read, before any of them is edited."""
        for leaf in self._leaves:
            if leaf.layer is None:
                continue
            layer = self._model.address.layer(leaf.layer, self._model.name)

            def read(_block: Any, _args: Any, output: Any, leaf: Leaf = leaf) -> None:
                if not self._tracker.paused:
                    self._read(leaf, self._tracker.call, state_of(output).detach())

            block = self._model.address.block(self._model.hf, layer)
            handles.callback(block.register_forward_hook(read).remove)

    def opened(self, call: Call) -> Tensor:
        """(b, t) or (b, 1): where the gate is open in this call.

        Raises:
            SteeringError: decisions were given for another number of samples.
        """
        if self._given is not None:
            flags = self._matching(self._given, call)[:, None]
            if call.starts:
                self._require_own(call, len(self._given))
        else:
            if self._asked != _mark(call):  # once a call, however many blocks are guarded
                self._asked = _mark(call)
                for leaf in self._leaves:
                    if leaf.layer is None:
                        self._read(leaf, call, None)
            decided = {leaf: self._decision(leaf, call) for leaf in self._leaves}
            flags = self._gate.combine(decided)
        self._note(call, flags)
        return flags

    def _decision(self, leaf: Leaf, call: Call) -> Tensor:
        if leaf.every_step:
            return self._now[leaf]
        return self._matching(self._held[leaf], call)[:, None]

    def _matching(self, decisions: Tensor, call: Call) -> Tensor:
        """One decision a row; several beams or samples of one prompt share theirs."""
        if len(decisions) and call.rows % len(decisions) == 0:
            return decisions.repeat_interleave(call.rows // len(decisions))
        raise SteeringError(
            f"{len(decisions)} gate decisions for {call.rows} samples",
            remedy="give decisions for exactly the batch that is run",
        )

    def _require_own(self, call: Call, n: int) -> None:
        """Refuse decisions that several rows would share though they are of different samples."""
        each = call.rows // n
        if each > 1 and call.ids is not None:
            alike = call.repeats
            if not all(alike[row] for row in range(call.rows - 1) if (row + 1) % each):
                raise SteeringError(
                    f"{n} gate decisions for {call.rows} samples",
                    remedy="give decisions for exactly the batch that is run",
                )

    def _read(self, leaf: Leaf, call: Call, states: Tensor | None) -> None:
        if not leaf.every_step:
            if call.starts:
                rows = torch.arange(call.rows, device=call.device)
                last = None if states is None else states[rows, call.last.to(states.device)]
                self._held[leaf] = self._ask(leaf, call, last, 0)
            return
        at = max(call.prompt_width - 1 - call.first_column, 0)
        decided = torch.zeros(call.rows, call.width, dtype=torch.bool, device=call.device)
        if call.starts:  # the prompt may be padded on either side
            rows = torch.arange(call.rows, device=call.device)
            last = None if states is None else states[rows, call.last.to(states.device)]
            decided[rows, call.last] = self._ask(leaf, call, last, 0)
        else:
            # Column by column, each at its own step: without a cache the same as with one.
            for column in range(at, call.width):
                some = None if states is None else states[:, column]
                step = call.first_column + column - call.prompt_width + 1
                decided[:, column] = self._ask(leaf, call, some, step)
        self._now[leaf] = decided

    def _ask(self, leaf: Leaf, call: Call, states: Tensor | None, step: int) -> Tensor:
        if states is not None and step == 0 and not bool(states.isfinite().all()):
            raise SteeringError(
                "the gate reads states that are no finite numbers",
                remedy="load the model in a wider type",
            )
        reading = Reading(states, step, call.rows, lambda: call.prompts)
        decided = leaf.decide(reading).to(call.device)
        if len(decided) != call.rows:
            raise SteeringError(
                f"{len(decided)} gate decisions for {call.rows} samples",
                remedy="a gate decides once for each row of what it is shown",
            )
        return decided

    def _note(self, call: Call, flags: Tensor) -> None:
        """Write down each decision once, however many blocks it guards."""
        mark = _mark(call)
        if mark == self._noted or not (call.starts or self._each):
            return
        self._noted = mark
        if self._each:
            alive = call.emits & flags
            flags = alive[:, call.fresh_from :] if call.fresh_from else alive
        first = call.first_sample
        place = call.first_column + call.fresh_from - call.prompt_width + 1
        self._log.append((first, place, flags))

    def ever_open(self) -> tuple[bool, ...]:
        """For each sample whether the gate was ever open."""
        opened = [False] * self._tracker.samples
        for first, _, flags in self._log:
            for row, flag in enumerate(flags.any(dim=1).tolist()):
                opened[first + row] = opened[first + row] or flag
        return tuple(opened)

    def steps(self) -> tuple[tuple[int, ...], ...]:
        """For each sample the positions at which an ``every_step`` gate was open."""
        if not self._each:
            return ()
        opened: list[list[int]] = [[] for _ in range(self._tracker.samples)]
        for first, place, flags in self._log:
            for row, column in flags.nonzero().tolist():
                opened[first + row].append(place + column)
        return tuple(tuple(steps) for steps in opened)


def _once(leaves: Sequence[Leaf]) -> tuple[Leaf, ...]:
    """Each gate once: one that occurs twice in a combination still decides once."""
    return tuple(dict.fromkeys(leaves))


def _mark(call: Call) -> tuple[int, int]:
    """What tells calls apart."""
    return call.number, call.first_column + call.width
