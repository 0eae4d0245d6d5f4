"""Rules say what they see, and nothing about what they do not know."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from shiftlens.models.geometry.evidence import asks_with_queries, sides
from shiftlens.models.geometry.plans import Plan, judge
from shiftlens.models.geometry.probing import Pixels
from shiftlens.models.model import Model

TOKEN, BREAK = 4, 5


def _judge(
    model: Model,
    span: list[int],
    *,
    facts: dict[str, Tensor] | None = None,
    pixels: dict[str, tuple[int, ...]] | None = None,
) -> Plan:
    shapes = {name: Pixels(shape) for name, shape in (pixels or {}).items()}
    return judge(model, tuple(span), TOKEN, facts or {}, shapes, None)


def test_one_square(tiny: Model) -> None:
    plan = _judge(tiny, [TOKEN] * 9, pixels={"pixel_values": (1, 3, 24, 24)})
    assert plan.grid is not None
    assert (plan.grid.rows, plan.grid.cols) == (3, 3)


def test_an_oblong(tiny: Model) -> None:
    plan = _judge(tiny, [TOKEN] * 8, pixels={"pixel_values": (1, 3, 24, 48)})
    assert plan.grid is not None
    assert (plan.grid.rows, plan.grid.cols) == (2, 4)


@pytest.mark.parametrize(
    ("span", "pixels", "reason"),
    [
        ([TOKEN] * 7, {"p": (1, 3, 24, 24)}, "its 7 tokens fill no grid of the shape of its pix"),
        ([TOKEN] * 8, {"p": (1, 3, 24, 24)}, "its 8 tokens fill no grid"),
        ([TOKEN] * 9, {}, "how this family lays out its picture tokens is not known"),
        ([TOKEN] * 9, {"p": (9, 64)}, "is not known"),
        ([TOKEN] * 9, {"p": (2, 3, 24, 24)}, "is not known"),  # two tiles of four tokens and a half
        ([TOKEN] * 3 + [BREAK] + [TOKEN] * 6, {"p": (1, 3, 24, 24)}, "runs of tokens are not its"),
        ([TOKEN] * 8, {"p": (2, 3, 24, 24)}, "not known how its 2 tiles lie"),
        (
            [TOKEN] * 8,
            {"p": (2, 3, 24, 24), "q": (1, 3, 24, 24)},
            "handed on in several pieces of different kinds",
        ),
    ],
)
def test_no_guess(
    tiny: Model, span: list[int], pixels: dict[str, tuple[int, ...]], reason: str
) -> None:
    plan = _judge(tiny, span, pixels=pixels)
    assert plan.grid is None
    assert reason in plan.reason


@pytest.mark.parametrize(
    ("name", "told", "n", "shape"),
    [
        ("image_grid_thw", [[1, 4, 6]], 6, (2, 3)),
        ("image_grid_thw", [[1, 4, 6]], 24, (4, 6)),
        ("image_grid_hw", [[6, 9]], 6, (2, 3)),
        ("image_grid_thw", [[2, 4, 6]], 12, None),  # frames: a video
        ("image_grid_thw", [[1, 4, 6]], 12, None),  # no square
        ("image_grid_thw", [[1, 3, 8]], 6, None),  # squares do not fit in
    ],
)
def test_grids_of_patches(
    tiny: Model, name: str, told: list[list[int]], n: int, shape: tuple[int, int] | None
) -> None:
    plan = _judge(tiny, [TOKEN] * n, facts={name: torch.tensor(told)})
    found = None if plan.grid is None else (plan.grid.rows, plan.grid.cols)
    assert found == shape
    if shape is None:
        assert "no whole squares of its patches" in plan.reason


def test_a_grid_told_by_positions(tiny: Model) -> None:
    at = torch.tensor([[[c, r] for r in range(4) for c in range(6)] + [[-1, -1]] * 3])
    plan = _judge(tiny, [TOKEN] * 6, facts={"image_position_ids": at})
    assert plan.grid is not None
    assert (plan.grid.rows, plan.grid.cols) == (2, 3)


def test_rows_that_end_in_a_token_of_their_own(tiny: Model) -> None:
    span = ([TOKEN] * 3 + [BREAK]) * 2
    config = tiny.hf.config.vision_config
    sizes = torch.tensor([[2 * config.patch_size, 3 * config.patch_size]])
    facts = {"image_sizes": sizes}
    plan = _judge(tiny, span[:-1], facts=facts, pixels={"pixel_values": (1, 3, 24, 24)})
    assert plan.grid is not None
    assert (plan.grid.rows, plan.grid.cols, plan.grid.columns) == (2, 3, tuple(range(6)))
    wrong = [TOKEN] * 2 + [BREAK] + [TOKEN] * 4
    assert _judge(tiny, wrong, facts=facts, pixels={"pixel_values": (1, 3, 24, 24)}).grid is None


def test_tiles_of_their_own_shapes(tiny: Model) -> None:
    shapes = torch.tensor([[4, 4], [4, 4], [2, 6]])
    plan = _judge(tiny, [TOKEN] * 11, facts={"spatial_shapes": shapes})
    assert plan.grid is None
    assert plan.pieces == 3
    alone = _judge(tiny, [TOKEN] * 6, facts={"spatial_shapes": torch.tensor([[4, 5]])})
    assert alone.grid is not None  # the last column of tokens has one column of patches
    assert (alone.grid.rows, alone.grid.cols) == (2, 3)
    off = _judge(tiny, [TOKEN] * 7, facts={"spatial_shapes": torch.tensor([[4, 5]])})
    assert "no whole squares" in off.reason


def test_cross_attention_has_no_picture_tokens(tiny: Model) -> None:
    plan = _judge(tiny, [TOKEN], facts={"cross_attention_mask": torch.ones(1, 5, 1, 4).long()})
    assert "reads it by cross-attention" in plan.reason


class _Asking(nn.Module):
    """A resampler of no known family."""

    def __init__(self, name: str) -> None:
        super().__init__()
        vectors = nn.Parameter(torch.zeros(9, 32))
        if name == "embedding":
            self.query_embedding = nn.Embedding(9, 32)
        else:
            self.register_parameter(name, vectors)


class _Wrapped(nn.Module):
    def __init__(self, model: Model, part: nn.Module) -> None:
        super().__init__()
        self.inner, self.part = model.hf, part


@pytest.mark.parametrize("name", ["latents", "query_tokens", "learnable_queries", "embedding"])
def test_resamplers_are_known_by_learned_queries(tiny: Model, name: str) -> None:
    """Nine tokens of a resampler would make a fine three by three."""
    hf: Any = _Wrapped(tiny, _Asking(name))
    hf.config = tiny.hf.config
    model = replace(tiny, hf=hf)
    plan = _judge(model, [TOKEN] * 9, pixels={"pixel_values": (1, 3, 24, 24)})
    assert plan.grid is None
    assert "gathers what it wants of the whole picture (learned queries: part." in plan.reason


def test_attention_as_such_asks_nothing_learned(tiny: Model) -> None:
    part = nn.Module()
    part.query = nn.Linear(4, 4)
    part.query_norm = nn.LayerNorm(4)
    hf: Any = _Wrapped(tiny, part)
    assert asks_with_queries(replace(tiny, hf=hf)) is None
    assert asks_with_queries(tiny) is None


@pytest.mark.parametrize(
    ("n", "height", "width", "shape"),
    [
        (9, 24, 24, (3, 3)),
        (8, 24, 48, (2, 4)),
        (8, 48, 24, (4, 2)),
        (10, 24, 24, None),
        (6, 24, 24, None),
        (6, 20, 31, None),
        (0, 24, 24, None),
    ],
)
def test_sides(n: int, height: int, width: int, shape: tuple[int, int] | None) -> None:
    assert sides(n, height, width) == shape
