"""Gates of several gates, by words, by rules, by activity; what is refused, and when."""

import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.builders import build_store, build_vector
from tests.watching import watch

from shiftlens.activations import tokens
from shiftlens.activations.capture import catch_own
from shiftlens.activations.site import Site
from shiftlens.activations.store import ActivationStore
from shiftlens.concepts.concepts import Concepts
from shiftlens.core.errors import GroundingError, SteeringError
from shiftlens.data.images import open_image
from shiftlens.data.sample import Sample
from shiftlens.models.hooks import record
from shiftlens.models.model import Model
from shiftlens.models.prompts import Turn, encode
from shiftlens.steering.applying import Intervention, steer
from shiftlens.steering.gates import (
    LDA,
    Active,
    Gate,
    LinearGate,
    LogisticProbe,
    NearestConcept,
    PromptSays,
    Reading,
    StateGate,
    TwoPassGate,
    When,
)
from shiftlens.steering.gates.fitting import HeldOut, choose_threshold
from shiftlens.steering.responding import steer_responses

D = 32


@dataclass(frozen=True, eq=False)
class Flags(StateGate):
    """Known decisions, one a row."""

    flags: tuple[bool, ...]
    layer: int = 0
    every_step: bool = False

    def opens(self, states: torch.Tensor) -> torch.Tensor:
        return torch.tensor(self.flags[: len(states)])

    def describe(self) -> dict[str, Any]:
        return {"gate": "flags"}


def _from_step(first: int) -> When:
    return When(lambda reading: torch.full((reading.rows,), reading.step >= first), every_step=True)


def _opened(model: Model, samples: list[Sample], gate: Gate, **more: Any) -> tuple[Any, ...]:
    return watch(model, samples, Intervention(build_vector(), gate=gate), **more).one.gate_open


TRUTH = tuple(itertools.product([True, False], repeat=2))


def test_and_or_not_of_decisions_for_samples(tiny: Model, questions: list[Sample]) -> None:
    a, b = (Flags(tuple(pair[i] for pair in TRUTH)) for i in (0, 1))
    four = questions[:4]
    assert _opened(tiny, four, a & b) == tuple(x and y for x, y in TRUTH)
    assert _opened(tiny, four, a | b) == tuple(x or y for x, y in TRUTH)
    assert _opened(tiny, four, ~a) == tuple(not x for x, _ in TRUTH)
    assert _opened(tiny, four, ~(a & ~b) | (a & b)) == tuple(not x or y for x, y in TRUTH)
    assert _opened(tiny, four, ~~a & a) == tuple(x for x, _ in TRUTH)
    assert not any(_opened(tiny, four, a & ~a))


@pytest.mark.parametrize("use_cache", [True, False])
@pytest.mark.parametrize("kind", ["and", "or", "and not"])
def test_decisions_for_steps_and_for_samples_together(
    brief: Model, questions: list[Sample], kind: str, use_cache: bool
) -> None:
    """A held decision counts at every step, and one that changes at its own."""
    held, late, new = Flags((True, False)), _from_step(2), 4
    gates = {"and": held & late, "or": held | late, "and not": held & ~late}
    wanted = {
        "and": ((2, 3), ()),
        "or": ((0, 1, 2, 3), (2, 3)),
        "and not": ((0, 1), ()),
    }
    one = Intervention(build_vector(), gate=gates[kind])
    seen = watch(brief, questions[1:3], one, use_cache=use_cache, max_new_tokens=new)
    assert seen.one.gate_steps == wanted[kind]
    assert seen.one.gate_open == tuple(bool(steps) for steps in wanted[kind])
    assert seen.told() == seen.places()
    spots = [(row, len(at), at[0], at[-1]) for row, at in enumerate(wanted[kind]) if at]
    assert seen.told() == spots


def test_gates_of_several_blocks(tiny: Model, questions: list[Sample]) -> None:
    gate = Flags((True, True, False, False), layer=0) & Flags((True, False) * 2, layer=2)
    one = Intervention(build_vector(layer=2), gate=gate)
    assert watch(tiny, questions[:4], one).one.gate_open == (True, False, False, False)
    with pytest.raises(SteeringError, match="reads block 2, behind block 1 that it guards"):
        watch(tiny, questions[:4], Intervention(build_vector(layer=1), gate=~gate))


