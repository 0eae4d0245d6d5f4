"""One thread at a time on one module, and everything as it was afterwards."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from shiftlens.core.errors import ShiftLensError
from shiftlens.data.sample import Sample
from shiftlens.models.loading import load_pair
from shiftlens.models.model import Model
from shiftlens.models.tenancy import Tenancy


class _Layer:
    """What PEFT's layers do: enabling marks every tensor as trainable."""

    def __init__(self, *, disabled: bool = False) -> None:
        self.disable_adapters = disabled
        self.frozen = nn.Parameter(torch.zeros(1), requires_grad=False)
        self.trained = nn.Parameter(torch.zeros(1), requires_grad=True)
        self.switched = 0

    def parameters(self) -> list[nn.Parameter]:
        return [self.frozen, self.trained]

    def enable_adapters(self, wanted: bool) -> None:
        self.switched += 1
        self.disable_adapters = not wanted
        for tensor in self.parameters():
            tensor.requires_grad_(wanted)

    @property
    def flags(self) -> tuple[bool, bool]:
        return self.frozen.requires_grad, self.trained.requires_grad


def _elsewhere(work: Callable[[], object]) -> BaseException | None:
    """Run something in another thread; what it raised."""
    raised: list[BaseException | None] = [None]

    def run() -> None:
        try:
            work()
        except BaseException as error:  # handed to the test
            raised[0] = error

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(timeout=60)
    assert not thread.is_alive()
    return raised[0]


def _enter(tenancy: Tenancy, adapter_on: bool = True) -> None:
    with tenancy.entered(adapter_on):
        pass


@pytest.mark.parametrize("adapter_on", [True, False])
def test_layers_are_switched_and_each_gets_its_own_state_back(adapter_on: bool) -> None:
    layers = [_Layer(), _Layer(disabled=True)]
    with Tenancy(layers).entered(adapter_on):
        assert [layer.disable_adapters for layer in layers] == [not adapter_on] * 2
        assert [layer.flags for layer in layers] == [(False, True)] * 2
    assert [layer.disable_adapters for layer in layers] == [False, True]
    assert [layer.flags for layer in layers] == [(False, True)] * 2


def test_what_is_right_already_is_not_touched() -> None:
    layer = _Layer()
    _enter(Tenancy([layer]), True)
    assert layer.switched == 0
    _enter(Tenancy([layer]), False)
    assert layer.switched == 2


def test_contexts_nest_in_one_thread() -> None:
    layer = _Layer()
    tenancy = Tenancy([layer])
    with tenancy.entered(False):
        with tenancy.entered(True):
            assert not layer.disable_adapters
            with tenancy.entered(False):
                assert layer.disable_adapters
            assert not layer.disable_adapters
        assert layer.disable_adapters
    assert not layer.disable_adapters


@pytest.mark.parametrize("depth", [1, 2])
def test_an_exception_leaves_everything_as_it_was(depth: int) -> None:
    layer = _Layer()
    tenancy = Tenancy([layer])

    def fall(left: int) -> None:
        with tenancy.entered(bool(left % 2) - 1 == 0):
            if left == 0:
                raise KeyboardInterrupt
            fall(left - 1)

    with pytest.raises(KeyboardInterrupt):
        fall(depth)
    assert not layer.disable_adapters
    assert layer.flags == (False, True)
    assert _elsewhere(lambda: _enter(tenancy)) is None  # and nobody holds it


def test_another_thread_is_refused_until_the_first_is_done() -> None:
    layer = _Layer()
    tenancy = Tenancy([layer])
    with tenancy.entered(False):
        with tenancy.entered(False):
            pass
        # The inner context has ended, the outer has not.
        error = _elsewhere(lambda: _enter(tenancy))
        assert isinstance(error, ShiftLensError)
        assert "in use by another thread" in error.given
        assert "one thread at a time" in error.allowed
        assert "one model per thread" in error.remedy
        assert layer.disable_adapters  # the refused one changed nothing
    assert _elsewhere(lambda: _enter(tenancy)) is None


def test_the_refused_thread_does_not_end_the_tenancy() -> None:
    tenancy = Tenancy()
    with tenancy.entered(True):
        assert [type(_elsewhere(lambda: _enter(tenancy))) for _ in range(2)] == [ShiftLensError] * 2
        _enter(tenancy)


def test_a_layer_that_cannot_be_switched_does_not_lock_the_model() -> None:
    class _Broken(_Layer):
        def enable_adapters(self, wanted: bool) -> None:
            raise RuntimeError("broken")

    first = _Layer()
    tenancy = Tenancy([first, _Broken()])
    with pytest.raises(RuntimeError, match="broken"):
        _enter(tenancy, False)
    assert not first.disable_adapters
    assert _elsewhere(lambda: _enter(tenancy)) is None


def test_two_modules_do_not_wait_for_each_other() -> None:
    with Tenancy().entered(True):
        assert _elsewhere(lambda: _enter(Tenancy())) is None


def test_a_pair_is_one_tenant(
    tiny_path: Path, tiny_adapter_path: Path, tiny: Model, questions: list[Sample]
) -> None:
    base, tuned = load_pair(tiny_path, tiny_adapter_path)
    expected = {
        model.label: model.respond(questions[:1], max_new_tokens=3) for model in (base, tuned)
    }
    said: list[object] = []

    def ask(model: Model) -> Callable[[], None]:
        return lambda: said.extend(model.respond(questions[:1], max_new_tokens=3))

    with base.active():
        for model in (base, tuned):
            assert isinstance(_elsewhere(ask(model)), ShiftLensError)
        assert _elsewhere(ask(tiny)) is None  # a module of its own
    assert len(said) == 1
    for model in (base, tuned):
        said.clear()
        assert _elsewhere(ask(model)) is None
        assert said == expected[model.label]
