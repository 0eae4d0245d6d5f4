"""``steer_responses``: many samples, gates that need two passes, one receipt."""

from pathlib import Path

import pytest
import torch
from tests.builders import build_vector

from shiftlens.activations import tokens
from shiftlens.activations.capture import catch_own
from shiftlens.activations.site import Site
from shiftlens.concepts.concepts import Concepts
from shiftlens.core.errors import DataError, SteeringError
from shiftlens.data.images import open_image
from shiftlens.data.sample import Sample
from shiftlens.models.model import Model
from shiftlens.models.prompts import Turn
from shiftlens.steering.applying import Intervention, steer
from shiftlens.steering.gates import NearestConcept, TwoPassGate
from shiftlens.steering.receipt import Receipt, merged
from shiftlens.steering.responding import steer_responses

NEW = 6


class _Steps:
    """A listener that counts."""

    def __init__(self) -> None:
        self.total, self.done, self.stopped = 0, 0, 0

    def start(self, label: str, total: int) -> None:
        self.total = total

    def advance(self, n: int = 1) -> None:
        self.done += n

    def stop(self) -> None:
        self.stopped += 1


@pytest.mark.parametrize("batch_size", [1, 4, 6])
def test_batches_do_not_matter(brief: Model, questions: list[Sample], batch_size: int) -> None:
    one, steps = [Intervention(build_vector(length=60.0))], _Steps()
    whole, receipt = steer_responses(brief, questions, one, max_new_tokens=NEW)
    said, parts = steer_responses(
        brief, questions, one, max_new_tokens=NEW, batch_size=batch_size, progress=steps
    )
    assert said == whole
    assert said != brief.respond(questions, max_new_tokens=NEW)
    first, second = receipt.vectors[0], parts.vectors[0]
    assert (first.tokens, first.samples, first.touched) == (
        second.tokens,
        second.samples,
        second.touched,
    )
    assert first.dose == pytest.approx(second.dose, rel=1e-4)
    assert (steps.total, steps.done, steps.stopped) == (6, 6, 1)


def test_the_listener_is_told_to_stop_also_when_it_fails(
    brief: Model, questions: list[Sample]
) -> None:
    broken, steps = [*questions, Sample("x", "what", ("/nowhere.png",))], _Steps()
    with pytest.raises(DataError, match="does not exist"):
        steer_responses(
            brief, broken, [Intervention(build_vector())], max_new_tokens=2, progress=steps
        )
    assert steps.stopped == 1


def _gate(model: Model, questions: list[Sample], word: str) -> tuple[TwoPassGate, list[bool]]:
    """A two-pass gate on the state at a word, and its decisions worked out by hand."""
    site = Site(2, tokens.word(word))
    turns = [Turn(s.prompt, (open_image(s.images[0]),)) for s in questions]
    caught = catch_own(model, turns, site, NEW)
    rows: dict[int, torch.Tensor] = {}
    for index, response in enumerate(caught.responses):
        words = response.text.split()
        if word in words:
            rows[index] = caught.states[2][index, words.index(word)]
    centres = torch.stack(list(rows.values()))[:2]
    concepts = Concepts(centres, "centroid", site, (1, 1))
    opened = [False] * len(questions)
    for index, state in rows.items():
        opened[index] = int(torch.cdist(state[None], centres).argmin()) == 0
    return TwoPassGate(NearestConcept(concepts, frozenset({0}))), opened


def test_a_two_pass_gate_decides_from_the_unsteered_answer(
    tiny: Model, questions: list[Sample]
) -> None:
    plain = tiny.respond(questions, max_new_tokens=NEW)
    counts = {w: sum(w in r.text.split() for r in plain) for r in plain for w in r.text.split()}
    word = max((w for w in counts if counts[w] < len(plain)), key=lambda w: (counts[w], w))
    gate, opened = _gate(tiny, questions, word)
    assert any(opened)
    assert not all(opened)
    vector = build_vector(layer=3, length=200.0)
    everywhere, _ = steer_responses(tiny, questions, [Intervention(vector)], max_new_tokens=NEW)
    said, receipt = steer_responses(
        tiny, questions, [Intervention(vector, gate=gate)], max_new_tokens=NEW, batch_size=4
    )
    assert said == [everywhere[i] if flag else plain[i] for i, flag in enumerate(opened)]
    assert receipt.vectors[0].gate_open == tuple(opened)


def test_steer_alone_refuses_a_two_pass_gate(tiny: Model) -> None:
    concepts = Concepts(torch.eye(2, 32), "centroid", Site(2, tokens.word("a")), (1, 1))
    gate = TwoPassGate(NearestConcept(concepts, frozenset({0})))
    with pytest.raises(SteeringError, match="two-pass gate needs an unsteered response"):
        with steer(tiny, build_vector(), gate=gate):
            pass


def test_receipts_of_nothing_merge_into_nothing() -> None:
    assert merged([]).vectors == ()
    assert merged([Receipt(), Receipt()]).tokens == 0


def test_a_missing_picture_is_named(brief: Model, tmp_path: Path) -> None:
    missing = Sample("m", "what", (str(tmp_path / "gone.png"),))
    with pytest.raises(DataError, match=r"gone.png does not exist"):
        steer_responses(brief, [missing], [Intervention(build_vector())])
