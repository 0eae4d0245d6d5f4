"""Which rows of a store are meant: by answer, by label, by what is said."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from shiftlens.activations.store import ActivationStore, Row
from shiftlens.core.errors import MismatchError, SteeringError
from shiftlens.steering.outcomes import is_answer
from shiftlens.steering.outcomes import says as _says

Choice = Callable[[Row], bool] | Sequence[bool]
"""A predicate on rows, or one boolean for each."""

FEWEST = 5
"""Rows on each side of a direction, at least."""

_TOLD, _LETTERS = 4, 30  # responses that an error names, and how much of each


def answers(*texts: str) -> Callable[[Row], bool]:
    """Rows whose response is one of these answers and nothing else, in any letter case."""
    return lambda row: any(is_answer(row.response, text) for text in texts)


def labelled(label: str, *values: Any) -> Callable[[Row], bool]:
    """Rows whose sample has one of these values of a label; without values, a true one."""

    def choose(row: Row) -> bool:
        if label not in row.labels:
            known = ", ".join(sorted(row.labels)) or "none"
            raise SteeringError(
                f"sample {row.sample_id!r} has no label {label!r}", allowed=f"labels: {known}"
            )
        return row.labels[label] in values if values else bool(row.labels[label])

    return choose


def saying(*words: str) -> Callable[[Row], bool]:
    """Rows whose response holds one of these words, whole and in any letter case."""
    return lambda row: _says(row.response, words)


def flags_of(store: ActivationStore, choice: Choice) -> list[bool]:
    """One boolean for each row of a store.

    Raises:
        MismatchError: another number of booleans than rows.
    """
    flags = [bool(flag) for flag in (map(choice, store.rows) if callable(choice) else choice)]
    if len(flags) != len(store):
        raise MismatchError(f"{len(flags)} booleans for {len(store)} rows")
    return flags


def sides_of(
    store: ActivationStore, source: Choice, target: Choice, name: str
) -> tuple[ActivationStore, ActivationStore]:
    """The rows to move away from and those to move towards.

    Raises:
        SteeringError: fewer than 5 rows on a side, or a row on both.
    """
    flags = [flags_of(store, choice) for choice in (source, target)]
    for label, side in zip(("source", "target"), flags, strict=True):
        require_enough(name, label, sum(side), len(store), _commonest(store))
    both = sum(one and other for one, other in zip(*flags, strict=True))
    if both:
        raise SteeringError(
            f"{name}: {both} rows are source and target at once",
            allowed="rows on one side, or on neither",
        )
    return store.where(flags[0]), store.where(flags[1])


def _commonest(store: ActivationStore) -> str:
    """What is said most often: it tells a misspelt answer from one that is rare."""
    counts = Counter(row.response.strip() for row in store.rows if row.response)
    said = ((text[:_LETTERS], n) for text, n in counts.most_common(_TOLD))
    return ", ".join(f"{text!r} ({n})" for text, n in said)


def require_enough(name: str, label: str, n: int, of: int, said: str = "") -> None:
    """Refuse a side of a direction that has too few rows.

    Args:
        name: of the direction.
        label: of the side.
        n: its rows.
        of: all rows.
        said: the commonest responses, where sides are chosen by them.

    Raises:
        SteeringError: fewer than 5.
    """
    if n < FEWEST:
        raise SteeringError(
            f"{name}: only {n} of {of} rows are {label}",
            allowed=f"at least {FEWEST} on each side" + (f"; responses are {said}" if said else ""),
            remedy="harvest more samples, or widen the choice",
        )


def finite_rows(states: Tensor, name: str) -> Tensor:
    """The same states in float64.

    Raises:
        SteeringError: some are not finite.
    """
    rows = states.double()
    if not bool(rows.isfinite().all()):
        raise SteeringError(
            f"{name}: states have entries that are not finite",
            remedy="harvest in bfloat16 or float32 instead of float16",
        )
    return rows
