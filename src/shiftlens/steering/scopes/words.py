"""Positions at which a word has been read, in the prompt and in the response."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool
from torch import Tensor

from shiftlens.activations.words.occurrences import find_words
from shiftlens.core.errors import SteeringError
from shiftlens.models.generation import decode
from shiftlens.models.model import Model
from shiftlens.models.processing.placeholders import placeholder_tokens
from shiftlens.models.prompts import Inputs
from shiftlens.steering.calls import Call
from shiftlens.steering.scopes.scope import Scope


@dataclass(frozen=True)
class Words(Scope):
    """The last token of each whole occurrence of some words; letter case does not count.

    In the response a word counts as soon as its last token has been read: what comes next is not
    known yet ("dog" is steered at even if "s" follows), with a cache or without.

    Attributes:
        words: any of them.
        where: ``prompt``, ``response`` or ``both``.
    """

    words: tuple[str, ...]
    where: str = "both"
    from_prompt: bool = field(init=False, default=True)

    def __post_init__(self) -> None:
        if not self.words or any(not word.strip() for word in self.words):
            raise SteeringError(f"words {self.words} name nothing", allowed='words("dog")')
        if self.where not in ("prompt", "response", "both"):
            raise SteeringError(
                f"words in the {self.where!r} cannot be steered at",
                allowed="where: prompt, response, both",
            )
        object.__setattr__(self, "from_prompt", self.where != "response")

    def mask(self, call: Call) -> Bool[Tensor, "b t"]:
        """The last tokens of the words in this call's columns.

        Raises:
            SteeringError: the tokens are not known, or beams hide which word a row is in.
        """
        if not call.history or call.ids is None:
            raise SteeringError(
                "words cannot be found: the model was called with embeddings",
                remedy="call it with input_ids, or choose another scope",
            )
        chosen = torch.zeros(call.rows, call.width, dtype=torch.bool)
        rows = torch.cat(list(call.history), dim=1).tolist()
        if self.where != "prompt" and call.first_column == call.prompt_width:
            self._refuse_beams(call)
        skipped = frozenset(placeholder_tokens(call.model.hf, call.model.processor))
        for number, row in enumerate(rows):
            if self.where != "response" and call.first_column < call.prompt_width:
                for at in self._in_prompt(call.model, row[: call.prompt_width], skipped):
                    chosen[number, at] = True
            if self.where != "prompt":
                said = row[call.prompt_width :]
                first = max(call.first_column, call.prompt_width) - call.prompt_width
                for at in range(first, len(said)):
                    if self._ends(call.model, said[: at + 1]):
                        chosen[number, at + call.prompt_width - call.first_column] = True
        return chosen.to(call.device) & call.real

    def idles(self, call: Call) -> bool:
        """Words of the prompt alone leave decoding alone, those of the response the prompt."""
        return call.decodes if self.where == "prompt" else self.where == "response" and call.starts

    def _in_prompt(self, model: Model, row: Sequence[int], skipped: frozenset[int]) -> list[int]:
        places = [at for at, token in enumerate(row) if token not in skipped]
        ids = [row[at] for at in places]
        text = decode(model, ids)
        found = find_words(text, ids, lambda some: decode(model, some), self.words)
        return [places[one.last_token] for one in found]

    def _ends(self, model: Model, said: Sequence[int]) -> bool:
        """Whether a word has just been said to its end."""
        text = decode(model, said)
        found = find_words(text, said, lambda some: decode(model, some), self.words)
        return any(one.last_token == len(said) - 1 for one in found)

    def _refuse_beams(self, call: Call) -> None:
        """With a cache, beams change places unseen: a word of several tokens cannot be followed."""
        if all(_single(call.model, word) for word in self.words):
            return
        own = call.model.tenancy.running  # ``generate`` of our own has no beams
        if (isinstance(own, Inputs) and len(own) == call.rows) or not any(call.repeats):
            return
        raise SteeringError(
            f"words {', '.join(self.words)} have several tokens, and beams hide what a row says",
            allowed="one sequence for each prompt, or use_cache=False, or words of one token",
        )

    def __str__(self) -> str:
        where = "" if self.where == "both" else f"@{self.where}"
        return f"words{where}:{','.join(self.words)}"


def words(*words: str, where: str = "both") -> Words:
    """The positions at which one of some words has been read.

    Args:
        words: matched whole, in any letter case.
        where: ``prompt``, ``response`` or ``both``.

    Raises:
        SteeringError: no words, or an unknown ``where``.
    """
    return Words(tuple(word.strip() for word in words), where)


def _single(model: Model, word: str) -> bool:
    """Whether every usual spelling of a word is one token."""
    cases = {word, word.lower(), word.capitalize()}
    spellings = [spelling for case in cases for spelling in (case, f" {case}")]
    return all(len(model.tokenizer.encode(s, add_special_tokens=False)) == 1 for s in spellings)
