"""Inputs of one batch, made once for all models that would make the same of it."""

from collections.abc import Sequence

from shiftlens.models.model import Model
from shiftlens.models.prompts import Inputs, Turn, encode_turns


class Encodings:
    """The prompts of a batch as inputs, kept while models that share them take their turns.

    A base and its adapters have one processor, so text and pictures are processed once for all of
    them. Only the inputs made last are kept: a batch of several models needs the memory of one.
    """

    def __init__(self) -> None:
        self._key: tuple[object, ...] = ()
        self._turns: tuple[Turn, ...] = ()
        self._made: Inputs | None = None

    def of(self, model: Model, turns: Sequence[Turn]) -> Inputs:
        """Inputs without responses for a model; do not write into them.

        Args:
            model: who will read them.
            turns: prompts with their pictures; the same objects give the same inputs.

        Raises:
            DataError: see ``encode_turns``.
        """
        # What a processor makes of a turn, and what is taken from it for a class of models, is the
        # same for every model of the class that has this very processor, not one like it.
        key = (id(model.processor), type(model.hf), model.device, model.dtype)
        same = len(turns) == len(self._turns) and all(
            mine is theirs for mine, theirs in zip(turns, self._turns, strict=True)
        )
        if self._made is None or key != self._key or not same:
            self._made = None  # before the next ones are made: never two at once
            self._made = encode_turns(model, turns)
            self._key, self._turns = key, tuple(turns)
        return self._made
