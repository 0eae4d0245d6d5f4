"""Tiles into one grid: only where their places leave no doubt."""

import pytest

from shiftlens.models.geometry.composing import compose
from shiftlens.models.geometry.evidence import Piece
from shiftlens.models.geometry.layout import Box, Grid


def _piece(number: int, box: Box | None, **more: object) -> Piece:
    order = tuple(range(4 * number, 4 * number + 4))
    return Piece(2, 2, order, box, **more)  # pyright: ignore[reportArgumentType]


def _composed(pieces: list[Piece], size: tuple[int, int] | None) -> tuple[Grid, Grid | None]:
    found = compose(pieces, size)
    assert not isinstance(found, str), found
    return found


LEFT, RIGHT, ALL = (0.0, 0.0, 5.0, 8.0), (5.0, 0.0, 10.0, 8.0), (0.0, 0.0, 10.0, 8.0)


def test_two_tiles_beside_each_other_and_the_whole() -> None:
    grid, small = _composed([_piece(0, LEFT), _piece(1, RIGHT), _piece(2, ALL)], (10, 8))
    assert (grid.rows, grid.cols) == (2, 4)
    assert grid.columns == (0, 1, 4, 5, 2, 3, 6, 7)
    assert grid.box == ALL
    assert grid.patch(1, 3) == (7.5, 4, 10, 8)
    assert small is not None
    assert small.columns == (8, 9, 10, 11)


def test_the_whole_may_come_first() -> None:
    grid, small = _composed([_piece(0, ALL), _piece(1, LEFT), _piece(2, RIGHT)], (10, 8))
    assert grid.columns == (4, 5, 8, 9, 6, 7, 10, 11)
    assert small is not None
    assert small.columns == (0, 1, 2, 3)


def test_one_above_the_other() -> None:
    top, bottom = (0.0, 0.0, 10.0, 4.0), (0.0, 4.0, 10.0, 8.0)
    grid, small = _composed([_piece(0, top), _piece(1, bottom)], (10, 8))
    assert (grid.rows, grid.cols, small) == (4, 2, None)
    assert grid.columns == tuple(range(8))


def test_tiles_of_different_sizes_keep_their_edges() -> None:
    narrow = (0.0, 0.0, 2.0, 8.0)
    grid, _ = _composed([_piece(0, narrow), _piece(1, (2.0, 0.0, 10.0, 8.0))], (10, 8))
    assert grid.patch(0, 1) == (1, 0, 2, 4)
    assert grid.patch(0, 2) == (2, 0, 6, 4)


@pytest.mark.parametrize("hidden", range(4))
def test_a_tile_of_nothing_but_padding_is_where_its_neighbours_say(hidden: int) -> None:
    corners = [(x, y, x + 5.0, y + 4.0) for y in (0.0, 4.0) for x in (0.0, 5.0)]
    pieces = [_piece(at, None if at == hidden else box) for at, box in enumerate(corners)]
    grid, _ = _composed(pieces, (10, 8))
    assert (grid.rows, grid.cols, grid.box) == (4, 4, ALL)


def test_places_that_are_named_serve_without_pixels() -> None:
    named = [_piece(at, None, place=(at // 2, at % 2)) for at in range(4)]
    grid, small = _composed([*named, _piece(4, None, overview=True)], None)
    assert (grid.rows, grid.cols, grid.box) == (4, 4, None)
    assert small is not None
    swapped = [_piece(at, None, place=(at % 2, at // 2)) for at in range(4)]
    assert "not known how its 4 tiles lie" in str(compose(swapped, None))


@pytest.mark.parametrize(
    ("boxes", "size", "reason"),
    [
        ([None, None], None, "it is not known how its 2 tiles lie"),
        ([LEFT, LEFT], (10, 8), "its 2 tiles do not cover it in rows and columns"),
        ([RIGHT, LEFT], (10, 8), "do not cover it"),  # from right to left is no order of reading
        ([LEFT, (7.0, 0.0, 10.0, 8.0)], (10, 8), "do not cover it"),
        ([LEFT, (5.0, 2.0, 10.0, 8.0), ALL], (10, 8), "do not cover it"),
        ([None, None], (10, 8), "do not cover it"),
    ],
)
def test_doubt_is_no_grid(
    boxes: list[Box | None], size: tuple[int, int] | None, reason: str
) -> None:
    assert reason in str(compose([_piece(at, box) for at, box in enumerate(boxes)], size))


def test_tiles_with_different_grids() -> None:
    other = Piece(1, 4, (4, 5, 6, 7), RIGHT)
    assert "grids of different sizes" in str(compose([_piece(0, LEFT), other], (10, 8)))