def test_a_combination_describes_its_parts() -> None:
    gate = (PromptSays(("gun",)) | ~Flags((True,))) & When(lambda r: r.require_states()[:, 0] > 0)
    shown = gate.describe()
    assert shown["gate"] == "and"
    assert [one["gate"] for one in shown["of"]] == ["or", "user function"]
    assert shown["of"][0]["of"][1] == {"gate": "not", "of": [{"gate": "flags"}]}
    json.dumps(shown)


def test_whole_words_of_the_prompt_in_any_case(tiny: Model, questions: list[Sample]) -> None:
    def wanted(word: str) -> tuple[bool, ...]:
        return tuple(word in one.prompt.split() for one in questions)

    for word in ("dog", "man", "on"):
        assert any(wanted(word))
        assert _opened(tiny, questions, PromptSays((word.upper(),))) == wanted(word)
    assert not any(_opened(tiny, questions, PromptSays(("ma", "pict", "do"))))
    both = tuple(a or b for a, b in zip(wanted("dog"), wanted("snow"), strict=True))
    assert _opened(tiny, questions, PromptSays(("dog", " snow "))) == both
    assert all(_opened(tiny, questions, PromptSays(("user",)))), "the template's words count"


def test_words_that_the_response_says_are_not_the_prompts(
    tiny: Model, questions: list[Sample]
) -> None:
    said = " ".join(one.text for one in tiny.respond(questions, max_new_tokens=4)).split()
    asked = " ".join(one.prompt for one in questions).split()
    fresh = sorted(set(said) - {*asked, "user", "assistant", ":"})
    assert fresh
    assert not any(_opened(tiny, questions, PromptSays(tuple(fresh))))


@pytest.mark.parametrize("words", [(), ("",), ("dog", " ")])
def test_no_words_are_refused(words: tuple[str, ...]) -> None:
    with pytest.raises(SteeringError, match="name nothing"):
        PromptSays(words)


def test_every_kind_of_scope_takes_a_gate_of_words(tiny: Model, questions: list[Sample]) -> None:
    for scope in ("all", "prompt", "image", "words:the", "last_prompt"):
        one = Intervention(build_vector(), scope=scope, gate=PromptSays(("dog", "man")))
        seen = watch(tiny, questions, one, max_new_tokens=2)
        flags = [{"dog", "man"} & set(q.prompt.split()) != set() for q in questions]
        assert list(seen.one.gate_open) == flags
        assert seen.told() == seen.places()
        assert {place[0] for place in seen.told()} <= {r for r, flag in enumerate(flags) if flag}


@pytest.mark.parametrize(
    ("rule", "match"),
    [
        (lambda r: torch.ones(r.rows + 1, dtype=torch.bool), r"torch.bool of shape \(4,\)"),
        (lambda r: torch.ones(r.rows), r"torch.float32 of shape \(3,\)"),
        (lambda r: torch.ones(r.rows, 1, dtype=torch.bool), r"of shape \(3, 1\)"),
        (lambda r: torch.tensor(True), r"of shape \(\)"),
        (lambda r: torch.ones(r.rows, dtype=torch.long), "torch.int64"),
    ],
)
def test_a_rule_that_does_not_decide_for_each_row(
    tiny: Model, questions: list[Sample], rule: Any, match: str
) -> None:
    gate = When(rule, name="mine")
    with pytest.raises(SteeringError, match=f"the gate 'mine' returned .*{match}") as caught:
        _opened(tiny, questions[:3], gate)
    assert "one boolean for each of 3 rows" in str(caught.value)


def test_a_rule_sees_states_texts_and_step(tiny: Model, questions: list[Sample]) -> None:
    seen: list[Reading] = []

    def rule(reading: Reading) -> torch.Tensor:
        seen.append(reading)
        assert reading.texts()[1].count("dog") == 1
        return torch.tensor([True, False, True])

    with record(tiny, [1]) as states:
        opened = _opened(tiny, questions[:3], When(rule, layer=1, every_step=True))
    assert opened == (True, False, True)
    assert [one.step for one in seen] == list(range(len(seen)))
    assert all(one.rows == 3 for one in seen)
    assert seen[0].require_states().equal(states.states[1][0][:, -1])
    with pytest.raises(SteeringError, match="this gate reads no states\n  give it a layer"):
        _opened(tiny, questions[:3], When(lambda reading: reading.require_states()[:, 0] > 0))


