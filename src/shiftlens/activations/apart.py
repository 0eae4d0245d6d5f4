"""One bad sample must not take a batch with it: the others go on, and it is named."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from shiftlens.core.errors import DataError, MismatchError

T = TypeVar("T")


def run_apart(
    run: Callable[[Sequence[int]], T], rows: Sequence[int], refused: dict[int, str]
) -> list[tuple[Sequence[int], T]]:
    """Run a batch; where it is refused, its halves, down to the samples that are to blame.

    Args:
        run: runs some rows of the batch.
        rows: their numbers.
        refused: filled with the rows that cannot be run, each with the reason.

    Returns:
        the groups of rows that were run, in order, each with its result.

    Raises:
        MismatchError: pictures and prompts do not fit together in any of several rows: that is the
            model's fault, and not theirs.
    """
    errors: dict[int, DataError | MismatchError] = {}
    done = _halving(run, rows, errors)
    first = next(iter(errors.values()), None)
    unfit = [one for one in errors.values() if isinstance(one, MismatchError)]
    if first is not None and 1 < len(rows) == len(unfit):
        raise first
    refused.update({at: str(error) for at, error in errors.items()})
    return done


def _halving(
    run: Callable[[Sequence[int]], T],
    rows: Sequence[int],
    errors: dict[int, DataError | MismatchError],
) -> list[tuple[Sequence[int], T]]:
    if not rows:
        return []
    try:
        return [(rows, run(rows))]
    except (DataError, MismatchError) as error:
        if len(rows) == 1:
            errors[rows[0]] = error
            return []
    middle = len(rows) // 2
    return [*_halving(run, rows[:middle], errors), *_halving(run, rows[middle:], errors)]
