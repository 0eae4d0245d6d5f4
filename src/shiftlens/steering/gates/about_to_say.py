"""Open where the model is about to say one of some words, read off its own unembedding."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from shiftlens.core.errors import MismatchError, SteeringError
from shiftlens.models.generation import decode
from shiftlens.models.model import Model
from shiftlens.models.readout import Readout
from shiftlens.steering.calls import idle_tokens
from shiftlens.steering.gates.gate import Decisions, StateGate

_END = "(the end)"


@dataclass(frozen=True, eq=False)
class AboutToSay(StateGate):
    """Open where the likeliest next token begins one of some words; nothing has to be fitted.

    At the last block the readout is the model's own prediction, and the gate knows what a greedy
    decoder will say unless it is steered. Before it, it is the logit lens, which is only a guess.
    It decides at every step: that is what it is for.

    Attributes:
        words: as they were given.
        token_ids: first tokens of their spellings.
        readout: final norm and unembedding; ``None`` in a gate that was read from a file, until
            it is ``bound`` to a model, as ``steer`` does.
        layer: the block after which the state is read.
        every_step: decide again for every position that emits a token.
    """

    words: tuple[str, ...]
    token_ids: frozenset[int]
    readout: Readout | None
    layer: int  # pyright: ignore[reportIncompatibleVariableOverride]
    every_step: bool = True

    @staticmethod
    def of(model: Model, *words: str, or_to_end: bool = False, layer: int = -1) -> "AboutToSay":
        """A gate for some words of a model, or for the end of what it says.

        Args:
            model: whose readout and tokenizer.
            words: in any letter case; a word counts from its first token on, which longer words may
                share.
            or_to_end: open also where the response is about to end.
            layer: the block after which the state is read.

        Raises:
            SteeringError: no words, or one that the tokenizer does not know.
            SiteError: a layer that the model does not have.
        """
        if not (words or or_to_end) or any(not word.strip() for word in words):
            raise SteeringError(f"words {words} name nothing", allowed='AboutToSay.of(m, "woman")')
        found: set[int | None] = set(idle_tokens(model)) if or_to_end else set()
        unknown = model.tokenizer.unk_token_id
        for word in words:
            own = {
                _first_token(model, spelling)
                for text in (word, word.capitalize())
                for spelling in (text, f" {text}")
            } - {unknown, None}
            if not own:
                raise SteeringError(f"the tokenizer of {model.name} does not know {word!r}")
            found |= own
        at = model.address.layer(layer, model.name)
        named = (*words, _END) if or_to_end else words
        return AboutToSay(
            named, frozenset(one for one in found if one is not None), model.readout, at
        )

    def opens(self, states: Float[Tensor, "m d"]) -> Decisions:
        """Whether the likeliest next token begins one of the words.

        Raises:
            SteeringError: the gate was read from a file, and is not bound to a model.
        """
        if self.readout is None:
            raise SteeringError(
                "the gate about words to be said has no model to read them with",
                remedy="steer with it, or bind it: gate.bound(model)",
            )
        likeliest = self.readout.logits(states).argmax(dim=-1)
        return torch.isin(likeliest, torch.tensor(sorted(self.token_ids), device=likeliest.device))

    def bound(self, model: Model) -> "AboutToSay":
        """The gate with the model's readout; one that has a readout is returned as it is.

        Raises:
            MismatchError: the model writes the words with other tokens.
        """
        if self.readout is not None:
            return self
        words = tuple(word for word in self.words if word != _END)
        made = AboutToSay.of(model, *words, or_to_end=_END in self.words, layer=self.layer)
        if made.token_ids != self.token_ids:
            raise MismatchError(
                f"the gate knows {', '.join(self.words)} by other tokens than {model.name} has",
                remedy='make the gate anew: AboutToSay.of(model, "word")',
            )
        return replace(self, readout=model.readout)

    def describe(self) -> dict[str, Any]:
        """The gate as JSON."""
        return {
            "gate": "about to say",
            "layer": self.layer,
            "words": list(self.words),
            "every_step": self.every_step,
        }


def _first_token(model: Model, spelling: str) -> int | None:
    """The first token that is more than a space: some tokenizers write the space by itself."""
    for token in model.tokenizer.encode(spelling, add_special_tokens=False):
        if decode(model, [token]).strip():
            return int(token)
    return None
