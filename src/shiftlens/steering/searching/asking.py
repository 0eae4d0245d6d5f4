"""Asking many settings the same questions: each batch is encoded once, each answer given once."""

import itertools
import math
from collections.abc import Generator, Hashable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from shiftlens import __version__
from shiftlens.core.errors import SteeringError
from shiftlens.core.manifest import digest
from shiftlens.core.progress import Progress
from shiftlens.data.sample import Sample, Samples
from shiftlens.models.generation import generate
from shiftlens.models.model import Model
from shiftlens.models.prompts import Inputs, Turn, encode_turns
from shiftlens.steering.applying import open_steering
from shiftlens.steering.divergence import divergence
from shiftlens.steering.intervening import Intervention
from shiftlens.steering.receipt import VectorReceipt
from shiftlens.steering.searching.keys import intervention_key
from shiftlens.steering.searching.ledger import Ledger

PLAIN = "unsteered"
"""The arm that steers with nothing."""


@dataclass(frozen=True, eq=False)
class Questions:
    """Samples of one data set, in the order in which they are asked.

    Attributes:
        name: of the data.
        samples: shuffled, so that every prefix is a random part.
        max_new_tokens: where an answer is cut off.
        cuts: numbers of samples that no batch crosses, growing: what a batch holds may change the
            last bits of an answer, and must not depend on how far the questions are asked.
    """

    name: str
    samples: tuple[Sample, ...]
    max_new_tokens: int
    cuts: tuple[int, ...] = ()

    def batches(self, start: int, end: int, size: int) -> list[tuple[Sample, ...]]:
        """The samples from ``start`` to ``end`` in batches of at most ``size``."""
        edges = [start, *(cut for cut in self.cuts if start < cut < end), end]
        return [
            self.samples[first : min(first + size, stop)]
            for begin, stop in itertools.pairwise(edges)
            for first in range(begin, stop, size)
        ]

    @property
    def groups(self) -> list[Hashable]:
        """For each sample what it shares with others that depend on it: its picture."""
        return [one.images or one.id for one in self.samples]


@dataclass
class Answers:
    """What one arm said to one set of questions so far.

    Attributes:
        texts: answers, in the order of the questions.
        kl: divergences of the first token's distribution from the unsteered one, in nats.
        selected: positions that the scope held.
        tokens: positions that were changed.
        touched: samples in which one was.
    """

    texts: list[str] = field(default_factory=list[str])
    kl: list[float] = field(default_factory=list[float])
    selected: int = 0
    tokens: int = 0
    touched: int = 0
    _lengths: float = 0.0

    @property
    def dose(self) -> float:
        """Mean length of the change over the mean length of the states that were changed."""
        return self.tokens / self._lengths if self._lengths else 0.0

    def add(self, body: Mapping[str, Any]) -> None:
        """Take in the answers to one batch."""
        self.texts += body["texts"]
        self.kl += body["kl"]
        selected, tokens, touched, dose = body["receipt"]
        self.selected += selected
        self.tokens += tokens
        self.touched += touched
        self._lengths += tokens / dose if dose else 0.0


