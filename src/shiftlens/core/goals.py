"""Goals as they are written: ``>= 0.8``."""

from shiftlens.core.errors import ShiftLensError

_SIGNS = {
    ">=": lambda value, goal: value >= goal,
    "<=": lambda value, goal: value <= goal,
    ">": lambda value, goal: value > goal,
    "<": lambda value, goal: value < goal,
}


def meets(value: float, goal: str) -> bool:
    """Whether a value meets a goal such as ``>= 0.8``.

    Raises:
        ShiftLensError: the goal is not a sign and a number.
    """
    sign, _, number = goal.partition(" ")
    try:
        return bool(_SIGNS[sign](value, float(number)))
    except (KeyError, ValueError) as error:
        raise ShiftLensError(
            f"the goal {goal!r} cannot be read", allowed='a sign and a number: ">= 0.8"'
        ) from error
