"""``steer``: a context in which a model is steered, and a receipt of what happened."""

import math
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from shiftlens.concepts.vectors import SteeringVector
from shiftlens.core.errors import MismatchError, SteeringError
from shiftlens.models.hooks import edit, state_of
from shiftlens.models.model import Model
from shiftlens.steering.gates import Gate, NearestConcept, TwoPassGate
from shiftlens.steering.operators import Add, Operator
from shiftlens.steering.receipt import Receipt, VectorReceipt
from shiftlens.steering.scopes import Call, Tracker, require_scope


@dataclass(frozen=True)
class Intervention:
    """One vector and how it is applied.

    Attributes:
        vector: direction and layer.
        strength: how much of it; 1 is the whole vector.
        scope: which positions, one of ``shiftlens.core.scopes.SCOPES``.
        gate: for which samples; all of them without one.
        operator: what is done with the vector.
    """

    vector: SteeringVector
    strength: float = 1.0
    scope: str = "response"
    gate: Gate | None = None
    operator: Operator = field(default_factory=Add)


@contextmanager
def steer(
    model: Model,
    vectors: SteeringVector | Sequence[SteeringVector | Intervention],
    *,
    strength: float = 1.0,
    scope: str = "response",
    gate: Gate | None = None,
    decisions: Sequence[Sequence[bool] | None] | None = None,
) -> Generator[Receipt]:
    """Steer everything that the model generates inside the context.

    Works for ``model.generate``, ``model.respond`` and the raw ``model.hf.generate``, with and
    without a key-value cache, in batches and with beams. The model is given back bit for bit, also
    after an exception. Two nested contexts with opposite strengths cancel up to rounding.

    Args:
        model: who is steered.
        vectors: one vector, or several vectors and ``Intervention``s; bare vectors take the
            options below.
        strength: how much of a vector is added; 0 changes nothing at all.
        scope: which positions; by default those that emit the response.
        gate: for which samples.
        decisions: for each vector the decision of its gate for each sample of the one batch that
            will be run, where it is known beforehand; ``None`` where it is not.

    Yields:
        the receipt, complete when the context is left.

    Raises:
        SteeringError: unknown scope or layer, a gate that reads behind the block that it guards;
            and on leaving, if nothing was generated, or a scope selected no position.
        MismatchError: a vector of another width or of another model's weights.
    """
    alone = isinstance(vectors, SteeringVector)
    wanted = [
        one if isinstance(one, Intervention) else Intervention(one, strength, scope, gate)
        for one in ([vectors] if alone else vectors)
    ]
    if not wanted:
        raise SteeringError("no vector to steer with")
    known = decisions or [None] * len(wanted)
    if len(known) != len(wanted):
        raise SteeringError(f"{len(known)} lists of decisions for {len(wanted)} vectors")
    for one, decided in zip(wanted, known, strict=True):
        _check(model, one, decided)
    receipt, tracker = Receipt(), Tracker(model)
    running = [
        _Running(model, one, tracker, decided) for one, decided in zip(wanted, known, strict=True)
    ]
    with ExitStack() as handles:
        # Not a context of our own around ``forward``: the user may call the raw module.
        handles.callback(
            model.hf.register_forward_pre_hook(
                lambda _module, args, kwargs: tracker.begin(args, kwargs), with_kwargs=True
            ).remove
        )
        # All gates first: at a block that is also edited they must read the state before the edit.
        for one in running:
            one.watch(handles)
        for one in running:
            one.act(handles)
        try:
            yield receipt
        finally:
            receipt.vectors = tuple(one.receipt() for one in running)
    _require_effect(tracker, running)


def _check(model: Model, one: Intervention, decided: Sequence[bool] | None) -> None:
    vector, gate = one.vector, one.gate
    if not isinstance(vector, SteeringVector):
        raise SteeringError(
            f"a {type(vector).__name__} is not a steering vector",
            allowed="a SteeringVector, which knows its layer (not its bare direction)",
        )
    if not isinstance(one.strength, int | float) or not math.isfinite(one.strength):
        raise SteeringError(f"strength {one.strength!r} is not a finite number")
    require_scope(one.scope)
    model.address.layer(vector.layer, model.name)
    if len(vector.direction) != model.address.d:
        raise MismatchError(
            f"vector {vector.name!r} has {len(vector.direction)} entries",
            allowed=f"{model.name} has a residual stream of width {model.address.d}",
        )
    theirs = (vector.provenance.get("model") or {}).get("weights")
    if theirs is not None and theirs != model.identity["weights"]:
        raise MismatchError(
            f"vector {vector.name!r} comes from other weights than {model.name}",
            remedy="use the model that the vector was made with, or one adapter apart from it",
        )
    if gate is None or decided is not None:
        return
    if isinstance(gate, TwoPassGate):
        raise SteeringError(
            "a two-pass gate needs an unsteered response before it can decide",
            remedy="use steer_responses(model, samples, ...), which runs both passes",
        )
    if isinstance(gate, NearestConcept) and gate.concepts.site.normed:
        raise SteeringError(
            "the gate's concepts come from states behind the final norm",
            remedy="harvest the same site without normed=True",
        )
    if gate.layer > vector.layer:
        raise SteeringError(
            f"the gate reads block {gate.layer}, behind block {vector.layer} that it guards",
            allowed=f"a gate at block {vector.layer} or before",
        )


