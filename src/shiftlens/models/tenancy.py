"""Whose turn it is on one module: two models may share their weights, one adapter apart."""

import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

from shiftlens.core.errors import ShiftLensError


class Tenancy:
    """The state of a module that one or two models share.

    Args:
        layers: the module's PEFT layers (anything with ``enable_adapters`` and
            ``disable_adapters``); none where the model is a full one.
    """

    def __init__(self, layers: Sequence[Any] = ()) -> None:
        self._layers = tuple(layers)
        self._lock = threading.Lock()
        self._owner: int | None = None
        self._depth = 0

    @contextmanager
    def entered(self, adapter_on: bool) -> Generator[None]:
        """Run a block with the adapter on or off, then give back exactly what was there before.

        Raises:
            ShiftLensError: another thread is inside; hooks and adapter states belong to the module.
        """
        self._take()
        try:
            before = [bool(layer.disable_adapters) for layer in self._layers]
            try:
                self._switch([not adapter_on] * len(before))
                yield
            finally:
                self._switch(before)
        finally:
            self._release()

    def _switch(self, disabled: Sequence[bool]) -> None:
        """Set each layer's state; PEFT marks what it enables as trainable, which is undone."""
        for layer, wanted in zip(self._layers, disabled, strict=True):
            if bool(layer.disable_adapters) != wanted:
                flags = [(tensor, tensor.requires_grad) for tensor in layer.parameters()]
                layer.enable_adapters(not wanted)
                for tensor, flag in flags:
                    tensor.requires_grad_(flag)

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
