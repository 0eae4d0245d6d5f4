"""``Intervention``: one vector or affine edit, how it is applied, and what is refused."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor

from shiftlens.concepts.vectors import SteeringVector
from shiftlens.core.errors import MismatchError, SteeringError
from shiftlens.models.claims import require_known
from shiftlens.models.model import Model
from shiftlens.models.picture_tokens import require_whole_pictures
from shiftlens.models.towers import Tower, layer_of, modules_of
from shiftlens.steering.affine import AffineEdit
from shiftlens.steering.gates import Active, Gate, Leaf, LinearGate, NearestConcept, TwoPassGate
from shiftlens.steering.operators import Add, Operator
from shiftlens.steering.scopes import Image, Patches, Scope, read_scope


@dataclass(frozen=True)
class Intervention:
    """One vector and how it is applied.

    Attributes:
        vector: direction and layer; or an affine edit, which brings its own operation.
        strength: how much of it; 1 is the whole vector.
        scope: which positions: one of ``shiftlens.core.scopes.SCOPES``, a picture, a word (see
            ``shiftlens.steering.scopes``).
        gate: for which samples; all of them without one.
        operator: what is done with the vector.
        layers: the blocks after which it is applied; the vector's own by default. A direction that
            was found at one layer need not mean the same at another.
    """

    vector: SteeringVector | AffineEdit
    strength: float = 1.0
    scope: str | Scope = "response"
    gate: Gate | None = None
    operator: Operator | None = None
    layers: tuple[int, ...] | None = None

    @property
    def d(self) -> int:
        """Width of the states that it fits."""
        vector = self.vector
        return len(vector.direction if isinstance(vector, SteeringVector) else vector.mean)

    @property
    def tower(self) -> Tower:
        """Where it lives: in the language model, the vision tower, or the projector."""
        return cast(Tower, self.vector.site.tower)

    def bound(self, model: Model) -> "Intervention":
        """The intervention with what its gate needs of a model; see ``Gate.bound``."""
        if not isinstance(self.gate, Gate):  # none, or something that ``check`` refuses
            return self
        gate = self.gate.bound(model)
        return self if gate is self.gate else replace(self, gate=gate)

    def resolve_layers(self, model: Model) -> tuple[int, ...]:
        """The blocks, counted from 0.

        Raises:
            SiteError: one that the model does not have.
            SteeringError: none, or one twice.
        """
        wanted = (self.vector.layer,) if self.layers is None else self.layers
        found = tuple(layer_of(model, self.tower, layer) for layer in wanted)
        if not found or len(set(found)) < len(found):
            raise SteeringError(
                f"layers {self.layers} of {self.vector.name!r}", allowed="one or more, each once"
            )
        return found


class Edit:
    """What is done to states, whether a vector or an affine edit says so."""

    def __init__(self, one: Intervention, device: torch.device) -> None:
        self._strength = one.strength
        vector = one.vector
        if isinstance(vector, SteeringVector):
            self._operator = one.operator or Add()
            self._direction, self._affine = vector.direction.to(device), None
            self.name = self._operator.name
        else:
            self._affine, self.name = vector, vector.kind

    def apply(self, states: Tensor) -> Tensor:
        """(..., d) changed states."""
        if self._affine is None:
            return self._operator.apply(states, self._direction, self._strength)
        flat = states.reshape(-1, states.shape[-1])
        return self._affine.apply(flat, self._strength).reshape(states.shape)

    def along(self, states: Tensor, change: Tensor) -> Tensor:
        """(m,) cosines of the states with the vector, or with an affine edit's change."""
        other = change if self._affine is not None else self._direction[None].to(states)
        return torch.nn.functional.cosine_similarity(states, other, dim=1)


def check(model: Model, one: Intervention, decided: Sequence[bool] | None) -> None:
    """Refuse what could not work, or would not mean what it says.

    Raises:
        SteeringError: no vector, a strength that is no number, a scope that does not exist, an
            operator beside an affine edit, a gate that reads behind what it guards.
        MismatchError: a vector of another width, or of another model's weights.
        SiteError: a layer that the model does not have.
    """
    if not isinstance(one.vector, SteeringVector | AffineEdit):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise SteeringError(
            f"a {type(one.vector).__name__} is not a steering vector",
            allowed="a SteeringVector, which knows its layer (not its bare direction)",
        )
    if not isinstance(one.strength, int | float) or not math.isfinite(one.strength):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise SteeringError(f"strength {one.strength!r} is not a finite number")
    if one.gate is not None and not isinstance(one.gate, Gate):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise SteeringError(
            f"{one.gate!r} is no gate",
            allowed='AboutToSay.of(model, "yes"), LDA.fit(...), ...',
            remedy="shiftlens.steering.reading.read_gate reads a typed one",
        )
    if one.operator is not None and not isinstance(one.operator, Operator):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise SteeringError(
            f"{one.operator!r} is no operator",
            allowed="Add(), AddKeepingNorm(), Ablate(), MoveTo(target)",
            remedy="shiftlens.steering.operators.read_operator reads a typed one",
        )
    scope, layers = read_scope(one.scope), one.resolve_layers(model)
    _check_vector(model, one)
    _check_decisions(one.gate, decided)
    if one.tower != "language":
        if isinstance(scope, Patches) or (isinstance(scope, Image) and scope.index is not None):
            require_whole_pictures(model)
        _require_read(model, one, layers)
        check_beside(one, scope, decided)
    elif one.gate is not None and decided is None:
        _check_gate(model, one.gate, scope, min(layers))


