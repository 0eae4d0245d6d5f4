"""The one family of errors: three parts, builtin kin, exit codes."""

import pytest

from shiftlens.core import errors
from shiftlens.core.errors import MachineError, ShiftLensError

KIN = {
    "SiteError": IndexError,
    "DataError": ValueError,
    "StoreError": ValueError,
    "MismatchError": ValueError,
    "LearnError": ValueError,
    "GroundingError": ValueError,
    "SteeringError": ValueError,
    "ExportError": ValueError,
    "MachineError": OSError,
}


@pytest.mark.parametrize("name", KIN)
def test_each_is_of_the_family_and_the_builtin_it_resembles(name: str) -> None:
    kind = getattr(errors, name)
    with pytest.raises(KIN[name]):
        raise kind("given")
    assert issubclass(kind, ShiftLensError)
    assert kind("given").exit_code == (3 if kind is MachineError else 2)


def test_no_error_is_forgotten_here() -> None:
    family = {
        k.__name__ for k in ShiftLensError.__subclasses__() if k.__module__ == errors.__name__
    }
    assert family == set(KIN)


@pytest.mark.parametrize("kind", [errors.DataError, MachineError])
def test_a_message_has_its_parts_in_order(kind: type[ShiftLensError]) -> None:
    error = kind("given", allowed="allowed", remedy="remedy")
    assert str(error) == "given\n  allowed\n  remedy"
    assert str(kind("given", remedy="remedy")) == "given\n  remedy"
    assert str(kind("given")) == "given"
    assert (error.given, error.allowed, error.remedy) == ("given", "allowed", "remedy")
