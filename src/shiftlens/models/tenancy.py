"""Whose turn it is on one module: several models may share their weights, adapters apart."""

import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, TypeVar

from shiftlens.core.errors import ShiftLensError

T = TypeVar("T")


@dataclass(frozen=True)
class AdapterState:
    """What the adapters of a module do while it is one of its models.

    Attributes:
        adapter: PEFT's name of the one adapter that is on; ``None`` for the base.
        scale: what its contribution is multiplied by, in [0, 1].
        modules_off: dotted names of modules in which it is off all the same.
    """

    adapter: str | None = None
    scale: float = 1.0
    modules_off: frozenset[str] = frozenset()


@dataclass(frozen=True)
class _Layer:
    """One layer of PEFT's, and what it was when the model was loaded.

    Attributes:
        layer: the layer itself.
        module: dotted name of the adapted module; several layers may make up one.
        adapters: the adapters that it holds.
        scaling: what each of them is multiplied by at scale 1, for the kinds that say so.
    """

    layer: Any
    module: str
    adapters: frozenset[str]
    scaling: Mapping[str, float] = field(default_factory=dict[str, float])


class Tenancy:
    """The state of a module that one or more models share.

    Args:
        layers: the module's PEFT layers by dotted name, in the module's order, outer ones before
            those within them; none where the model is a full one.
    """

    def __init__(self, layers: Mapping[str, Any] | None = None) -> None:
        self._layers = tuple(_described(dict(layers or {})))
        self.running: Any = None
        """The inputs that are being run, for those who must know them before the model is called:
        some families read the pictures of a generation ahead of its first call."""
        self._memory: dict[type, Any] = {}
        self._lock = threading.Lock()
        self._owner: int | None = None
        self._depth = 0

    def __getstate__(self) -> dict[str, Any]:
        # Another process is given the layers; whose turn it is, and what was found, stay here.
        return {"_layers": self._layers}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__()
        self._layers = state["_layers"]

    def remembered(self, kind: type[T]) -> T:
        """What was worked out for the module so far: one object of a kind, made when first asked.

        It is forgotten with the module, and models that share the module share it.
        """
        return self._memory.setdefault(kind, kind())

    def modules(self, adapter: str) -> dict[str, list[Any]]:
        """The modules that an adapter is in, by dotted name, with the layers that make them up."""
        found: dict[str, list[Any]] = {}
        for one in self._layers:
            if adapter in one.adapters:
                found.setdefault(one.module, []).append(one.layer)
        return found

    @contextmanager
    def entered(self, state: AdapterState) -> Generator[None]:
        """Run a block with the adapters in a state, then give back exactly what was there before.

        Raises:
            ShiftLensError: another thread is inside (hooks and adapter states belong to the
                module), or an adapter is merged into the weights.
        """
        self._take()
        try:
            _refuse_merged(self._layers)
            before = [_snapshot(one.layer) for one in self._layers]
            try:
                for one in self._layers:
                    _enter(one, state)
                yield
            finally:
                for one, (off, active, scaling) in zip(self._layers, before, strict=True):
                    _put(one.layer, off, active, scaling)
        finally:
            self._release()

    @contextmanager
    def announcing(self, inputs: Any) -> Generator[None]:
        """Say what is being run, for the time that it runs."""
        before, self.running = self.running, inputs
        try:
            yield
        finally:
            self.running = before

    def _take(self) -> None:
        me = threading.get_ident()
        with self._lock:
            if self._owner not in (None, me):
                raise ShiftLensError(
                    "this model is in use by another thread",
                    allowed="one thread at a time: hooks and adapter states belong to the module",
                    remedy="load one model per thread, or take turns",
                )
            self._owner = me
            self._depth += 1

    def _release(self) -> None:
        with self._lock:
            self._depth -= 1
            if self._depth == 0:
                self._owner = None


def _described(layers: dict[str, Any]) -> Generator[_Layer]:
    outer = ""
    for name, layer in layers.items():
        if not outer or not name.startswith(f"{outer}."):
            outer = name
        yield _Layer(layer, outer, _adapters(layer), dict(_scaling(layer)))


def _adapters(layer: Any) -> frozenset[str]:
    """The adapters that a layer holds; kinds without a dictionary of them hold what is active."""
    held: set[str] = set()
    for attribute in layer.adapter_layer_names:
        keys = getattr(attrgetter(attribute)(layer), "keys", None)
        held.update(keys() if keys is not None else ())
    return frozenset(held or layer.active_adapters)


def _scaling(layer: Any) -> dict[str, float]:
    # Read past the layer's own ``__getattr__``: a wrapper answers for the module that it wraps.
    found = vars(layer).get("scaling")
    return found if isinstance(found, dict) else {}


def _snapshot(layer: Any) -> tuple[bool, Any, dict[str, float]]:
    return bool(layer.disable_adapters), layer.active_adapter, dict(_scaling(layer))


def _enter(one: _Layer, state: AdapterState) -> None:
    """A layer without the adapter, at scale 0 or off by name is passed through: the base's bits."""
    name = state.adapter
    if name is None or name not in one.adapters or not state.scale or _off(one, state):
        _put(one.layer, True, one.layer.active_adapter, {})
        return
    scaling = {name: one.scaling[name] * state.scale} if name in one.scaling else {}
    active = one.layer.active_adapter
    _put(one.layer, False, active if list(one.layer.active_adapters) == [name] else [name], scaling)


def _off(one: _Layer, state: AdapterState) -> bool:
    return one.module in state.modules_off


def _put(layer: Any, off: bool, active: Any, scaling: Mapping[str, float]) -> None:
    """Set a layer's state and nothing else.

    PEFT's public switches also mark what they enable as trainable, and turn the name of the active
    adapter into a list; neither is wanted here, so the fields behind its properties are set.
    """
    if bool(layer.disable_adapters) != off:
        layer._disable_adapters = off
    if layer.active_adapter is not active:
        layer._active_adapter = active
    for name, value in scaling.items():
        if layer.scaling[name] != value:
            layer.scaling[name] = value
    if bool(layer.disable_adapters) != off or layer.active_adapter is not active:
        raise ShiftLensError(
            f"a layer of type {type(layer).__name__} does not switch",
            remedy="install the version of peft that constraints.txt names",
        )


def _refuse_merged(layers: tuple[_Layer, ...]) -> None:
    """A merged layer unmerges itself when it is switched off, which changes bits of the base."""
    for one in layers:
        if getattr(one.layer, "merged_adapters", ()):
            raise ShiftLensError(
                f"an adapter is merged into the weights of {one.module}",
                allowed="adapters beside the weights, so that each model of the module can be run",
                remedy="unmerge it first (unmerge() of the layer), or load the model again",
            )