def test_a_list_of_booleans_will_do(tiny: Model, questions: list[Sample]) -> None:
    rule: Any = lambda reading: ["dog" in text for text in reading.texts()]  # noqa: E731
    opened = _opened(tiny, questions, When(rule))
    assert opened == tuple("dog" in one.prompt for one in questions)


# Gates that are fitted.


def _rows(n: int = 120, *, gap: float = 6.0, seed: int = 0) -> tuple[torch.Tensor, list[bool]]:
    random = torch.Generator().manual_seed(seed)
    states = torch.randn(n, D, generator=random) + 4.0
    truth = [row % 3 == 0 for row in range(n)]
    states[:, -1] += torch.tensor([gap if flag else 0.0 for flag in truth])
    return states, truth


def _store(path: Path, states: torch.Tensor, truth: list[bool]) -> ActivationStore:
    return build_store(path / "store", states, labels=[{"yes": flag} for flag in truth])


def _concepts(kind: str) -> Concepts:
    vectors = torch.zeros(2, D) if kind == "direction" else torch.full((2, D), 4.0)
    vectors[0, -1] += 6.0
    vectors[1, 0] += 6.0 if kind == "direction" else 0.0
    return Concepts(vectors, kind, Site(0), (1, 1), contrastive=(("yes",), ("no",)))


@pytest.mark.parametrize("measure", ["cosine", "code"])
@pytest.mark.parametrize("kind", ["centroid", "direction"])
def test_a_concept_is_active_where_its_measure_says(
    tmp_path: Path, kind: str, measure: str
) -> None:
    store = _store(tmp_path, *_rows())
    gate = Active.fit(_concepts(kind), "yes", store, lambda row: row.labels["yes"], measure=measure)
    states, truth = _rows(seed=1)
    right = (gate.opens(states) == torch.tensor(truth)).float().mean()
    assert float(right) > 0.9
    assert gate.held_out is not None
    assert gate.held_out.rows == 120
    assert gate.held_out.true_positive > 0.9 > 0.1 > gate.held_out.false_positive
    assert gate.describe()["gate"] == f"concept active ({measure})"
    json.dumps(gate.describe())
    assert gate.at_every_step().every_step
    assert gate.at_every_step().opens(states).equal(gate.opens(states))


def test_twin_a_cosine_that_is_not_centred_tells_less(tmp_path: Path) -> None:
    """States lie far from the origin, where all cosines are alike."""
    far, truth = _rows()
    far[:, 1] += 500.0
    concepts = _concepts("direction")
    gate = Active.fit(concepts, 0, _store(tmp_path, far, truth), truth)
    scores = gate.scores(far)
    plain = Active(concepts, 0, gate.threshold).scores(far)
    yes = torch.tensor(truth)
    assert float(scores[yes].mean() - scores[~yes].mean()) > 0.5
    assert float(plain[yes].mean() - plain[~yes].mean()) < 0.05


def test_an_activity_that_cannot_be_fitted(tmp_path: Path) -> None:
    states, truth = _rows()
    store, concepts = _store(tmp_path, states, truth), _concepts("centroid")
    with pytest.raises(SteeringError, match="unknown measure 'angle' of activity\n  code, cosine"):
        Active.fit(concepts, 0, store, truth, measure="angle")
    with pytest.raises(GroundingError, match="no concept says 'bus'"):
        Active.fit(concepts, "bus", store, truth)
    with pytest.raises(SteeringError, match="only 7 positive rows"):
        Active.fit(concepts, 0, store, [row < 7 for row in range(120)])
    flat = _store(tmp_path / "flat", torch.ones(40, D), [row % 2 == 0 for row in range(40)])
    with pytest.raises(SteeringError, match="constant over its fitting rows"):
        Active.fit(concepts, 0, flat, lambda row: row.labels["yes"], measure="code")


def test_a_logistic_probe_separates_and_is_reproducible(tmp_path: Path) -> None:
    states, truth = _rows()
    store = _store(tmp_path, states * 100.0, truth)  # any scale: states are standardised
    gate = LogisticProbe.fit(store, lambda row: row.labels["yes"])
    fresh, flags = _rows(seed=1)
    assert float((gate.opens(fresh * 100.0) == torch.tensor(flags)).float().mean()) > 0.9
    assert gate.describe()["gate"] == "logistic probe"
    again = LogisticProbe.fit(store, truth)
    assert gate.weights.equal(again.weights)
    assert gate.threshold == again.threshold
    strict = LogisticProbe.fit(store, truth, penalty=1e4)
    assert float(strict.weights.norm()) < float(gate.weights.norm())
    for penalty in (0.0, -1.0, float("nan")):
        with pytest.raises(SteeringError, match="a penalty of"):
            LogisticProbe.fit(store, truth, penalty=penalty)