class Asker:
    """Asks arms, and remembers what was said.

    Batches are the outer loop and arms the inner one: a batch's pictures are opened and encoded
    once for all arms, and only one batch is in memory at a time.

    Args:
        model: who is asked.
        ledger: what was said in earlier runs.
        batch_size: questions at once.
        progress: who is told.
    """

    def __init__(
        self, model: Model, ledger: Ledger, *, batch_size: int, progress: Progress
    ) -> None:
        if batch_size < 1:
            raise SteeringError(f"a batch of {batch_size} samples", allowed="at least 1")
        self._model, self._ledger, self._size = model, ledger, batch_size
        self._progress = progress
        self._answers: dict[tuple[Hashable, str], Answers] = {}
        self._model_key = digest(_identity(model))
        self.generated = 0
        """Answers that had to be generated; the others were known."""

    def answers(self, arm: Hashable, questions: Questions) -> Answers:
        """What an arm said to some questions so far."""
        return self._answers.setdefault((arm, questions.name), Answers())

    def ask(
        self,
        questions: Questions,
        arms: Mapping[Any, Intervention | None],
        end: int,
        label: str,
    ) -> None:
        """Ask every arm the questions up to ``end`` that it has not been asked.

        Args:
            questions: what is asked; all arms have been asked equally many of them.
            arms: by name; ``None`` for the unsteered model, which has to be among them.
            end: how many questions will have been asked.
            label: for the progress bar.

        Raises:
            SteeringError: a scope selected no position in any of them.
            DataError: a picture cannot be read.
        """
        start = len(self.answers(PLAIN, questions).texts)
        # An arm that missed a rung would be given the answers to other questions.
        assert all(len(self.answers(arm, questions).texts) == start for arm in arms)
        keys = {arm: intervention_key(one) for arm, one in arms.items()}
        self._progress.start(label, (end - start) * len(arms))
        try:
            for batch in questions.batches(start, end, self._size):
                self._batch(questions, batch, arms, keys)
        finally:
            self._progress.stop()
        for arm, one in arms.items():
            if one is not None and end > start and not self.answers(arm, questions).selected:
                raise SteeringError(
                    f"the scope '{one.scope}' selected no position in {end} samples of "
                    f"{questions.name}",
                    remedy="choose another scope",
                )

    def _batch(
        self,
        questions: Questions,
        batch: Sequence[Sample],
        arms: Mapping[Any, Intervention | None],
        keys: Mapping[Any, str | None],
    ) -> None:
        asked = [self._model_key, Samples(batch).fingerprint, questions.max_new_tokens]
        full = {arm: None if key is None else digest([*asked, key]) for arm, key in keys.items()}
        bodies = {arm: self._ledger.find(key) for arm, key in full.items()}
        if any(body is None for body in bodies.values()):
            bodies |= self._generate(questions, batch, arms, full, bodies)
        for arm, body in bodies.items():
            self.answers(arm, questions).add(body)
        self._progress.advance(len(arms) * len(batch))

    def _generate(
        self,
        questions: Questions,
        batch: Sequence[Sample],
        arms: Mapping[Any, Intervention | None],
        keys: Mapping[Any, str | None],
        known: Mapping[Any, Any],
    ) -> dict[Any, Any]:
        """Answers of the arms that have none; the unsteered model goes first, to compare with."""
        turns = [Turn.of(s) for s in batch]
        inputs = encode_turns(self._model, turns)
        # Where the answers are known, one token is enough to know the first distribution.
        limit = questions.max_new_tokens if known[PLAIN] is None else 1
        body, plain = _answer(self._model, inputs, None, limit, None)
        found = {PLAIN: body} if known[PLAIN] is None else {}
        for arm in (arm for arm in arms if arm != PLAIN and known[arm] is None):
            found[arm], _ = _answer(self._model, inputs, arms[arm], questions.max_new_tokens, plain)
        for arm, body in found.items():
            self._ledger.keep(keys[arm], body)
        self.generated += len(found) * len(batch)
        return found


def _answer(
    model: Model, inputs: Inputs, one: Intervention | None, limit: int, plain: Tensor | None
) -> tuple[dict[str, Any], Tensor]:
    """One arm's answers to a batch, and the (b, v) log-probabilities of its first token."""
    receipt: list[Any] = [0, 0, 0, 0.0]
    if one is None:
        with _first_token(model) as seen:
            said = generate(model, inputs, max_new_tokens=limit)
    else:
        with open_steering(model, [one]) as given, _first_token(model) as seen:
            said = generate(model, inputs, max_new_tokens=limit)
        receipt = _short(given.vectors)
        if not math.isfinite(receipt[3]):
            raise SteeringError(
                "states are no finite numbers under steering",
                remedy="steer less strongly, or load the model in a wider type",
            )
    if not seen:
        raise SteeringError(f"{model.name} generates without being called: it cannot be searched")
    kl = [0.0] * len(said) if plain is None else divergence(seen[0], plain)
    return {"texts": [r.text for r in said], "kl": kl, "receipt": receipt}, seen[0]


def _short(vectors: Sequence[VectorReceipt]) -> list[Any]:
    """Positions of the scope, positions changed, samples changed, dose: one layer, one vector."""
    one = vectors[0]
    return [one.selected, one.tokens, one.touched, one.dose]


@contextmanager
def _first_token(model: Model) -> Generator[list[Tensor]]:
    """Catch the distribution of the first token: prompts are padded on the left, so it is last."""
    seen: list[Tensor] = []

    def look(_module: Any, _args: Any, output: Any) -> None:
        if not seen:
            seen.append(torch.log_softmax(output.logits[:, -1].detach().float(), dim=-1))

    handle = model.hf.register_forward_hook(look)
    try:
        yield seen
    finally:
        handle.remove()


def _identity(model: Model) -> list[Any]:
    """All of the model and the machine that may decide an answer."""
    versions = model.provenance["versions"]
    return [model.identity, model.device.type, versions, __version__]
