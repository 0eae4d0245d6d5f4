"""Registry, executor and progress."""

import pytest

from shiftlens.core.errors import ShiftLensError
from shiftlens.core.executor import Executor, SerialExecutor
from shiftlens.core.progress import Progress, Silent
from shiftlens.core.registry import Registry


def test_a_registered_thing_is_found_and_stays_what_it_is() -> None:
    registry: Registry[type] = Registry("animal")

    @registry.register("dog")
    class Dog:
        pass

    registry.register("cat")(int)
    assert registry.get("dog") is Dog
    assert registry.names() == ("cat", "dog")


def test_an_unknown_name_lists_the_known_ones() -> None:
    registry: Registry[int] = Registry("animal")
    registry.register("dog")(1)
    registry.register("cat")(2)
    with pytest.raises(ShiftLensError, match="unknown animal 'cow'") as caught:
        registry.get("cow")
    assert "choose from: cat, dog" in str(caught.value)


def test_a_name_is_given_once() -> None:
    registry: Registry[int] = Registry("animal")
    registry.register("dog")(1)
    with pytest.raises(ShiftLensError, match="two animals are registered under the name 'dog'"):
        registry.register("dog")(2)
    assert registry.get("dog") == 1


def test_the_serial_executor_is_lazy_and_keeps_the_order() -> None:
    done: list[int] = []

    def work(part: int) -> int:
        done.append(part)
        return part * 10

    results = SerialExecutor().map(work, [3, 1, 2])
    assert done == []
    assert next(results) == 30
    assert done == [3], "the next part waits until somebody asks"
    assert list(results) == [10, 20]
    assert isinstance(SerialExecutor(), Executor)


def test_who_can_listen() -> None:
    assert isinstance(Silent(), Progress)
    assert not isinstance(object(), Progress)