@pytest.mark.parametrize("probe", [LDA, LogisticProbe])
def test_linear_gates_are_saved_and_loaded(tmp_path: Path, probe: Any) -> None:
    states, truth = _rows()
    gate = probe.fit(_store(tmp_path, states, truth), truth).at_every_step()
    gate.save(tmp_path / "gate")
    same = LinearGate.load(tmp_path / "gate")
    assert same.describe() == gate.describe()
    assert same.every_step
    assert same.opens(states).equal(gate.opens(states))


def test_gates_are_fitted_on_the_residual_stream_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states, truth = _rows()
    store = _store(tmp_path, states, truth)
    for site, match in (
        (Site(0, tokens.mean_image(), tower="vision"), "states of the vision"),
        (Site(0, normed=True), "behind the final norm"),
    ):
        monkeypatch.setattr(ActivationStore, "site", site)
        with pytest.raises(SteeringError, match=match):
            LDA.fit(store, truth)


@pytest.mark.parametrize(
    ("scores", "positive", "between", "rates"),
    [
        ([1, 2, 3, 4], [0, 0, 1, 1], (2, 3), (1.0, 0.0)),
        ([4, 3, 2, 1], [1, 1, 0, 0], (2, 3), (1.0, 0.0)),
        # A tie cannot be cut: both of the 2s are let in, or neither.
        ([1, 2, 2, 3], [0, 0, 1, 1], (1, 3), None),
        ([0, 1, 1, 1, 5], [0, 0, 1, 1, 1], (0, 1), (1.0, 0.5)),
        ([1, 1, 1, 1], [1, 0, 1, 0], (0, 1), (1.0, 1.0)),
        # What is best is to let all in, or none: nothing separates these.
        ([1, 2], [1, 0], (-1, 1), (1.0, 1.0)),
    ],
)
def test_thresholds_lie_between_scores(
    scores: list[float],
    positive: list[int],
    between: tuple[float, float],
    rates: tuple[float, float] | None,
) -> None:
    flags = [bool(one) for one in positive]
    values = torch.tensor(scores, dtype=torch.float32)
    threshold, held_out = choose_threshold(values, flags)
    assert between[0] <= threshold <= between[1]
    assert threshold not in scores
    if rates is not None:
        assert (held_out.true_positive, held_out.false_positive) == rates
    opened, truth = values > threshold, torch.tensor(flags)
    gain = float(opened[truth].float().mean() - opened[~truth].float().mean())
    every = [values > cut for cut in (*(values - 0.25).tolist(), 1e9)]
    best = max(float(o[truth].float().mean() - o[~truth].float().mean()) for o in every)
    assert gain == pytest.approx(best)
    assert held_out == HeldOut(held_out.true_positive, held_out.false_positive, len(flags))


def test_scores_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(SteeringError, match="scores are not finite"):
        choose_threshold(torch.tensor([1.0, float("nan")]), [True, False])


def test_thresholds_hold_for_half_precision_scores() -> None:
    random = torch.Generator().manual_seed(0)
    scores = torch.randn(400, generator=random).to(torch.bfloat16)
    flags = (scores.float() + torch.randn(400, generator=random) > 0).tolist()
    threshold, held_out = choose_threshold(scores.float(), flags)
    opened = (scores.float() > threshold).numpy()
    assert held_out.true_positive == pytest.approx(opened[np.array(flags)].mean())


# What a gate may read.


def _nearest(layer: int, selection: Any = None, **fields: Any) -> NearestConcept:
    site = Site(layer, selection or tokens.last_prompt(), **fields)
    return NearestConcept(Concepts(torch.eye(2, D), "centroid", site, (1, 1)), frozenset({0}))


