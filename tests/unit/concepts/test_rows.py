"""Rows in memory and on disk: every row once, in the same order, any of them by number."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.builders import build_store

from shiftlens.concepts import rows as rows_module
from shiftlens.concepts.rows import MemoryRows, Rows, StoreRows, blocks, rows_of
from shiftlens.core.errors import LearnError, SiteError

STATES = torch.randn(53, 4, generator=torch.Generator().manual_seed(0)).half()


def _rows(kind: str, tmp_path: Path) -> Rows:
    if kind == "memory":
        return MemoryRows(STATES)
    if kind == "store":
        return StoreRows(build_store(tmp_path, STATES, shards=5))
    shuffled = torch.randperm(53, generator=torch.Generator().manual_seed(1))
    doubled = torch.empty_like(STATES)
    doubled[shuffled] = STATES
    return StoreRows(build_store(tmp_path, doubled, shards=5).at_rows(shuffled.tolist()))


every = pytest.mark.parametrize("kind", ["memory", "store", "view"])


@every
@pytest.mark.parametrize("values", [1, 4 * 7, 2**24])
def test_a_pass_gives_every_row_once_in_the_same_order(
    kind: str, values: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows_module, "CHUNK_VALUES", values)
    rows = _rows(kind, tmp_path)
    assert (len(rows), rows.d) == (53, 4)
    assert isinstance(rows, Rows)
    first, second = list(rows.chunks()), list(rows.chunks())
    numbers = torch.cat([some for some, _ in first])
    assert sorted(numbers.tolist()) == list(range(53))
    assert all(one[0].equal(other[0]) for one, other in zip(first, second, strict=True))
    for some, states in first:
        assert states.equal(STATES[some])
        assert states.numel() <= max(values, 4)


@every
def test_rows_are_taken_in_the_order_of_their_numbers_as_given(kind: str, tmp_path: Path) -> None:
    rows = _rows(kind, tmp_path)
    for numbers in ([], [0], [52, 3, 3, 17, 0], list(range(53))):
        taken = rows.take(np.array(numbers, dtype=np.int64))
        assert taken.shape == (len(numbers), 4)
        assert taken.equal(STATES[numbers].to(taken.dtype))


def test_one_layer_of_several(tmp_path: Path) -> None:
    store = build_store(tmp_path, {2: STATES, 5: STATES * 2})
    assert StoreRows(store, 5).take(np.arange(53)).equal(STATES * 2)
    with pytest.raises(SiteError):
        StoreRows(store)
    with pytest.raises(SiteError, match="layer 3"):
        StoreRows(store, 3)


def test_a_store_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LearnError, match="holds no rows"):
        StoreRows(build_store(tmp_path, STATES).at_rows([]))


def test_states_of_another_shape_are_refused() -> None:
    with pytest.raises(Exception, match=r"states of shape|type hint|Float"):
        MemoryRows(torch.zeros(3))


def test_arrays_become_rows_and_rows_stay(tmp_path: Path) -> None:
    rows = _rows("store", tmp_path)
    assert rows_of(rows) is rows
    assert rows_of(STATES).take(np.array([1])).equal(STATES[1:2])


def test_blocks_cover_all_rows_and_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "BLOCK_VALUES", 100)
    for n, d in ((0, 3), (1, 3), (34, 3), (7, 1000)):
        seen = [row for part in blocks(n, d, torch.device("cpu")) for row in range(n)[part]]
        assert seen == list(range(n))
    assert list(blocks(500, 10, torch.device("cuda"))) == [slice(0, 500)]
    widest = max(part.stop - part.start for part in blocks(10**6, 1, torch.device("cpu")))
    assert widest == 100