class _Running:
    """One intervention while its context is open."""

    def __init__(
        self,
        model: Model,
        one: Intervention,
        tracker: Tracker,
        decided: Sequence[bool] | None,
    ) -> None:
        self.one, self._model, self._tracker = one, model, tracker
        self._direction = one.vector.direction.to(model.device)
        self._given = None if decided is None else torch.tensor(decided, device=model.device)
        self._open: Tensor | None = None
        self._decisions: list[bool] = []
        self.selected = self.tokens = self._samples = self._touched = 0
        self._norms = self._cosines = 0.0

    def watch(self, handles: ExitStack) -> None:
        """Hook the block that the gate reads."""
        gate = self.one.gate
        if gate is not None and self._given is None:
            block = self._model.address.block(self._model.hf, gate.layer)
            handles.callback(block.register_forward_hook(self._decide).remove)

    def act(self, handles: ExitStack) -> None:
        """Hook the block that is edited; strength 0 edits nothing."""
        if self.one.strength != 0:
            handles.enter_context(edit(self._model, self.one.vector.layer, self._change))

    def _decide(self, _block: Any, _args: Any, output: Any) -> None:
        call, gate = self._tracker.call, self.one.gate
        if call.starts and gate is not None:
            self._open = gate.decide(state_of(output).detach()[:, -1])

    def _change(self, states: Tensor) -> Tensor:
        call = self._tracker.call
        mask = self._mask(call)
        self._count(call, states, mask)
        if not bool(mask.any()):
            return states
        changed = states.clone()
        changed[mask] = self.one.operator.apply(states[mask], self._direction, self.one.strength)
        return changed

    def _mask(self, call: Call) -> Tensor:
        """Positions of the scope, in samples whose gate is open."""
        mask = call.mask(self.one.scope)
        self.selected += int(mask.sum())
        if self.one.gate is None:
            return mask
        opened = self._given if self._given is not None else self._open
        if opened is None or len(opened) != len(mask):
            raise SteeringError(
                f"{0 if opened is None else len(opened)} gate decisions for {len(mask)} samples",
                remedy="give decisions for exactly the batch that is run",
            )
        if call.starts:
            self._decisions += [bool(flag) for flag in opened.tolist()]
        return mask & opened[:, None]

    def _count(self, call: Call, states: Tensor, mask: Tensor) -> None:
        tokens = int(mask.sum())
        self.tokens += tokens
        if call.starts:
            self._samples += len(mask)
            # Every scope but "generated" touches a sample in its first call or never.
            touched = mask.any(dim=1)
            if self.one.scope == "generated":
                opened = self._given if self._given is not None else self._open
                touched = torch.ones_like(touched) if opened is None else opened
            self._touched += int(touched.sum())
        if tokens:
            chosen = states[mask].float()
            self._norms += float(chosen.norm(dim=1).sum())
            cosine = torch.nn.functional.cosine_similarity
            self._cosines += float(cosine(chosen, self._direction[None].float(), dim=1).sum())

    def receipt(self) -> VectorReceipt:
        """What happened so far."""
        one = self.one
        mean_norm = self._norms / self.tokens if self.tokens else 0.0
        return VectorReceipt(
            name=one.vector.name,
            layer=one.vector.layer,
            scope=one.scope,
            strength=one.strength,
            tokens=self.tokens,
            samples=self._samples,
            touched=self._touched,
            dose=abs(one.strength) * one.vector.norm / mean_norm if mean_norm else 0.0,
            cosine=self._cosines / self.tokens if self.tokens else 0.0,
            gate=one.gate.describe() if one.gate is not None else None,
            gate_open=tuple(self._decisions),
        )


def _require_effect(tracker: Tracker, running: Sequence[_Running]) -> None:
    """A context in which nothing ran, or a scope that selected nothing, is an error."""
    if tracker.generations == 0:
        raise SteeringError(
            "nothing was generated inside the steering context",
            remedy="call model.generate or model.respond inside it",
        )
    for one in running:
        if one.one.strength != 0 and one.selected == 0:
            raise SteeringError(
                f"the scope {one.one.scope!r} selected no position: {one.one.vector.name} did "
                "nothing",
                remedy="generate more than one token, or choose another scope",
            )