def test_a_gate_behind_what_it_guards_needs_two_passes(tiny: Model) -> None:
    late = _nearest(3)
    with pytest.raises(SteeringError, match="reads block 3, behind block 1") as caught:
        with steer(tiny, build_vector(layer=1), gate=late):
            pass
    assert "TwoPassGate(gate)" in str(caught.value)
    with pytest.raises(SteeringError, match="reads block 3, behind block 1"):
        with steer(tiny, build_vector(layer=3), gate=late, layers=[3, 1]):
            pass
    for scope in ("all", "prompt", "image", "words:dog"):
        with pytest.raises(SteeringError, match=f"behind positions of scope {scope}"):
            with steer(tiny, build_vector(layer=3), gate=late, scope=scope):
                pass


def test_negative_layers_count_from_the_end(tiny: Model) -> None:
    gate = When(lambda reading: reading.require_states()[:, 0] > 0, layer=-1)
    with pytest.raises(SteeringError, match="reads block 3, behind block 1"):
        with steer(tiny, build_vector(layer=1), gate=gate):
            pass


@pytest.mark.parametrize("make", [lambda t: t & PromptSays(("a",)), lambda t: ~t, lambda t: t | t])
def test_a_two_pass_gate_is_no_part_of_another(
    tiny: Model, questions: list[Sample], make: Any
) -> None:
    """Neither here, nor in ``steer_responses``, which could not give it its decisions."""
    gate = make(TwoPassGate(_nearest(3)))
    for scope in ("response", "image"):
        with pytest.raises(SteeringError, match="two-pass gate cannot be part of another gate"):
            with steer(tiny, build_vector(), gate=gate, scope=scope):
                pass
    one = Intervention(build_vector(), gate=gate)
    with pytest.raises(SteeringError, match="two-pass gate cannot be part of another gate"):
        steer_responses(tiny, questions[:2], [one], max_new_tokens=1)


def test_concepts_from_elsewhere_are_refused(tiny: Model) -> None:
    for fields, at in (({"normed": True}, 3), ({"tower": "vision"}, 0)):
        selection = tokens.mean_image() if "tower" in fields else None
        near = _nearest(at, selection, **fields)
        for gate in (near, Active(near.concepts, 0, 0.5)):
            with pytest.raises(SteeringError, match="reads a block's output, and its concepts com"):
                with steer(tiny, build_vector(layer=3), gate=gate):
                    pass


@pytest.mark.parametrize("scope", ["response", "prompt", "image"])
def test_two_passes_around_a_probe_of_a_later_block(
    tiny: Model, questions: list[Sample], tmp_path: Path, scope: str
) -> None:
    """It decides from the unsteered state at the last prompt position, and guards any scope."""
    turns = [Turn(s.prompt, (open_image(s.images[0]),)) for s in questions]
    states = catch_own(tiny, turns, Site(3), 1).states[3][:, 0]
    middle = float(states[:, 7].median())
    weights = torch.zeros(D)
    weights[7] = 1.0
    inner = LinearGate(weights, middle, 3, HeldOut(1.0, 0.0, 6), "linear discriminant")
    wanted = (states[:, 7] > middle).tolist()
    assert 0 < sum(wanted) < 6
    one = Intervention(build_vector(length=200.0), scope=scope, gate=TwoPassGate(inner))
    said, receipt = steer_responses(tiny, questions, [one], max_new_tokens=3, batch_size=4)
    plain = tiny.respond(questions, max_new_tokens=3)
    open_one = Intervention(one.vector, scope=scope)
    everywhere, _ = steer_responses(tiny, questions, [open_one], max_new_tokens=3)
    assert list(receipt.vectors[0].gate_open) == wanted
    assert said == [everywhere[i] if flag else plain[i] for i, flag in enumerate(wanted)]
    assert receipt.vectors[0].gate is not None
    assert receipt.vectors[0].gate["gate"] == "two-pass linear discriminant"
    assert receipt.vectors[0].touched == sum(wanted)


def test_a_failing_rule_gives_the_model_back(tiny: Model, questions: list[Sample]) -> None:
    def broken(reading: Reading) -> torch.Tensor:
        raise ZeroDivisionError(f"at step {reading.step}")

    inputs = encode(tiny, questions[:2])
    before = tiny.hf.generate(**inputs.tensors, max_new_tokens=2)
    for layer in (None, 0):
        with pytest.raises(ZeroDivisionError, match="at step 0"):
            _opened(tiny, questions[:2], When(broken, layer=layer))
        assert tiny.hf.generate(**inputs.tensors, max_new_tokens=2).equal(before)
