"""From pixels to tokens and back: what must hold for every layout, and twins that must fail."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shiftlens.core.errors import SiteError
from shiftlens.models.geometry.layout import Grid, Layout
from shiftlens.models.geometry.mapping import heat, region

# Layouts are built in the tests: checking their types uses ``random``, which strategies may not.
NUMBERS = st.fixed_dictionaries(
    {
        "size": st.tuples(st.integers(8, 60), st.integers(8, 60)),
        "shape": st.tuples(st.integers(1, 5), st.integers(1, 5)),
        "first": st.integers(0, 9),
        "ends": st.booleans(),
        "beyond": st.tuples(*(st.integers(-4, 2) for _ in range(4))),
    }
)


def _layout(
    size: tuple[int, int],
    shape: tuple[int, int],
    first: int,
    ends: bool,
    beyond: tuple[int, int, int, int],
) -> Layout:
    """A picture whose grid may be cropped or padded, perhaps with a token after each row."""
    (width, height), (rows, cols) = size, shape
    line = cols + ends
    columns = tuple(first + r * line + c for r in range(rows) for c in range(cols))
    left, top, right, bottom = beyond
    box = (float(left), float(top), float(width - right), float(height - bottom))
    return Layout(tuple(range(first, first + rows * line)), size, Grid(rows, cols, columns, box))


def _grid(layout: Layout) -> Grid:
    assert layout.grid is not None
    return layout.grid


@given(NUMBERS, st.data())
def test_the_region_of_a_patch_is_its_token(numbers: dict[str, Any], data: st.DataObject) -> None:
    layout = _layout(**numbers)
    grid = _grid(layout)
    row, col = data.draw(st.integers(0, grid.rows - 1)), data.draw(st.integers(0, grid.cols - 1))
    assert region(layout, grid.patch(row, col)) == (layout.column(row, col, "it"),)
    assert region(layout, grid.patch(row, col), share=1) == (layout.column(row, col, "it"),)


@given(NUMBERS)
def test_the_region_of_everything_is_the_grid(numbers: dict[str, Any]) -> None:
    layout = _layout(**numbers)
    grid = _grid(layout)
    assert grid.box is not None
    assert region(layout, grid.box, share=1) == grid.columns


@given(NUMBERS)
def test_patches_tile_their_box(numbers: dict[str, Any]) -> None:
    layout = _layout(**numbers)
    grid = _grid(layout)
    assert grid.box is not None
    areas = [
        (right - left) * (bottom - top)
        for r in range(grid.rows)
        for c in range(grid.cols)
        for left, top, right, bottom in [grid.patch(r, c)]
    ]
    left, top, right, bottom = grid.box
    assert sum(areas) == pytest.approx((right - left) * (bottom - top))


@given(NUMBERS, st.data())
def test_heat_lies_where_the_patch_is(numbers: dict[str, Any], data: st.DataObject) -> None:
    """One token's value covers the pixels whose middles its patch holds, and no others."""
    layout = _layout(**numbers)
    grid = _grid(layout)
    assert layout.size is not None
    row, col = data.draw(st.integers(0, grid.rows - 1)), data.draw(st.integers(0, grid.cols - 1))
    values = np.zeros(len(layout.columns))
    values[layout.columns.index(layout.column(row, col, "it"))] = 7.0
    shown = heat(layout, values)
    width, height = layout.size
    assert shown.shape == (height, width)
    left, top, right, bottom = grid.patch(row, col)
    x, y = np.arange(width) + 0.5, np.arange(height) + 0.5
    # Where an edge runs through the middle of a pixel, rounding decides.
    across, down = (np.array(edges) for edges in grid.lines())
    clear = [
        np.abs(y[:, None] - down).min(axis=1) > 1e-6,
        np.abs(x[:, None] - across).min(axis=1) > 1e-6,
    ]
    inside = np.outer((y > top) & (y < bottom), (x > left) & (x < right))
    sure = np.outer(*clear)
    assert ((shown == 7.0) == inside)[sure].all()
    outside = np.isnan(shown)
    box = grid.box
    assert box is not None
    within = np.outer((y > box[1]) & (y < box[3]), (x > box[0]) & (x < box[2]))
    assert (outside == ~within)[sure].all()


