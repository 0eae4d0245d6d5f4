"""``ActivationStore``: states from where they lie, in any order, bit for bit."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.builders import build_store

from shiftlens.activations import shards
from shiftlens.activations.store import ActivationStore
from shiftlens.core.errors import MismatchError, SiteError, StoreError

N, D = 30, 8


def _drawn(n: int = N, d: int = D, *, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def _bits(states: torch.Tensor) -> list[int]:
    return states.contiguous().view(torch.uint8).flatten().tolist()


@pytest.fixture
def states() -> torch.Tensor:
    return _drawn()


@pytest.fixture
def store(tmp_path: Path, states: torch.Tensor) -> ActivationStore:
    return build_store(tmp_path / "store", states, shards=4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("n_shards", [1, 4])
def test_every_way_to_read_is_exact(tmp_path: Path, dtype: torch.dtype, n_shards: int) -> None:
    """Bit for bit, also NaN, infinity, minus zero and the smallest numbers of the type."""
    states = _drawn().to(dtype)
    odd = [float("nan"), float("inf"), -float("inf"), -0.0, torch.finfo(dtype).smallest_normal]
    states[3, :5] = torch.tensor(odd, dtype=dtype)
    states[4, 0] = torch.finfo(dtype).smallest_normal / 2
    store = build_store(tmp_path / "s", states, shards=n_shards)
    assert store.states().dtype == dtype
    assert _bits(store.states()) == _bits(states)
    assert _bits(store.gather(list(range(N)))) == _bits(states)
    assert _bits(torch.cat([one for _, one in store.shards()])) == _bits(states)
    assert _bits(torch.cat([one for _, one in store.batches(7)])) == _bits(states)
    numpy = np.concatenate([one for _, one in store.batches(7, kind="numpy")])
    expected = states.float() if dtype is torch.bfloat16 else states
    assert numpy.tobytes() == expected.numpy().tobytes()


@pytest.mark.parametrize("long", [0, 8, 10_000], ids=["in runs", "as it is", "by file"])
def test_rows_come_in_the_order_given(
    store: ActivationStore, states: torch.Tensor, monkeypatch: pytest.MonkeyPatch, long: int
) -> None:
    """Both ways to copy, runs within a file and over its end, and rows that are named twice."""
    monkeypatch.setattr(shards, "_LONG", long)
    drawn = np.random.default_rng(0).integers(0, N, 100)
    order = np.concatenate([drawn, np.arange(5, 20), [7, 7, 6, 5], np.arange(N)])
    for rows in (order, order.tolist(), torch.from_numpy(order), order.astype(np.uint8)):
        assert torch.equal(store.gather(rows), states[order])
    assert store.gather([]).shape == (0, D)
    assert not torch.equal(store.gather(np.sort(order)), states[order]), "twin: the order counts"


def test_only_the_files_of_the_rows_are_opened(store: ActivationStore) -> None:
    """8, 8, 7 and 7 rows: without the second and the last file, rows of the others can be read."""
    (store.path / "shard-1.safetensors").unlink()
    (store.path / "shard-3.safetensors").unlink()
    assert store.gather([0, 22, 7, 16]).shape == (4, D)
    for row in (8, 15, 23, 29):
        with pytest.raises(StoreError, match=r"shard-[13].safetensors is missing"):
            store.gather([0, row])


def test_neither_length_nor_states_read_the_tables(store: ActivationStore) -> None:
    for file in store.path.glob("rows-*.parquet"):
        file.unlink()
    again = ActivationStore.open(store.path)
    assert len(again) == N
    assert again.gather([3]).shape == (1, D)
    assert sum(len(rows) for rows, _ in again.batches(4)) == N
    with pytest.raises(StoreError, match="rows-0"):
        again.rows  # noqa: B018


@pytest.mark.parametrize(
    "rows",
    [[N], [-1], np.array([0.5]), [True] * N, np.array([[0]]), torch.ones(N).bool()],
    ids=["behind", "negative", "half", "flags", "nested", "mask"],
)
def test_what_is_no_row_is_refused(store: ActivationStore, rows: Any) -> None:
    for read in (store.gather, store.at_rows):
        with pytest.raises(MismatchError, match=r"there is no row|in place of numbers of rows"):
            read(rows)


@pytest.mark.parametrize("n", [5, 8])
def test_tables_of_other_states_are_not_read_as_if_they_were_whole(
    store: ActivationStore, n: int
) -> None:
    table = pq.read_table(store.path / "rows-0.parquet")
    _ = store.at_rows([0]).rows  # twin: before, they are
    other = pa.concat_tables([table, table.slice(0, 3)]).slice(0, n + (3 if n == 8 else 0))
    pq.write_table(other, store.path / "rows-0.parquet")
    told = r"rows-0\.parquet is a table of \d+ states, and its shard has \d+\n"
    for one in (store, store.at_rows([0, 29])):
        with pytest.raises(StoreError, match=told):
            one.rows  # noqa: B018


def test_rows_of_a_view_are_its_own(store: ActivationStore, states: torch.Tensor) -> None:
    view = store.at_rows([20, 3, 3, 9])
    assert torch.equal(view.gather([1, 0]), states[[3, 20]])
    assert [row.sample_id for row in view.rows] == ["s20", "s3", "s3", "s9"]
    assert [row.sample_id for row in view.at_rows([3, 0]).rows] == ["s9", "s20"]
    with pytest.raises(MismatchError, match=r"there is no row 4\n  0\.\.3"):
        view.gather([4])


def test_select_by_word_sample_and_layer(tmp_path: Path) -> None:
    both = {0: _drawn(), 5: _drawn(seed=1)}
    store = build_store(tmp_path / "s", both, shards=3, ids=[f"s{i // 2}" for i in range(N)])
    assert len(store.where(lambda row: row.word == "dog")) == N
    assert len(store.where(lambda row: row.word == "cat")) == 0
    one = store.where(lambda row: row.sample_id == "s4")
    assert torch.equal(one.states(5), both[5][8:10])
    assert torch.equal(one.gather([1], layer=0), both[0][9:10])
    with pytest.raises(SiteError, match="holds several layers"):
        store.gather([0])
    with pytest.raises(SiteError, match=r"(?s)layer 3 is not in.*--layers 3"):
        next(store.batches(4, 3))


@pytest.mark.parametrize("size", [1, 7, N, 100])
def test_batches_are_all_rows_in_order(
    store: ActivationStore, states: torch.Tensor, size: int
) -> None:
    found = list(store.batches(size))
    assert [row for rows, _ in found for row in rows] == list(range(N))
    assert {len(rows) for rows, _ in found[:-1]} <= {size}
    for rows, one in found:
        assert torch.equal(one, states[rows])


def test_batches_in_a_drawn_order(store: ActivationStore, states: torch.Tensor) -> None:
    def order(seed: int | None) -> list[int]:
        found = list(store.batches(7, seed=seed))
        assert all(torch.equal(one, states[rows]) for rows, one in found)
        return [row for rows, _ in found for row in rows]

    assert sorted(order(0)) == list(range(N))
    assert order(0) == order(0)
    assert order(0) != order(1)
    assert order(0) != order(None)


def test_batches_of_a_view(store: ActivationStore, states: torch.Tensor) -> None:
    kept = [25, 1, 14, 2, 2]
    found = list(store.at_rows(kept).batches(2))
    assert [row for rows, _ in found for row in rows] == [0, 1, 2, 3, 4]
    assert torch.equal(torch.cat([one for _, one in found]), states[kept])


@pytest.mark.parametrize("size", [0, -1])
def test_other_batches_do_not_exist(store: ActivationStore, size: int) -> None:
    with pytest.raises(StoreError, match="1 row or more, for torch or numpy"):
        store.batches(size)


def test_shards_of_a_view_name_its_own_rows(store: ActivationStore, states: torch.Tensor) -> None:
    kept = [25, 1, 14, 2, 2]
    found = [(rows, one) for rows, one in store.at_rows(kept).shards()]
    assert sorted(row for rows, _ in found for row in rows) == [0, 1, 2, 3, 4]
    assert len(found) == 3
    for rows, one in found:
        assert torch.equal(one, states[[kept[row] for row in rows]])


def test_shards_are_views_of_the_files_and_writing_stays_here(
    store: ActivationStore, states: torch.Tensor
) -> None:
    """A private mapping: nobody else, and no later read, sees what is written into a view."""
    store.gather([0])
    _, first = next(store.shards())
    place = f"{first.data_ptr():x}"
    maps = Path("/proc/self/maps").read_text().splitlines()
    span = [line.split() for line in maps if "shard-0.safetensors" in line]
    inside = [one for one in span if _within(place, one[0])]
    assert inside, "the numbers lie in the mapped file, not in a copy"
    assert all(one[1][3] == "p" for one in inside)
    first.zero_()
    assert torch.equal(store.gather([0]), states[:1])
    assert torch.equal(store.states(), states)


def _within(place: str, span: str) -> bool:
    low, high = (int(one, 16) for one in span.split("-"))
    return low <= int(place, 16) < high


def _replace(store: ActivationStore, **tensors: torch.Tensor) -> None:
    file = store.path / "shard-1.safetensors"
    save_file({name.replace("_", "."): one for name, one in tensors.items()}, file)


def test_a_shard_with_other_rows_is_not_read_in_the_wrong_place(store: ActivationStore) -> None:
    _replace(store, layer_0=_drawn(9))
    for read in (store.states, lambda: store.gather([0, 9]), lambda: list(store.shards())):
        with pytest.raises(StoreError, match=r"shard-1.*layer.0 has the shape \(9, 8\)"):
            read()
    assert store.gather([0, 7]).shape == (2, D), "twin: the other shards are sound"


@pytest.mark.parametrize("other", [_drawn(8, 5), _drawn(8).half()], ids=["width", "type"])
def test_shards_of_two_kinds_are_not_mixed(store: ActivationStore, other: torch.Tensor) -> None:
    _replace(store, layer_0=other)
    with pytest.raises(StoreError, match="as in the other shards"):
        store.states()


def test_only_so_many_files_stay_mapped(
    store: ActivationStore, states: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "_MAPPED", 2)
    for row in (0, 29, 9, 20, 0):
        assert torch.equal(store.gather([row]), states[[row]])
        maps = Path("/proc/self/maps").read_text()
        assert len({line.split("/")[-1] for line in maps.splitlines() if "shard-" in line}) <= 2


def test_a_store_without_rows(tmp_path: Path) -> None:
    store = build_store(tmp_path / "s", torch.empty(0, D))
    assert len(store) == 0
    assert store.rows == []
    assert list(store.batches(4)) == []
    assert list(store.shards()) == []
    for read in (store.states, lambda: store.gather([])):
        with pytest.raises(StoreError, match=r"without rows|holds no rows"):
            read()


def test_the_builder_s_first_shard_is_as_written(store: ActivationStore) -> None:
    """Twin of all the above: the file itself, read by safetensors, holds these numbers."""
    file = load_file(store.path / "shard-0.safetensors")["layer.0"]
    assert torch.equal(file, store.gather(range(8)))