def _require_read(model: Model, one: Intervention, layers: Sequence[int]) -> None:
    """Refuse blocks of the vision tower behind the one that the language model is shown."""
    chosen = getattr(model.hf.config, "vision_feature_layer", None)
    if one.tower != "vision" or chosen is None:
        return
    n = len(modules_of(model, "vision"))
    # Of the hidden states, number 0 is what the first block is given.
    shown = [int(at) for at in (chosen if isinstance(chosen, list | tuple) else [chosen])]
    read = max(at + n if at < 0 else at - 1 for at in shown)
    if max(layers) > read:
        raise SteeringError(
            f"the language model is shown what block {read} of the vision tower makes: "
            f"steering after block {max(layers)} changes nothing",
            allowed=f"blocks 0..{read}",
        )


def _check_vector(model: Model, one: Intervention) -> None:
    vector = one.vector
    if isinstance(vector, AffineEdit) and one.operator is not None:
        raise SteeringError(
            f"{vector.name!r} is an affine edit and brings its own operation",
            remedy=f"leave the operator {one.operator.name} out",
        )
    if isinstance(vector, SteeringVector) and vector.norm == 0:
        operator = one.operator or Add()
        if not isinstance(operator, Add):
            raise SteeringError(
                f"{vector.name!r} has length 0, and no direction for {operator.name}"
            )
    if one.tower == "language" and one.d != model.address.d:
        raise MismatchError(
            f"vector {vector.name!r} has {one.d} entries",
            allowed=f"{model.name} has a residual stream of width {model.address.d}",
        )
    require_known(vector.provenance.get("model"), f"vector {vector.name!r}")
    theirs = (vector.provenance.get("model") or {}).get("weights")
    if theirs is not None and theirs != model.identity["weights"]:
        raise MismatchError(
            f"vector {vector.name!r} comes from other weights than {model.name}",
            remedy="use the model that the vector was made with, or one adapter apart from it",
        )


def _check_decisions(gate: Gate | None, decided: Sequence[bool] | None) -> None:
    """Refuse decisions of no gate, and two-pass gates without decisions."""
    if gate is None and decided is not None:
        raise SteeringError(
            "decisions were given for a vector without a gate",
            remedy="give the gate that they are of, or leave them out (None)",
        )
    if gate is None or decided is not None:
        return
    if isinstance(gate, TwoPassGate):
        raise SteeringError(
            "a two-pass gate needs an unsteered response before it can decide",
            remedy="use steer_responses(model, samples, ...), which runs both passes",
        )
    if any(isinstance(part, TwoPassGate) for part in gate.parts()):
        raise SteeringError(
            "a two-pass gate cannot be part of another gate",
            remedy="give its decisions, or combine gates that read while it steers",
        )


def require_own_states(model: Model, gate: Leaf) -> None:
    """Refuse a gate that was fitted on states of another kind, width or model.

    Raises:
        SteeringError: its concepts are not of the residual stream.
        MismatchError: another width, or other weights.
    """
    if isinstance(gate, NearestConcept | Active):
        site, d = gate.concepts.site, gate.concepts.d
        provenance = gate.concepts.provenance
        if site.normed or site.tower != "language":
            raise SteeringError(
                f"the gate reads a block's output, and its concepts come from {site}",
                allowed="concepts of the residual stream of the language model",
                remedy="harvest the same site without normed=True, tower='language'",
            )
    elif isinstance(gate, LinearGate):
        d, provenance = len(gate.weights), gate.provenance
    else:
        return
    if d != model.address.d:
        raise MismatchError(
            f"the gate reads states of width {d}",
            allowed=f"{model.name} has a residual stream of width {model.address.d}",
        )
    require_known(provenance.get("model"), "the gate")
    theirs = (provenance.get("model") or {}).get("weights")
    if theirs is not None and theirs != model.identity["weights"]:
        raise MismatchError(
            f"the gate was fitted on states of other weights than those of {model.name}",
            remedy="fit it on the model that is steered, or one adapter apart from it",
        )


def _check_gate(model: Model, gate: Gate, scope: Scope, layer: int) -> None:
    for leaf in gate.leaves():
        require_own_states(model, leaf)
        if leaf.every_step and scope.from_prompt:
            raise SteeringError(
                f"the gate decides where a token is emitted, and scope {scope} begins before that",
                allowed="scopes that begin there: response, last_prompt, generated, words@response",
                remedy="or a gate that decides once, at the prompt",
            )
        if leaf.layer is None:
            continue
        reads = model.address.layer(leaf.layer, model.name)
        if reads > layer:
            raise SteeringError(
                f"the gate reads block {reads}, behind block {layer} that it guards",
                allowed=f"a gate at block {layer} or before",
                remedy="or decide from an unsteered pass: TwoPassGate(gate)",
            )
        if scope.from_prompt:
            raise SteeringError(
                f"the gate reads the last prompt position, behind positions of scope {scope}",
                allowed="scopes that begin there: response, last_prompt, generated, words@response",
                remedy="or decide from an unsteered pass: TwoPassGate(gate)",
            )


def check_beside(one: Intervention, scope: Scope, decided: Sequence[bool] | None) -> None:
    """Refuse scopes and gates that have no meaning beside the language model.

    Raises:
        SteeringError: a scope of tokens, or a gate that reads blocks of the language model.
    """
    if not isinstance(scope, Image | Patches):
        raise SteeringError(
            f"{one.vector.name!r} lives in the {one.tower}, where the scope '{scope}' has no "
            "positions",
            allowed="scopes image, image:K, patches:LEFT,TOP,RIGHT,BOTTOM",
        )
    leaves = () if one.gate is None or decided is not None else one.gate.leaves()
    if any(leaf.layer is not None or leaf.every_step for leaf in leaves):
        raise SteeringError(
            f"a gate that reads the language model cannot guard the {one.tower} before it",
            allowed="PromptSays(...), or decisions from an unsteered pass: TwoPassGate(gate)",
        )
