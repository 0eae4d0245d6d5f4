"""The decisive test of patch geometry: paint one patch, and see which token changes.

What is compared are the embeddings that enter the first block of the language model. Random towers
mix all patches by attention, so attention within the tower is muted while looking (its outputs are
multiplied by 0, by hooks): what is left of a tower moves information only as far as its
convolutions, poolings and shuffles do, and those are what is being tested. Resizing still smears a
patch over its neighbours a little, so the token that must be the painted patch's is the one that
changes most.

Families that turn a picture into codes of a codebook are looked at before the codes are chosen: a
changed code says nothing about how much changed, and normalisation flips some anywhere. That the
codes stand in the prompt in that order is a test of its own.
"""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.architectures.cases import Case
from tests.architectures.families.family import Family
from tests.architectures.families.table import FAMILIES
from torch import Tensor, nn
from torch.nn.functional import conv2d

from shiftlens.core.errors import SiteError, SteeringError
from shiftlens.models.geometry.finding import layouts_from, layouts_of
from shiftlens.models.geometry.layout import Grid, Layout
from shiftlens.models.loading import load_model
from shiftlens.models.model import Model
from shiftlens.models.processing.placeholders import picture_token
from shiftlens.models.prompts import Inputs, Turn, encode_turns

PROMPT = "what is this ?"
# Width and height: wide, high, and nearly square; large enough for patches of several pixels.
SIZES = ((192, 80), (72, 180), (120, 104))
PATCHES = 6


def _plain(size: tuple[int, int]) -> np.ndarray:
    return np.full((size[1], size[0], 3), 90, dtype=np.uint8)


