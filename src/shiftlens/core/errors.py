"""The one family of errors.

A message has up to three parts, in this order: what was given, what is allowed, what to do next.
Inner code may leave the last two empty; the public edge fills them in once. Every class is also the
builtin exception it resembles, so that ordinary ``except ValueError`` code keeps working.
"""


class ShiftLensError(Exception):
    """Base of every error that shiftlens raises on purpose.

    Args:
        given: what was given and is not possible, one sentence without a full stop.
        allowed: what would have been possible.
        remedy: what to do next, for example a command.
    """

    exit_code = 2
    """Exit code of the command line: 2 is the user's to mend, 3 the machine's or ours."""

    def __init__(self, given: str, *, allowed: str = "", remedy: str = "") -> None:
        self.given, self.allowed, self.remedy = given, allowed, remedy
        super().__init__("\n  ".join(part for part in (given, allowed, remedy) if part))


class SiteError(ShiftLensError, IndexError):
    """A layer or position that the model does not have."""


class DataError(ShiftLensError, ValueError):
    """Samples, images or model files that cannot be read."""


class StoreError(ShiftLensError, ValueError):
    """A store on disk that is damaged, unfinished or of another schema version."""


class MismatchError(ShiftLensError, ValueError):
    """Two things that do not belong together: models, adapters, stores, sites."""


class LearnError(ShiftLensError, ValueError):
    """Concepts that cannot be learned from the rows at hand."""


class GroundingError(ShiftLensError, ValueError):
    """A concept without words or pictures, or a word without a concept."""


class SteeringError(ShiftLensError, ValueError):
    """An intervention that is impossible, or that touched nothing."""


class ExportError(ShiftLensError, ValueError):
    """A result that the chosen file format cannot express."""


class MachineError(ShiftLensError, OSError):
    """The machine's fault, not the user's: a full disk, a lost device."""

    exit_code = 3

    def __str__(self) -> str:
        # OSError builds its text from errno; ours is the three-part message.
        return "\n  ".join(part for part in (self.given, self.allowed, self.remedy) if part)
