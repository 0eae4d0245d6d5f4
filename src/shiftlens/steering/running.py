"""One intervention while its context is open: what its hooks do, and what its gate said."""

from collections.abc import Sequence
from contextlib import ExitStack

import torch
from torch import Tensor

from shiftlens.models.hooks import edit
from shiftlens.models.model import Model
from shiftlens.steering.calls import Tracker
from shiftlens.steering.counting import Counter
from shiftlens.steering.guarding import Guard
from shiftlens.steering.intervening import Edit, Intervention
from shiftlens.steering.receipt import VectorReceipt
from shiftlens.steering.scopes import read_scope


class Running:
    """One intervention in the language model while its context is open."""

    def __init__(
        self, model: Model, one: Intervention, tracker: Tracker, decided: Sequence[bool] | None
    ) -> None:
        self.one, self._model, self._tracker = one, model, tracker
        self._scope = read_scope(one.scope)
        self._layers = one.resolve_layers(model)
        self._edit = Edit(one, model.device)
        self._guard = None if one.gate is None else Guard(model, one.gate, tracker, decided)
        self._counters = {layer: Counter(self._edit.along) for layer in self._layers}

    def watch(self, handles: ExitStack) -> None:
        """Hook the blocks that the gate reads."""
        if self._guard is not None:
            self._guard.watch(handles)

    def act(self, handles: ExitStack) -> None:
        """Hook the blocks that are edited; strength 0 edits nothing, but its gate is asked."""
        if self.one.strength != 0 or self._guard is not None:
            for layer, counter in self._counters.items():

                def change(states: Tensor, counter: Counter = counter) -> Tensor:
                    return self._change(states, counter)

                handles.enter_context(edit(self._model, layer, change))

    def _change(self, states: Tensor, counter: Counter) -> Tensor:
        if self._tracker.paused:
            return states
        call = self._tracker.call
        if self.one.strength == 0 or self._scope.idles(call):
            # What a gate decides at the prompt holds later on, and is reported in any case.
            if self._guard is not None and (call.starts or self.one.strength == 0):
                self._guard.opened(call)
            return states
        # A model may be spread over several devices, the inputs on the first of them.
        scope = self._scope.mask(call).to(states.device)
        mask = scope
        if self._guard is not None:
            mask = scope & self._guard.opened(call).to(states.device)
        first = call.first_sample
        if call.decodes:
            # No question to the device: what is not selected is put back as it was.
            changed = torch.where(mask[..., None], self._edit.apply(states), states)
            counter.add(call, first, scope, mask, states, changed)
            return changed
        if not bool(mask.any()):
            counter.add(call, first, scope, mask, states, states)
            return states
        changed = states.clone()
        changed[mask] = self._edit.apply(states[mask])
        counter.add(call, first, scope, mask, states, changed)
        return changed

    def receipts(self) -> list[VectorReceipt]:
        """What happened so far, for each block."""
        return [self._receipt(layer, counter) for layer, counter in self._counters.items()]

    def _receipt(self, layer: int, counter: Counter) -> VectorReceipt:
        counter.settle()
        one, guard, places = self.one, self._guard, counter.places()
        return VectorReceipt(
            name=one.vector.name,
            layer=layer,
            scope=str(self._scope),
            strength=one.strength,
            operator=self._edit.name,
            selected=counter.selected,
            tokens=counter.tokens,
            samples=self._tracker.samples,
            touched=len(places),
            dose=counter.dose(),
            state_norm=counter.state_norm(),
            cosine=counter.cosine(),
            gate=one.gate.describe() if one.gate is not None else None,
            gate_open=() if guard is None else guard.ever_open(),
            gate_steps=() if guard is None else guard.steps(),
            places=places,
        )
