"""Everything that a model does with some turns, and how far two of such runs are apart."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from shiftlens.models.checking import hidden_states_of
from shiftlens.models.generation import generate
from shiftlens.models.hooks import record
from shiftlens.models.model import Model, Response
from shiftlens.models.prompts import Inputs, Turn, encode_turns

NEW_TOKENS = 4
# See ``tolerance``.
_PER_BLOCK = {torch.float32: 256, torch.bfloat16: 3, torch.float16: 6}


@dataclass(frozen=True)
class Run:
    """What a model does with a batch of turns.

    Attributes:
        inputs: the batch.
        prompt: (layers, b, t, d) states at every position of the prompts.
        hidden: what transformers calls hidden states: before the first block, and after each.
        logits: (b, t, v) at every position of the prompts.
        said: the greedy responses.
        trail: (layers, b, steps, d) states from which the response tokens were emitted.
    """

    inputs: Inputs
    prompt: Tensor
    hidden: tuple[Tensor, ...]
    logits: Tensor
    said: list[Response]
    trail: Tensor

    def real(self, row: int) -> Tensor:
        """Which columns of a row are no padding."""
        return self.inputs.tensors["attention_mask"][row].bool()

    @property
    def tokens(self) -> list[tuple[int, ...]]:
        """The tokens of the responses."""
        return [one.token_ids for one in self.said]


def read(model: Model, inputs: Inputs) -> tuple[Tensor, Any]:
    """One pass of the raw module: states (layers, b, t, d), and its whole output."""
    with torch.no_grad(), model.active(), record(model, range(model.address.n_layers)) as seen:
        output = model.hf(**inputs.tensors, use_cache=False, output_hidden_states=True)
    return torch.stack([calls[0] for calls in seen.states.values()]), output


def run_of(model: Model, turns: list[Turn]) -> Run:
    """Read some turns in one batch, and answer them."""
    inputs = encode_turns(model, turns)
    prompt, output = read(model, inputs)
    with record(model, range(model.address.n_layers), keep=lambda state: state[:, -1:]) as seen:
        said = generate(model, inputs, max_new_tokens=NEW_TOKENS)
    trail = torch.stack([torch.cat(calls, dim=1) for calls in seen.states.values()])
    return Run(inputs, prompt, hidden_states_of(output), output.logits, said, trail)


def apart(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference of two tensors (layers, ...), as a share of each layer's scale."""
    worst = 0.0
    for mine, yours in zip(ours.float(), theirs.float(), strict=True):
        scale = float(yours.abs().max()) or 1.0
        worst = max(worst, float((mine - yours).abs().max()) / scale)
    return worst


def tolerance(model: Model) -> float:
    """How far two ways of computing one state may be apart, as a share of its layer's scale.

    The ways differ in the shapes of their products: with more rows, more columns, or a key at a
    time, sums are taken in another order. In float32 each entry then differs in its last digits;
    every block adds that and enlarges what it was given, by its random weights (which are 25 times
    as large as in released models). Over the table 2 to 400 ``eps`` were seen behind four blocks;
    256 a block are allowed. The half types are summed in float32 and rounded once, so that nearly
    all entries agree to the bit; one that lies on an edge moves by a whole ``eps``, and later
    blocks enlarge that. Edges are eight times as far apart in bfloat16 and crossed as rarely: up to
    6 ``eps`` were seen there and up to 20 in float16; 3 and 6 a block are allowed. What the twins
    do is more than 100 times the first and more than the others.
    """
    dtype = model.hf.get_input_embeddings().weight.dtype
    return _PER_BLOCK[dtype] * torch.finfo(dtype).eps * model.address.n_layers


def readable(model: Model, run: Run) -> tuple[Tensor, Tensor]:
    """Logits (n, v) at real positions, and which of them the family bars."""
    logits = run.logits[run.inputs.tensors["attention_mask"].bool()].float()
    return logits, logits <= torch.finfo(model.dtype).min / 2


def readout_error(model: Model, states: Tensor, run: Run) -> float:
    """How far norm and unembedding of states (b, t, d) are from a run's logits."""
    logits, barred = readable(model, run)
    said = model.readout.logits(states[run.inputs.tensors["attention_mask"].bool()])
    return apart(said[~barred][None], logits[~barred][None])


def emitted(said: Response) -> int:
    """How many states emitted a response: one a token, and one for the end."""
    return len(said.token_ids) + (not said.truncated)


def trails_apart(ours: dict[int, Tensor], theirs: dict[int, Tensor], said: list[Response]) -> float:
    """The largest difference at the positions that emitted responses."""
    both = [torch.stack(list(states.values())) for states in (ours, theirs)]
    return max(
        apart(*(states[:, row, : emitted(one)] for states in both)) for row, one in enumerate(said)
    )


def unmasked(inputs: Inputs) -> Inputs:
    """The same batch with its padding read as if it were text."""
    mask = torch.ones_like(inputs.tensors["attention_mask"])
    changed = {"attention_mask": mask}
    if "position_ids" in inputs.tensors:
        changed["position_ids"] = mask.cumsum(-1) - 1
    return replace(inputs, tensors=inputs.tensors | changed)
