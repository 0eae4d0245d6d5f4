"""Base and adapters in any order on one module: each answers to the bit as if it were alone."""

import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.builders import build_adapter

from shiftlens.core.errors import ShiftLensError
from shiftlens.data.sample import Sample
from shiftlens.models.generation import forward, generate
from shiftlens.models.hooks import edit, record
from shiftlens.models.model import Model
from shiftlens.models.prompts import Inputs, encode
from shiftlens.models.variants import load_variants

NAMES = ("base", "a", "b", "a-half", "b-part", "b-none")


class Crowd:
    """Models of one module, what each answers alone, and what the module looks like at rest."""

    def __init__(self, models: Sequence[Model], samples: Sequence[Sample]) -> None:
        base, a, b = models
        self.models = dict(
            zip(
                NAMES,
                (base, a, b, a.at_scale(0.5), b.without_modules(b.adapter_modules()[:3]),
                 b.at_scale(0.0)),
                strict=True,
            )
        )  # fmt: skip
        self.inputs: Inputs = encode(base, list(samples))
        self.states = torch.linspace(-2, 2, 3 * 32).reshape(3, 32)
        self.alone = {name: self.act(name) for name in NAMES}
        self.rest = self.photograph()

    def act(self, name: str, what: str = "all") -> list[torch.Tensor]:
        """Everything that a model does, or one thing of it."""
        model = self.models[name]
        done: list[torch.Tensor] = []
        if what in ("all", "reads"):
            with record(model, [1]) as seen:
                done += [forward(model, self.inputs).logits]
            done += seen.states[1]
        if what in ("all", "says"):
            said = generate(model, self.inputs, max_new_tokens=3)
            done += [torch.tensor(one.token_ids) for one in said]
        if what in ("all", "reads out"):
            done += [model.readout.logits(self.states)]
        return done

    def expected(self, name: str, what: str) -> list[torch.Tensor]:
        """The same as it was when nothing else had run."""
        whole, n = self.alone[name], len(self.inputs)
        cut = {"all": whole, "reads": whole[:2], "says": whole[2 : 2 + n], "reads out": whole[-1:]}
        return cut[what]

    def require_alone(self, name: str, what: str) -> None:
        """Fail unless a model answers as it does alone, to the bit."""
        found = self.act(name, what)
        pairs = zip(found, self.expected(name, what), strict=True)
        assert all(ours.equal(theirs) for ours, theirs in pairs), f"{name} {what}"

    def photograph(self) -> list[Any]:
        """The adapter state of the module, layer by layer, and its gradient flags."""
        hf = self.models["base"].hf
        layers = [m for m in hf.modules() if hasattr(m, "_disable_adapters")]
        assert layers
        return [
            [(m.disable_adapters, m.active_adapter, dict(m.scaling)) for m in layers],
            [p.requires_grad for p in hf.parameters()],
        ]


