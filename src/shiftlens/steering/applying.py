"""``steer``: a context in which a model is steered, and a receipt of what happened."""

from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager

from shiftlens.concepts.vectors import SteeringVector
from shiftlens.core.errors import SteeringError
from shiftlens.models.model import Model
from shiftlens.steering.affine import AffineEdit
from shiftlens.steering.beside import RunningBeside
from shiftlens.steering.calls import Tracker, speakers
from shiftlens.steering.conflicts import conflicts
from shiftlens.steering.divergence import FirstTokens
from shiftlens.steering.gates import Gate
from shiftlens.steering.intervening import Intervention as Intervention
from shiftlens.steering.intervening import check
from shiftlens.steering.keeping.steering import Steering, several
from shiftlens.steering.operators import Operator
from shiftlens.steering.receipt import Receipt, require_effect
from shiftlens.steering.running import Running
from shiftlens.steering.scopes import Scope

Steerable = SteeringVector | AffineEdit | Intervention | Steering


@contextmanager
def steer(
    model: Model,
    vectors: Steerable | Sequence[Steerable],
    *,
    strength: float = 1.0,
    scope: str | Scope = "response",
    gate: Gate | None = None,
    operator: Operator | None = None,
    layers: Sequence[int] | None = None,
    first_token_kl: bool = False,
    decisions: Sequence[Sequence[bool] | None] | None = None,
) -> Generator[Receipt]:
    """Steer everything that the model generates inside the context.

    Works for ``model.generate``, ``model.respond`` and the raw ``model.hf.generate``, with and
    without a key-value cache, in batches and with beams. The model is given back bit for bit, also
    after an exception. Contexts nest: the outer one comes first, and two with opposite strengths
    cancel up to rounding. No other thread can use the model meanwhile.

    Args:
        model: who is steered.
        vectors: a vector, an affine edit, an ``Intervention`` or a ``Steering``, or several of
            them; interventions, also those of a ``Steering``, do not take the options below.
        strength: how much of a vector is added; 0 changes nothing at all.
        scope: which positions; by default those that emit the response.
        gate: for which samples, or at which steps.
        operator: what is done with a vector; it is added by default.
        layers: blocks after which it is applied; the vector's own by default.
        first_token_kl: measure how far the first token's distribution is moved, which costs a
            second pass over each prompt.
        decisions: for each vector the decision of its gate for each sample of the one batch that
            will be run, where it is known beforehand; ``None`` where it is not.

    Yields:
        the receipt, complete when the context is left.

    Raises:
        SteeringError: unknown scope or layer, a gate that reads behind what it guards;
            and on leaving, if nothing was generated, or a scope selected no position.
        MismatchError: a vector of another width or of another model's weights.
        ShiftLensError: another thread is using the model.
    """
    given = several(vectors)
    many = [
        part
        for one in given
        for part in (one.interventions if isinstance(one, Steering) else [one])
    ]
    chosen = None if layers is None else tuple(layers)
    wanted = [
        one
        if isinstance(one, Intervention)
        else Intervention(one, strength, scope, gate, operator, chosen)
        for one in many
    ]
    if not wanted:
        raise SteeringError("no vector to steer with")
    with open_steering(model, wanted, decisions, first_token_kl=first_token_kl) as receipt:
        yield receipt
    require_effect(receipt)


@contextmanager
def open_steering(
    model: Model,
    interventions: Sequence[Intervention],
    decisions: Sequence[Sequence[bool] | None] | None = None,
    *,
    first_token_kl: bool = False,
) -> Generator[Receipt]:
    """``steer`` without its last question, whether anything happened: for one batch of several."""
    interventions = [one.bound(model) for one in interventions]
    known = decisions or [None] * len(interventions)
    if len(known) != len(interventions):
        raise SteeringError(f"{len(known)} lists of decisions for {len(interventions)} vectors")
    pairs = list(zip(interventions, known, strict=True))
    for one, decided in pairs:
        check(model, one, decided)
    receipt, tracker = Receipt(), Tracker(model)
    receipt.conflicts = conflicts(model, interventions)
    running = [
        (Running if one.tower == "language" else RunningBeside)(model, one, tracker, decided)
        for one, decided in pairs
    ]
    seen = any(one.tower != "language" for one in interventions)
    compared = FirstTokens(model, tracker, pictures=seen) if first_token_kl else None
    with ExitStack() as handles:
        handles.enter_context(model.active())
        # Not a context of our own around ``forward``: the user may call the raw module.
        for module in speakers(model):
            handles.callback(
                module.register_forward_pre_hook(tracker.begin, with_kwargs=True).remove
            )
            # Also after an exception: later reading of pictures must not be taken for this call's.
            handles.callback(module.register_forward_hook(tracker.end, always_call=True).remove)
        if compared is not None:
            compared.watch(handles)
        # All gates first: at a block that is also edited they must read the state before the edit.
        for one in running:
            one.watch(handles)
        for one in running:
            one.act(handles)
        try:
            yield receipt
        finally:
            receipt.vectors = tuple(part for one in running for part in one.receipts())
            receipt.first_token_kl = None if compared is None else tuple(compared.divergences)
