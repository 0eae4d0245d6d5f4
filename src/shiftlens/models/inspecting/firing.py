"""The proof of an address without weights: in one forward call a hook on every block fires once."""

import inspect
import re
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from shiftlens.models.address import Address
from shiftlens.models.inspecting.empty import NoValues, silence

_TOKENS = 6
_PATCHES = 4
_LONGEST = 160  # characters of an error in a report
# How transformers says that it wants a package, in the first of several paragraphs.
_PACKAGE = re.compile(r"requires the (\w+) library")


@dataclass(frozen=True)
class Proof:
    """What a forward call without weights showed about an address.

    Attributes:
        reason: why the address is not proven; empty if it is.
        final: whether trying another way would be of no use.
        whole: whether the whole model was run, up to its logits, or only its decoder.
        between: modules with weights that ran after the last block and are neither the final norm
            nor the unembedding: with them, norm and unembedding alone do not give the logits.
    """

    reason: str
    final: bool = False
    whole: bool = False
    between: tuple[str, ...] = ()


@dataclass
class _Seen:
    """What hooks saw in one call.

    Attributes:
        fired: blocks in the order of firing.
        after: paths of modules outside the blocks that ran since the latest block.
    """

    fired: list[int] = field(default_factory=list[int])
    after: list[str] = field(default_factory=list[str])


class _WrongShape(Exception):
    """A block does not give one state a token: there is no need to go on."""


def prove_address(hf: nn.Module, address: Address) -> Proof:
    """Run a model of the meta device on a few tokens and watch its blocks.

    The whole model is given text only, then with states of pictures if it takes them; if it cannot
    be run so, its decoder is given embeddings.

    Args:
        hf: the model, on the meta device.
        address: where its blocks should be.

    Returns:
        the proof: every block fired exactly once, in order, with a state (1, tokens, d).
    """
    ids = torch.zeros((1, _TOKENS), dtype=torch.long, device="meta")
    raw: Any = hf
    decoder: Any = raw.get_decoder()
    states = torch.zeros((1, _TOKENS, address.d), dtype=raw.dtype, device="meta")
    pictures = _picture_states(raw, address)
    ways: list[Callable[..., Any]] = [
        partial(hf, input_ids=ids),
        partial(hf, input_ids=ids, **pictures),
        partial(decoder, inputs_embeds=states),
        partial(decoder, input_ids=ids),
    ]
    proof = Proof("it was not run")
    for way in ways:
        tried = _watch(hf, address, partial(way, attention_mask=torch.ones_like(ids)))
        if not tried.reason or tried.final:
            return tried
        # What a call that ran showed says more than why another could not run.
        if not proof.reason.startswith("block"):
            proof = tried
    return proof


def refusal(proof: Proof) -> str:
    """Why a model whose blocks were looked for cannot be used; empty if it can."""
    if proof.reason or not proof.between:
        return proof.reason
    return f"{proof.between[0]} lies between its last block and its unembedding"


def _picture_states(raw: Any, address: Address) -> dict[str, Tensor]:
    """States of one picture for the families whose blocks cross-attend to them."""
    wanted = inspect.signature(raw.forward).parameters
    vision = getattr(raw.config, "vision_config", None)
    width = getattr(vision, "hidden_size", None) or getattr(vision, "embed_dim", address.d)
    made = {
        "cross_attention_states": (1, _PATCHES, address.d),
        "image_encoder_embeddings": (1, 1, _PATCHES, width),
        "image_attention_mask": (1, _TOKENS, 1),
    }
    return {
        name: torch.zeros(shape, dtype=raw.dtype, device="meta")
        for name, shape in made.items()
        if name in wanted
    }


def _watch(hf: nn.Module, address: Address, call: Callable[..., Any]) -> Proof:
    with _hooks(hf, address) as seen:
        try:
            with torch.no_grad(), NoValues(), silence():
                call(use_cache=False)
        except _WrongShape as error:
            return Proof(str(error), final=True)
        except Exception as error:  # a family may fail in any way
            return Proof(f"cannot be run without weights ({said(error)})")
    own = {path for path in (address.norm_path, address.head_path) if path is not None}
    between = [path for path in dict.fromkeys(seen.after) if not _is_part(path, own)]
    whole = address.head_path in seen.after
    return Proof(_judge(seen, address), whole=whole, between=tuple(between))


def _is_part(path: str, owners: set[str]) -> bool:
    return any(f"{path}.".startswith(f"{owner}.") for owner in owners)


def _judge(seen: _Seen, address: Address) -> str:
    """What is wrong with what was seen; empty if nothing is."""
    for layer in range(address.n_layers):
        count = seen.fired.count(layer)
        if count != 1:
            return f"block {layer} of {address.blocks_path} was called {count} times, not once"
    if seen.fired != sorted(seen.fired):
        return f"blocks of {address.blocks_path} are not called in their order"
    return ""


@contextmanager
def _hooks(hf: nn.Module, address: Address) -> Generator[_Seen]:
    seen = _Seen()

    def leave(layer: int, _module: nn.Module, _args: Any, output: Any) -> None:
        state = output[0] if isinstance(output, tuple) and output else output
        shape = tuple(getattr(state, "shape", ()))
        if shape != (1, _TOKENS, address.d):
            raise _WrongShape(
                f"block {layer} of {address.blocks_path} gives {shape} for {_TOKENS} tokens, not "
                f"one state of width {address.d} for each"
            )
        seen.fired.append(layer)
        seen.after.clear()

    def run(path: str, _module: nn.Module, _args: Any, _output: Any) -> None:
        seen.after.append(path)

    own = {path for path in (address.norm_path, address.head_path) if path is not None}
    blocks = {f"{address.blocks_path}.{layer}" for layer in range(address.n_layers)}
    with ExitStack() as stack:
        for layer in range(address.n_layers):
            block = address.block(hf, layer)
            stack.callback(block.register_forward_hook(partial(leave, layer)).remove)
        for path, module in hf.named_modules():
            outside = not _is_part(path, blocks) and not _is_part(address.blocks_path, {path})
            weighted = next(module.parameters(recurse=False), None) is not None or path in own
            if outside and weighted:
                stack.callback(module.register_forward_hook(partial(run, path)).remove)
        yield seen


def said(error: BaseException) -> str:
    """What an error says, in as few words as fit in a report."""
    missing = _PACKAGE.search(str(error)) if isinstance(error, ImportError) else None
    if missing is not None:
        return f"it needs the package {missing[1]}, which is not installed"
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"[:_LONGEST].rstrip(": ")