@given(NUMBERS)
def test_twin_a_grid_on_its_side_puts_heat_elsewhere(numbers: dict[str, Any]) -> None:
    layout = _layout(**numbers)
    grid = _grid(layout)
    if grid.rows == 1 or grid.cols == 1:
        return
    order = np.array(grid.columns).reshape(grid.rows, grid.cols).T.ravel()
    other = replace(layout, grid=replace(grid, columns=tuple(order.tolist())))
    assert other.column(0, 1, "it") != layout.column(0, 1, "it")
    values = np.arange(len(layout.columns), dtype=float)
    assert not np.array_equal(heat(layout, values), heat(other, values), equal_nan=True)


def test_a_share_decides() -> None:
    layout = Layout((0, 1, 2, 3), (20, 20), Grid(2, 2, (0, 1, 2, 3), (0, 0, 20, 20)))
    assert region(layout, (0, 0, 14, 10), share=0.5) == (0,)
    assert region(layout, (0, 0, 14, 10), share=0.4) == (0, 1)
    assert region(layout, (0, 0, 15, 10), share=0.5) == (0, 1)
    assert region(layout, (0, 0, 20, 20), share=0.5) == (0, 1, 2, 3)


def test_uneven_patches() -> None:
    grid = Grid(1, 2, (5, 6), (0, 0, 10, 4), edges=((0.0, 2.0, 10.0), (0.0, 4.0)))
    layout = Layout((5, 6), (10, 4), grid)
    assert grid.patch(0, 1) == (2, 0, 10, 4)
    assert heat(layout, [1.0, 2.0])[0].tolist() == [1.0] * 2 + [2.0] * 8
    assert region(layout, (0, 0, 2, 4)) == (5,)


def test_the_overview_has_a_map_of_its_own() -> None:
    small = Grid(1, 1, (0,), (0, 0, 8, 8))
    layout = Layout((0, 1, 2), (8, 8), Grid(1, 2, (1, 2), (0, 0, 8, 8)), small)
    assert region(layout, (0, 0, 8, 8), overview=True) == (0,)
    assert set(heat(layout, [3.0, 4.0, 5.0], overview=True).ravel().tolist()) == {3.0}
    bare = replace(layout, overview=None)
    with pytest.raises(SiteError, match="it is not shown small beside its tiles"):
        region(bare, (0, 0, 8, 8), overview=True)


def test_what_cannot_be_mapped_says_why() -> None:
    grid = Grid(2, 2, (0, 1, 2, 3), (0, 0, 8, 8))
    layout = Layout((0, 1, 2, 3), (8, 8), grid)
    with pytest.raises(SiteError, match=r"the box \(3, 0, 3, 2\) is empty"):
        region(layout, (3, 0, 3, 2))
    with pytest.raises(SiteError, match="a share of 0"):
        region(layout, (0, 0, 8, 8), share=0)
    with pytest.raises(SiteError, match=r"no patch of me lies in the box .* by a share of 0.5"):
        region(layout, (0, 0, 2, 2), name="me")
    with pytest.raises(SiteError, match=r"values of shape \(3,\) for the 4 tokens"):
        heat(layout, [1.0, 2.0, 3.0])
    nowhere = Layout((0, 1), (8, 8), None, reason="it is resampled")
    with pytest.raises(SiteError, match="no place in the picture: it is resampled"):
        heat(nowhere, [0.0, 1.0])
    unsized = Layout((0, 1, 2, 3), None, replace(grid, box=None))
    assert unsized.column(1, 0, "it") == 2
    for use in (lambda: region(unsized, (0, 0, 8, 8)), lambda: heat(unsized, [0.0] * 4)):
        with pytest.raises(SiteError, match="not known how large the picture was"):
            use()
    with pytest.raises(SiteError, match=r"patch \(2, 0\) is outside a picture of me\n  2 rows"):
        layout.column(2, 0, "me")
    assert layout.column(-1, -2, "me") == 2
