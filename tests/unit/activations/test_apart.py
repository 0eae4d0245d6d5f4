"""One bad sample does not take a batch with it."""

from collections.abc import Sequence

import pytest

from shiftlens.activations.apart import run_apart
from shiftlens.core.errors import DataError, MismatchError


@pytest.mark.parametrize("bad", [set(), {0}, {3}, {1, 2, 6}, {0, 6}, set(range(7))])
def test_the_others_go_on_and_the_bad_are_named(bad: set[int]) -> None:
    tried: list[list[int]] = []

    def run(rows: Sequence[int]) -> list[int]:
        tried.append(list(rows))
        worst = [at for at in rows if at in bad]
        if worst:
            raise DataError(f"row {worst[0]} is bad")
        return list(rows)

    refused: dict[int, str] = {}
    done = run_apart(run, range(7), refused)
    assert [at for _, rows in done for at in rows] == [at for at in range(7) if at not in bad]
    assert refused == {at: f"row {at} is bad" for at in sorted(bad)}
    if not bad:
        assert tried == [list(range(7))], "a good batch is run once, whole"


def test_what_fits_in_no_row_is_the_models_fault() -> None:
    def run(rows: Sequence[int]) -> None:
        raise MismatchError(f"{len(rows)} rows do not fit")

    with pytest.raises(MismatchError, match="1 rows do not fit"):
        run_apart(run, range(4), {})
    refused: dict[int, str] = {}
    assert run_apart(run, range(1), refused) == []
    assert refused == {0: "1 rows do not fit"}, "one alone may be to blame"


def test_another_error_is_not_the_samples_fault() -> None:
    def run(rows: Sequence[int]) -> None:
        raise KeyError(rows)

    with pytest.raises(KeyError):
        run_apart(run, range(3), {})
