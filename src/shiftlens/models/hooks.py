"""Recording and editing the residual stream: our own hook handles, always given back.

Nothing is wrapped or patched: ``model.hf`` is the same module, with the same bits, before and after
each context, also when an exception leaves it.
"""

from collections import OrderedDict
from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from jaxtyping import Float
from torch import Tensor, nn

from shiftlens.core.errors import SteeringError
from shiftlens.models.model import Model
from shiftlens.models.towers import Tower, layer_of, modules_of

State = Float[Tensor, "... d"]

RECORDERS = "transformers.utils.output_capturing"
"""The module whose hooks record hidden states, once a call has asked for them."""


def state_of(output: Any) -> State:
    """The residual stream in a block's output, which is a tensor or a tuple that begins with it.

    Raises:
        SteeringError: the output is neither.
    """
    state = output[0] if isinstance(output, tuple) and output else output
    if not isinstance(state, Tensor):
        raise SteeringError(
            f"a block returned {type(output).__name__}", allowed="a tensor, or a tuple of tensors"
        )
    return state


def with_state(output: Any, new: State) -> Any:
    """The same output with another residual stream in it."""
    return (new, *output[1:]) if isinstance(output, tuple) else new


@dataclass(frozen=True)
class Recording:
    """What was seen at some blocks.

    Attributes:
        states: for each layer one tensor per forward call, in order: the whole state (b, t, d), or
            what ``keep`` made of it. While generating with a cache the first call is the prompt and
            every later one is a single position.
    """

    states: dict[int, list[Tensor]] = field(default_factory=dict[int, list[Tensor]])

    def clear(self) -> None:
        """Forget what was seen so far, for example between batches."""
        for seen in self.states.values():
            seen.clear()


@contextmanager
def record(
    model: Model,
    layers: Iterable[int],
    *,
    keep: Callable[[Tensor], Tensor] | None = None,
    tower: Tower = "language",
) -> Generator[Recording]:
    """Record the residual stream after some blocks during every forward call inside the context.

    Args:
        model: whose blocks.
        layers: indices of blocks; negative ones count from the end.
        keep: what to keep of a state (b, t, d); everything by default. The result is detached and
            shares no memory with the model's own tensors.
        tower: whose blocks: those of the language model, of the vision tower (where a state has a
            row for each picture), or the projector.

    Yields:
        the recording, filled as the model runs. Its keys are non-negative layers.

    Raises:
        SiteError: a layer that the model does not have.
    """
    indices = [layer_of(model, tower, layer) for layer in layers]
    blocks = modules_of(model, tower)
    recording = Recording({layer: [] for layer in indices})
    with ExitStack() as handles:
        for layer, seen in recording.states.items():
            hook = _recorder(seen, keep)
            handles.callback(blocks[layer].register_forward_hook(hook).remove)
        yield recording


def _recorder(
    seen: list[Tensor], keep: Callable[[Tensor], Tensor] | None
) -> Callable[[nn.Module, Any, Any], None]:
    def hook(_block: nn.Module, _args: Any, output: Any) -> None:
        state = state_of(output).detach()
        kept = state if keep is None else keep(state)
        if kept.untyped_storage().data_ptr() == state.untyped_storage().data_ptr():
            # A view would keep the whole state alive and see what later modules write into it.
            kept = kept.clone()
        seen.append(kept)

    return hook


@contextmanager
def edit(
    model: Model, layer: int, change: Callable[[Tensor], Tensor], *, tower: Tower = "language"
) -> Generator[None]:
    """Replace the residual stream after a block during every forward call inside the context.

    Contexts nest: of two edits of one block, the outer one comes first. A recording that was opened
    inside an edit of the same block sees the edited state, one opened outside the original one.

    Args:
        model: whose block.
        layer: index of the block; negative ones count from the end.
        change: from a state (b, t, d) to its replacement, of the same shape, without writing into
            its input; it may return its input, which then stays untouched bit for bit.
        tower: whose block, as for ``record``.

    Raises:
        SiteError: a layer that the model does not have.
        SteeringError: the replacement has another shape.
    """
    index = layer_of(model, tower, layer)

    def hook(_block: nn.Module, _args: Any, output: Any) -> Any:
        state = state_of(output)
        new = change(state)
        if new is state:
            return None
        if new.shape != state.shape:
            raise SteeringError(
                f"an edit of layer {index} turned a state of shape {tuple(state.shape)} into "
                f"{tuple(new.shape)}",
                allowed="the same shape",
            )
        return with_state(output, new.to(state))

    block = modules_of(model, tower)[index]
    handle = block.register_forward_hook(hook)
    with _before_recorders(block):
        try:
            yield
        finally:
            handle.remove()


@contextmanager
def _before_recorders(block: nn.Module) -> Generator[None]:
    """Let transformers' own recorders of hidden states see what was edited, then put them back.

    From the first call on that asked for hidden states they sit before every later hook. A model
    that is shown a hidden state of its vision tower would be shown the state as it was.
    """
    # torch offers hooks in front of all others, or behind them, and no order but that.
    hooks = cast("OrderedDict[int, Any]", block._forward_hooks)  # pyright: ignore[reportPrivateUsage]
    before = list(hooks)
    recorders = [key for key in before if getattr(hooks[key], "__module__", "") == RECORDERS]
    if not recorders:
        yield
        return
    for key in recorders:
        hooks.move_to_end(key)
    try:
        yield
    finally:
        for key in before:
            if key in hooks:
                hooks.move_to_end(key)
