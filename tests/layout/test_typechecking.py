"""What the package's functions are given is checked in tests: by type, and by shape over arguments.

``tests/plugins/typechecking.py`` does it for less than jaxtyping alone, and must find as much.
"""

import gc
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jaxtyping
import pytest
import torch
import typechecking

from shiftlens.core.errors import ShiftLensError
from shiftlens.core.shapes import Acts, Vectors
from shiftlens.shift.vectors import shift_vectors

if TYPE_CHECKING:
    from nowhere import Nothing

decorate = jaxtyping.jaxtyped(typechecker=typechecking.checked)


@decorate
def _plain(number: float, names: "list[str] | None" = None) -> str:
    return number if names else str(number)  # pyright: ignore


@decorate
def _unknown(thing: "Nothing", number: int) -> "Nothing":
    return thing


@decorate
def _shaped(states: Acts, vectors: "Vectors | None" = None) -> Acts:
    return states if vectors is None else vectors


@decorate
def _later(number: int) -> Iterator[int]:
    yield number


@decorate
@dataclass(frozen=True)
class _Held:
    number: int
    name: str = ""


def _outer(held: object) -> Callable[..., Any]:
    @decorate
    def inner(number: int, *, more: int = 0) -> int:
        assert held
        return str(number) if more else number  # pyright: ignore

    return inner


def test_the_hook_is_the_quick_one() -> None:
    assert isinstance(jaxtyping.jaxtyped, typechecking.Checking)


@pytest.mark.parametrize(
    "call",
    [
        lambda: _plain("1"),
        lambda: _plain(1, [2]),
        lambda: _plain(1, ["a"]),  # gives a number
        lambda: _unknown(None, "1"),
        lambda: _later("1"),
        lambda: _Held("1"),
        lambda: _Held(1, name=2),
        lambda: _outer(1)("1"),
        lambda: _outer(1)(1, more=1),  # gives a text
        lambda: _shaped(torch.zeros(3)),
        lambda: _shaped(torch.zeros(3, 2), torch.zeros(2, 4)),  # two widths
        lambda: _shaped(torch.zeros(3, 2), torch.zeros(4, 2)),  # gives another number of rows
    ],
)
def test_what_does_not_fit_is_found(call: Callable[[], object]) -> None:
    with pytest.raises(jaxtyping.TypeCheckError):
        call()


def test_twin_what_fits_goes_through() -> None:
    assert _plain(1) == "1", "a whole number stands for a float"
    assert _unknown(3, 1) == 3
    assert list(_later(2)) == [2]
    assert _Held(1, name="a") == _Held(1, "a")
    assert [_outer(1)(n) for n in (1, 2)] == [1, 2]
    assert _shaped(torch.zeros(3, 2), torch.ones(3, 2)).sum() == 6


def test_functions_of_the_package_are_checked() -> None:
    with pytest.raises(jaxtyping.TypeCheckError):
        ShiftLensError(3)
    states, which = torch.zeros(3, 2), torch.zeros(3, dtype=torch.long)
    assert shift_vectors(states, states, which, 1).shape == (1, 2)
    with pytest.raises(jaxtyping.TypeCheckError):
        shift_vectors(states, torch.zeros(4, 2), which, 1)


def test_what_an_inner_function_closes_over_is_given_back() -> None:
    class Large: ...

    first, second = Large(), Large()
    kept = [weakref.ref(first), weakref.ref(second)]
    functions = [_outer(first), _outer(second)]
    assert [one(1) for one in functions] == [1, 1]
    del first, second, functions
    gc.collect()
    assert [one() for one in kept] == [None, None]


def test_names_and_annotations_stay() -> None:
    assert _plain.__name__ == "_plain"
    assert _plain.__annotations__["names"] == "list[str] | None"
    assert _outer(1).__wrapped__.__name__ == "inner"
