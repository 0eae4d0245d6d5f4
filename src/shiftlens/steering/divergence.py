"""How far steering moves the first response token: the KL divergence to the unsteered model."""

import inspect
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor

from shiftlens.core.errors import SteeringError
from shiftlens.models.model import Model
from shiftlens.models.prompts import Inputs
from shiftlens.steering.calls import Aside, Tracker

_STATE = ("past_key_values", "use_cache", "cache_position", "logits_to_keep")


class FirstTokens:
    """Runs each prompt once more without steering, and compares what the first token could be.

    Args:
        model: who is steered.
        tracker: of its calls.
        pictures: whether pictures themselves are steered, and have to be encoded again.

    Attributes:
        divergences: KL(steered, unsteered) in nats, for each sample in the order seen.
    """

    def __init__(self, model: Model, tracker: Tracker, *, pictures: bool = False) -> None:
        self._model, self._tracker, self._pictures = model, tracker, pictures
        self.divergences: list[float] = []

    def watch(self, handles: ExitStack) -> None:
        """Hook the end of every pass of the whole model."""
        hook = self._model.hf.register_forward_hook(self._compare, with_kwargs=True)
        handles.callback(hook.remove)

    def _compare(
        self, _module: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], output: Any
    ) -> None:
        tracker = self._tracker
        if tracker.paused or not tracker.call.starts:
            return
        call = tracker.call
        last = call.last
        steered = _at(output.logits.detach(), last)
        plain = {name: value for name, value in kwargs.items() if name not in _STATE}
        if self._pictures and plain.get("mm_encoder_outputs"):
            plain = self._unencoded()
        known = inspect.signature(self._model.hf.forward).parameters
        keep = kwargs.get("logits_to_keep")
        if keep is not None and "logits_to_keep" in known:
            plain["logits_to_keep"] = keep
        # Announced, so that the contexts around this one do not steer or count this pass either.
        with torch.no_grad(), self._model.tenancy.announcing(Aside()):
            logits = self._model.hf(*args, **plain, use_cache=False).logits
        self.divergences += divergence(steered, _at(logits, last))

    def _unencoded(self) -> dict[str, Any]:
        """The inputs with pixels: what was encoded ahead of the call was encoded under steering."""
        own = self._model.tenancy.running
        if not isinstance(own, Inputs) or len(own) != self._tracker.call.rows:
            raise SteeringError(
                "of the prompt's pictures only what steering made of them is known",
                remedy="use model.generate, model.respond or steer_responses in place of "
                "model.hf.generate, or leave first_token_kl out",
            )
        return dict(own.tensors)


def divergence(steered: Tensor, unsteered: Tensor) -> list[float]:
    """KL(steered, unsteered) of (b, v) logits or their log-softmax, for each row, in nats.

    Raises:
        SteeringError: logits that are not numbers.
    """
    if bool(steered.isnan().any() | unsteered.isnan().any()):
        raise SteeringError(
            "the logits of the first token are not numbers",
            remedy="steer less strongly, or load the model in a wider type",
        )
    p, q = (torch.log_softmax(one.float(), dim=-1) for one in (steered, unsteered))
    # What is impossible in both adds nothing; 0 times minus infinity would not be a number.
    terms = torch.where(p.isneginf(), 0.0, p.exp() * (p - q))
    # Rounding may leave a tiny negative number where nothing was changed.
    return terms.sum(dim=-1).clamp_min(0.0).tolist()


def _at(logits: Tensor, last: Tensor) -> Tensor:
    """(b, v) logits of the last prompt position; some models return only those."""
    if logits.shape[1] == 1:
        return logits[:, 0]
    rows = torch.arange(len(logits), device=logits.device)
    return logits[rows, last.to(logits.device)]