def _inner(grid: Grid, row: int, col: int, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The middle of a patch in whole pixels, at least one; empty where it lies beside."""
    left, top, right, bottom = grid.patch(row, col)
    across, down = (right - left) / 5, (bottom - top) / 5
    x0, x1 = round(left + across), max(round(right - across), round(left + across) + 1)
    y0, y1 = round(top + down), max(round(bottom - down), round(top + down) + 1)
    return max(x0, 0), max(y0, 0), min(x1, size[0]), min(y1, size[1])


def _visible(grid: Grid, row: int, col: int, size: tuple[int, int]) -> bool:
    """Whether most of a patch shows the picture and not padding."""
    left, top, right, bottom = grid.patch(row, col)
    wide, high = min(right, size[0]) - max(left, 0), min(bottom, size[1]) - max(top, 0)
    return wide > 0 and high > 0 and wide * high > 0.7 * (right - left) * (bottom - top)


def _painted(grid: Grid, row: int, col: int, size: tuple[int, int]) -> Image.Image:
    pixels = _plain(size)
    x0, y0, x1, y1 = _inner(grid, row, col, size)
    pixels[y0:y1, x0:x1] = (255, 0, 230)
    return Image.fromarray(pixels)


def _some(grid: Grid, size: tuple[int, int]) -> list[tuple[int, int]]:
    """Corners, and a few others, of the patches that show the picture."""
    every = [(r, c) for r in range(grid.rows) for c in range(grid.cols)]
    shown = [at for at in every if _visible(grid, *at, size)]
    chosen = np.random.default_rng(0).permutation(len(shown))[: PATCHES - 2].tolist()
    return sorted({shown[0], shown[-1], *(shown[at] for at in chosen)})


@contextmanager
def _muted(model: Model) -> Iterator[None]:
    """What mixes patches within the tower says nothing; what pools them afterwards is left alone.

    These are attention and, in towers of convolutions, the branches beside the residual stream and
    what a convolution reads beyond its own step.
    """

    def mute(module: Any, args: Any, output: Any) -> Any:
        if isinstance(output, tuple):
            return (output[0] * 0, *output[1:])
        return output * 0

    def alone(module: Any, args: Any, output: Any) -> Any:
        (top, left), (down, across) = module.padding, module.stride
        own = module.weight[:, :, top : top + down, left : left + across]
        return conv2d(args[0], own, module.bias, module.stride, groups=module.groups)

    tower, blocks = model.address.vision_path, f"{model.address.blocks_path}."
    with ExitStack() as handles:
        for name, module in model.hf.named_modules():
            if name.startswith(blocks) or not name.startswith(f"{tower}." if tower else ""):
                continue
            kind, last = type(module).__name__, name.rpartition(".")[2]
            owner = type(model.hf.get_submodule(name.rpartition(".")[0])).__name__
            if re.search(r"Attention(Block)?$", kind) or (
                last in ("conv2", "proj_out") and re.search(r"(Resnet|Attn)Block$", owner)
            ):
                handles.callback(module.register_forward_hook(mute).remove)
            elif isinstance(module, nn.Conv2d) and module.kernel_size > module.stride:
                handles.callback(module.register_forward_hook(alone).remove)
        yield


@dataclass
class Seen:
    """What was seen of a pass.

    Attributes:
        states: (b, t, d) what enters the first block.
        features: (pictures, places, d) what a codebook is asked for, where there is one.
        codes: (pictures, places) what it says.
    """

    states: Tensor
    features: Tensor | None = None
    codes: Tensor | None = None


@torch.no_grad()
def _look(model: Model, inputs: Inputs) -> Seen:
    seen = Seen(torch.empty(0))

    def keep(module: Any, args: Any, kwargs: Any) -> None:
        seen.states = (args[0] if args else kwargs["hidden_states"]).detach().float()

    def quantised(module: Any, args: Any, output: Any) -> None:
        seen.features = args[0].flatten(2).mT
        seen.codes = output[2].view(len(args[0]), -1)

    with ExitStack() as handles:
        block = model.address.block(model.hf, 0)
        handles.callback(block.register_forward_pre_hook(keep, with_kwargs=True).remove)
        for module in model.hf.modules():
            if type(module).__name__.endswith("VectorQuantizer"):
                handles.callback(module.register_forward_hook(quantised).remove)
        handles.enter_context(_muted(model))
        handles.enter_context(model.active())
        handles.enter_context(model.tenancy.announcing(inputs))
        model.hf(**inputs.tensors, use_cache=False)
    return seen


def _changed_most(moved: Tensor, columns: tuple[int, ...]) -> int:
    return columns[int(moved[list(columns)].argmax())]


def _transposed(grid: Grid) -> Grid:
    order = np.array(grid.columns).reshape(grid.rows, grid.cols).T.reshape(-1)
    return replace(grid, columns=tuple(order.tolist()))


def _paint(model: Model, grid: Grid, size: tuple[int, int]) -> list[tuple[tuple[int, int], Tensor]]:
    """For some patches how much every column of the prompt changes when they are painted."""
    chosen = _some(grid, size)
    plain = Image.fromarray(_plain(size))
    images = [plain, *(_painted(grid, *at, size) for at in chosen)]
    inputs = encode_turns(model, [Turn(PROMPT, (one,)) for one in images])
    seen = _look(model, inputs)
    states = seen.states
    if seen.features is not None:
        token = picture_token(model.hf, model.processor)
        states = states.new_zeros(*states.shape[:2], seen.features.shape[-1])
        states[inputs.tensors["input_ids"] == token] = seen.features.flatten(0, 1)
    return [(at, (states[n + 1] - states[0]).norm(dim=-1)) for n, at in enumerate(chosen)]


def _layout(model: Model, size: tuple[int, int]) -> Layout:
    inputs = encode_turns(model, [Turn(PROMPT, (Image.fromarray(_plain(size)),))])
    ((layout,),) = layouts_of(model, inputs)
    return layout


@pytest.mark.parametrize("size", SIZES)
def test_a_painted_patch_changes_its_own_token(case: Case, size: tuple[int, int]) -> None:
    model = case.model
    if _placeless(case.family):
        _assert_no_grid(model, size)
        return
    layout = _layout(model, size)
    assert layout.grid is not None, layout.reason
    beside = set() if layout.overview is None else set(layout.overview.columns)
    own = tuple(column for column in layout.columns if column not in beside)
    wrong = _missed(model, layout.grid, own, size)
    assert wrong == [], wrong
    if min(layout.grid.rows, layout.grid.cols) > 1:
        assert _missed(model, _transposed(layout.grid), own, size), "on its side it passed as well"
    if layout.overview is not None:
        assert _missed(model, layout.overview, layout.overview.columns, size) == []


def _missed(
    model: Model, grid: Grid, columns: tuple[int, ...], size: tuple[int, int]
) -> list[tuple[tuple[int, int], int]]:
    """Painted patches whose own token is not the one that changes most, with the one that is."""
    missed: list[tuple[tuple[int, int], int]] = []
    for (row, col), moved in _paint(model, grid, size):
        assert float(moved.max()) > 0, "pictures change nothing"
        most = _changed_most(moved, columns)
        if most != grid.columns[row * grid.cols + col]:
            missed.append(((row, col), most))
    return missed


def _placeless(family: Family) -> bool:
    """Whether no patch has a place: pictures are resampled, or read by cross-attention."""
    return family.geometry == "resampled" or family.model_type == "mllama"


def _assert_no_grid(model: Model, size: tuple[int, int]) -> None:
    layout = _layout(model, size)
    assert layout.grid is None
    assert layout.overview is None
    assert layout.reason
    with pytest.raises(SiteError, match="have no place in the picture: "):
        layout.column(0, 0, model.name)


@pytest.mark.parametrize("size", [(192, 80), (72, 180), (191, 60)])
def test_crops_of_pan_and_scan(
    size: tuple[int, int], tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gemma 3 shows the whole picture and then crops of it, which transformers has off by default.

    The whole and each crop are squeezed to a square; the last crop may be narrower.
    """
    from transformers import Gemma3Processor

    family = next(one for one in FAMILIES if one.name == "Gemma3")
    model = load_model(family.build(tmp_path_factory.mktemp("panned") / "model", 0))
    monkeypatch.setitem(Gemma3Processor.images_kwargs, "do_pan_and_scan", True)
    monkeypatch.setitem(Gemma3Processor.images_kwargs, "pan_and_scan_min_crop_size", 8)
    layout = _layout(model, size)
    assert layout.grid is not None, layout.reason
    assert layout.overview is not None
    assert layout.grid.rows != layout.grid.cols
    own = tuple(at for at in layout.columns if at not in layout.overview.columns)
    assert _missed(model, layout.grid, own, size) == []
    assert _missed(model, _transposed(layout.grid), own, size)
    assert _missed(model, layout.overview, layout.overview.columns, size) == []


def test_codes_stand_in_the_order_of_their_places(case: Case) -> None:
    """Equal codes have equal embeddings, different ones have not."""
    image = case.images[0]
    inputs = encode_turns(case.model, [Turn(PROMPT, (image,))])
    seen = _look(case.model, inputs)
    if seen.codes is None:
        assert case.family.model_type not in ("chameleon", "emu3")
        return
    ((layout,),) = layouts_of(case.model, inputs)
    assert layout.grid is not None
    states, codes = seen.states[0, list(layout.grid.columns)], seen.codes[0]
    assert len(codes.unique()) > 4
    same = (states[:, None] == states[None]).all(dim=-1)
    assert same.equal(codes[:, None] == codes[None])
    turned = codes.view(layout.grid.rows, layout.grid.cols).mT.flatten()
    assert not same.equal(turned[:, None] == turned[None])


def test_every_picture_token_is_accounted_for(case: Case) -> None:
    """In batches of different sizes, with several pictures a row and rows without any."""
    for turns in case.batches:
        inputs = encode_turns(case.model, turns)
        found = layouts_of(case.model, inputs)
        assert [len(row) for row in found] == [len(turn.images) for turn in turns]
        for row, turn in zip(found, turns, strict=True):
            columns = [at for layout in row for at in layout.columns]
            assert columns == sorted(set(columns))
            for layout, image in zip(row, turn.images, strict=True):
                assert layout.size == image.size
                assert (layout.grid is None) == _placeless(case.family)


def test_raw_tensors_tell_the_same_or_nothing(case: Case) -> None:
    """Without sizes a layout may be unknown; where it is known, it is the same."""
    turns = [turn for turn in case.batches[0] if len(turn.images) == 1]
    inputs = encode_turns(case.model, turns)
    try:
        raw = layouts_from(case.model, inputs.tensors["input_ids"], inputs.tensors)
    except SteeringError as error:
        if "cuts a picture into tiles" not in str(error) or "model.generate" not in str(error):
            raise
        return
    for (known,), found in zip(layouts_of(case.model, inputs), raw, strict=True):
        for one in found:
            if one.grid is None:
                assert one.reason
                continue
            assert known.grid is not None
            assert one.columns == known.columns
            assert (one.grid.rows, one.grid.cols) == (known.grid.rows, known.grid.cols)
            assert one.grid.columns == known.grid.columns
