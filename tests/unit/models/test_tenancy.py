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
from shiftlens.models.tenancy import AdapterState, Tenancy


class _Layer:
    """What a layer of PEFT's says of itself; its public switches also touch gradients."""

    adapter_layer_names = ("factors",)

    def __init__(self, *adapters: str, disabled: bool = False, active: object = None) -> None:
        names = adapters or ("default",)
        self._disable_adapters = disabled
        self._active_adapter = [names[0]] if active is None else active
        self.factors = {name: nn.Parameter(torch.zeros(1)) for name in names}
        self.scaling = dict.fromkeys(names, 2.0)

    @property
    def disable_adapters(self) -> bool:
        return self._disable_adapters

    @property
    def active_adapter(self) -> object:
        return self._active_adapter

    @property
    def active_adapters(self) -> list[str]:
        active = self._active_adapter
        return [active] if isinstance(active, str) else active

    @property
    def state(self) -> tuple[bool, object, dict[str, float]]:
        return self._disable_adapters, self._active_adapter, dict(self.scaling)

    @property
    def works(self) -> dict[str, float]:
        """What adds to the output of the module, and times what."""
        if self._disable_adapters:
            return {}
        return {name: self.scaling[name] for name in self.active_adapters if name in self.factors}


ON, OFF = AdapterState("default"), AdapterState()


def _tenancy(*layers: _Layer) -> Tenancy:
    return Tenancy({f"block.{number}": layer for number, layer in enumerate(layers)})


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


def _enter(tenancy: Tenancy, state: AdapterState = ON) -> None:
    with tenancy.entered(state):
        pass


@pytest.mark.parametrize("state", [ON, OFF], ids=["on", "off"])
def test_layers_are_switched_and_each_gets_its_own_state_back(state: AdapterState) -> None:
    layers = [_Layer(), _Layer(disabled=True)]
    before = [layer.state for layer in layers]
    with _tenancy(*layers).entered(state):
        expected = {"default": 2.0} if state.adapter else {}
        assert [layer.works for layer in layers] == [expected] * 2
    assert [layer.state for layer in layers] == before


def test_a_scale_multiplies_what_was_loaded_and_is_taken_back() -> None:
    layer = _Layer()
    tenancy = _tenancy(layer)
    with tenancy.entered(AdapterState("default", 0.25)):
        assert layer.works == {"default": 0.5}
        with tenancy.entered(AdapterState("default", 0.5)):
            assert layer.works == {"default": 1.0}  # of what was loaded, not of what is there
        with tenancy.entered(AdapterState("default", 0.0)):
            assert layer.works == {}
        assert layer.works == {"default": 0.5}
    assert layer.works == {"default": 2.0}


def test_a_scale_that_the_user_set_is_found_again() -> None:
    layer = _Layer()
    tenancy = _tenancy(layer)
    layer.scaling["default"] = 7.0
    with tenancy.entered(ON):
        assert layer.works == {"default": 2.0}
    assert layer.works == {"default": 7.0}


def test_modules_are_off_by_name_with_all_that_is_in_them() -> None:
    layers = {name: _Layer() for name in ("a", "a.inner", "ab", "b.inner", "b.other")}
    with Tenancy(layers).entered(AdapterState("default", 1.0, frozenset({"a", "b.other"}))):
        working = [name for name, layer in layers.items() if layer.works]
        assert working == ["ab", "b.inner"]
    assert all(layer.works for layer in layers.values())


def test_one_adapter_of_several_is_on_where_it_is() -> None:
    first, second, both = _Layer("default"), _Layer("other"), _Layer("default", "other")
    tenancy = _tenancy(first, second, both)
    for name in ("other", "default", "other"):
        with tenancy.entered(AdapterState(name)):
            works = [set(layer.works) for layer in (first, second, both)]
            assert works == [{name} & {"default"}, {name} & {"other"}, {name}]
    left = [list(layer.works) for layer in (first, second, both)]
    assert left == [["default"], ["other"], ["default"]]
    assert list(tenancy.modules("other")) == ["block.1", "block.2"]
    assert list(tenancy.modules("unheard of")) == []


@pytest.mark.parametrize("active", ["default", ["default"], ["default", "other"], []])
def test_the_active_adapter_is_given_back_as_the_very_object(active: object) -> None:
    """PEFT's own switch turns a name into a list: a user who compares would be surprised."""
    layer = _Layer("default", "other", active=active)
    tenancy = _tenancy(layer)
    for state in (AdapterState("other"), ON, OFF):
        _enter(tenancy, state)
        assert layer.active_adapter is active


def test_gradients_are_not_touched() -> None:
    layer = _Layer("default", "other")
    layer.factors["default"].requires_grad_(False)
    flags = [tensor.requires_grad for tensor in layer.factors.values()]
    with _tenancy(layer).entered(AdapterState("other")):
        assert [tensor.requires_grad for tensor in layer.factors.values()] == flags
    assert [tensor.requires_grad for tensor in layer.factors.values()] == flags == [False, True]


def test_contexts_nest_in_one_thread() -> None:
    layer = _Layer()
    tenancy = _tenancy(layer)
    with tenancy.entered(OFF):
        with tenancy.entered(ON):
            assert not layer.disable_adapters
            with tenancy.entered(OFF):
                assert layer.disable_adapters
            assert not layer.disable_adapters
        assert layer.disable_adapters
    assert not layer.disable_adapters


@pytest.mark.parametrize("depth", [1, 2])
def test_an_exception_leaves_everything_as_it_was(depth: int) -> None:
    layer = _Layer("default", "other")
    tenancy, before = _tenancy(layer), layer.state
    states = (OFF, AdapterState("other", 0.5), AdapterState("default", 0.1))

    def fall(left: int) -> None:
        with tenancy.entered(states[left]):
            if left == 0:
                raise KeyboardInterrupt
            fall(left - 1)

    with pytest.raises(KeyboardInterrupt):
        fall(depth)
    assert layer.state == before
    assert _elsewhere(lambda: _enter(tenancy)) is None  # and nobody holds it


def test_another_thread_is_refused_until_the_first_is_done() -> None:
    layer = _Layer()
    tenancy = _tenancy(layer)
    with tenancy.entered(OFF):
        with tenancy.entered(OFF):
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
    with tenancy.entered(ON):
        assert [type(_elsewhere(lambda: _enter(tenancy))) for _ in range(2)] == [ShiftLensError] * 2
        _enter(tenancy)


def test_a_layer_that_does_not_switch_is_an_error_and_does_not_lock_the_model() -> None:
    """As after a version of PEFT that keeps its state elsewhere: never silently nothing."""

    class _Deaf(_Layer):
        @property
        def disable_adapters(self) -> bool:
            return False

    first = _Layer()
    tenancy = _tenancy(first, _Deaf())
    with pytest.raises(ShiftLensError, match="_Deaf does not switch") as caught:
        _enter(tenancy, OFF)
    assert "peft" in caught.value.remedy
    assert not first.disable_adapters
    assert _elsewhere(lambda: _enter(tenancy)) is None


def test_an_adapter_merged_into_the_weights_is_refused_before_anything_moves() -> None:
    layer = _Layer()
    tenancy, before = _tenancy(layer), layer.state
    layer.merged_adapters = ["default"]
    with pytest.raises(ShiftLensError, match=r"merged into the weights of block\.0") as caught:
        _enter(tenancy, OFF)
    assert "unmerge" in caught.value.remedy
    assert layer.state == before
    layer.merged_adapters = []
    _enter(tenancy, OFF)


def test_two_modules_do_not_wait_for_each_other() -> None:
    with Tenancy().entered(ON):
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