@pytest.fixture(scope="module")
def crowd(
    tiny_path: Path, tiny_adapter_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Crowd:
    path = tmp_path_factory.mktemp("crowd") / "b"
    pattern = r".*(language_model.*\.(q_proj|gate_proj)|vision_tower.*\.fc1)"
    options: dict[str, Any] = {"target_modules": pattern, "r": 2}
    models = load_variants(
        tiny_path, [tiny_adapter_path, build_adapter(tiny_path, path, **options)]
    )
    prompts = ("describe the picture .", "what is the man on ?")
    return Crowd(models, [Sample(f"s{i}", prompt) for i, prompt in enumerate(prompts)])


def test_the_crowd_disagrees(crowd: Crowd) -> None:
    """Twin: were the models all alike, every test of this file would hold of itself."""
    logits = {name: one[0] for name, one in crowd.alone.items()}
    for i, first in enumerate(NAMES):
        for second in NAMES[i + 1 :]:
            same = logits[first].equal(logits[second])
            assert same == ({first, second} == {"base", "b-none"})


ACTS = st.sampled_from(["reads", "says", "reads out"])
STEP = st.one_of(
    st.tuples(st.just("act"), st.sampled_from(NAMES), ACTS),
    st.tuples(st.just("enter"), st.sampled_from(NAMES)),
    st.tuples(st.just("edit"), st.sampled_from(NAMES)),
    st.tuples(st.just("leave")),
    st.tuples(st.just("fall")),
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=st.lists(STEP, min_size=1, max_size=9))
def test_any_order_nested_or_not_also_after_exceptions(crowd: Crowd, steps: list[Any]) -> None:
    """Contexts are entered, left, and fallen out of; whoever acts in between is itself."""
    with suppress(_Fall):
        _walk(crowd, list(steps))
    assert crowd.photograph() == crowd.rest
    for name in ("base", "a", "b"):
        crowd.require_alone(name, "reads")


class _Fall(Exception):
    pass


def _walk(crowd: Crowd, steps: list[Any]) -> None:
    while steps:
        match steps.pop(0):
            case ("act", name, what):
                crowd.require_alone(name, what)
            case ("enter", name):
                with crowd.models[name].active():
                    _walk(crowd, steps)
            case ("edit", name):
                with _edited(crowd.models[name]):
                    _walk(crowd, steps)
            case ("leave",):
                return
            case _:
                raise _Fall


@contextmanager
def _edited(model: Model) -> Generator[None]:
    """An intervention that leaves every bit as it is must not disturb whose turn it is."""
    with edit(model, 2, lambda state: state):
        yield


def test_generation_of_one_in_the_middle_of_anothers(crowd: Crowd) -> None:
    """A hook of a running generation asks another model, at every step."""
    a, found, asking = crowd.models["a"], list[bool](), list[int]()

    def ask(state: torch.Tensor) -> torch.Tensor:
        if not asking:
            asking.append(1)  # the inner run comes through here as well
            for name in ("base", "b"):
                found.append(crowd.act(name, "reads")[0].equal(crowd.alone[name][0]))
            asking.clear()
        return state

    with edit(a, 1, ask):
        said = generate(a, crowd.inputs, max_new_tokens=3)
    ours = [torch.tensor(one.token_ids) for one in said]
    expected = crowd.expected("a", "says")
    assert len(found) >= 4
    assert all(found)
    assert all(x.equal(y) for x, y in zip(ours, expected, strict=True))
    assert crowd.photograph() == crowd.rest


def test_threads_are_refused_for_every_model_of_the_module(crowd: Crowd) -> None:
    raised: dict[str, BaseException | None] = {}

    def elsewhere(name: str) -> Callable[[], None]:
        def run() -> None:
            try:
                crowd.act(name, "reads")
                raised[name] = None
            except ShiftLensError as error:
                raised[name] = error

        return run

    with crowd.models["b"].active():
        for name in NAMES:
            thread = threading.Thread(target=elsewhere(name))
            thread.start()
            thread.join(timeout=60)
    assert [str(raised[name]).splitlines()[0] for name in NAMES] == [
        "this model is in use by another thread"
    ] * len(NAMES)
    for name in NAMES:  # and afterwards nobody is
        thread = threading.Thread(target=elsewhere(name))
        thread.start()
        thread.join(timeout=60)
    assert [raised[name] for name in NAMES] == [None] * len(NAMES)


def test_an_adapter_that_peft_merged_is_refused_until_it_is_unmerged(
    tiny_path: Path, tiny_adapter_path: Path, questions: list[Sample]
) -> None:
    base, tuned = load_variants(tiny_path, [tiny_adapter_path])
    inputs = encode(base, questions[:2])
    before = forward(tuned, inputs).logits
    layers = [m for m in tuned.hf.modules() if hasattr(m, "merged_adapters")]
    layers[0].merge(adapter_names=["default"])
    for model in (base, tuned):
        with pytest.raises(ShiftLensError, match="an adapter is merged into the weights of"):
            forward(model, inputs)
    layers[0].unmerge()
    assert forward(tuned, inputs).logits.allclose(before, rtol=0, atol=1e-3)
