"""``layouts_of``: where the tokens of each picture lie, in the prompt and in the pixels.

How many tokens a picture has, and what the processor tells about it, is learned by giving the
processor a picture of that size alone (``probing``); rules then say how the tokens cover it
(``rules``), and tiles are put together (``composing``). Nothing is believed that does not account
for every picture token of the row.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from shiftlens.core.errors import DataError
from shiftlens.models.geometry.layout import Layout
from shiftlens.models.geometry.plans import Size, joint_plans, plans_of
from shiftlens.models.geometry.telling import sizes_told, untold
from shiftlens.models.model import Model
from shiftlens.models.processing.placeholders import picture_token
from shiftlens.models.prompts import Inputs


def layouts_of(model: Model, inputs: Inputs) -> list[list[Layout]]:
    """The pictures of each row of a batch, with their grids in pixels.

    Args:
        model: who sees them.
        inputs: what ``encode`` made for it.

    Returns:
        rows of the batch x pictures of the row. Where no patch has a place, ``grid`` is ``None``
        and ``reason`` says why.

    Raises:
        DataError: the family has no token that stands for a picture, or the tokens of a row are
            not those of its pictures.
    """
    ids = inputs.tensors["input_ids"][:, : inputs.prompt_width]
    return layouts_from(model, ids, inputs.tensors, sizes=inputs.sizes)


def layouts_from(
    model: Model,
    ids: Tensor,
    tensors: Mapping[str, Any],
    *,
    sizes: Sequence[Sequence[Size]] = (),
) -> list[list[Layout]]:
    """The same for raw tensors, whose pictures may be of unknown sizes.

    Grids are known as far as the tensors tell them, without their pixels. Families that tell the
    sizes of pictures as they were opened are treated as if they had been given.

    Args:
        model: who sees the pictures.
        ids: (b, t) tokens of the prompts.
        tensors: the other inputs, pictures among them, or what was encoded ahead of the call.
        sizes: width and height of each row's pictures, as they were opened, where known.

    Raises:
        DataError: the family has no token that stands for a picture, or the tokens of a row are
            not those of its pictures.
        SteeringError: sizes are not known, and nothing else tells which tile is of which picture.
    """
    token = picture_token(model.hf, model.processor)
    if token is None:
        raise DataError(
            f"{model.name} has no token that stands for a piece of a picture",
            allowed="families whose prompt holds a token for each piece of a picture",
        )
    rows: list[list[int]] = ids.tolist()
    known = sizes or sizes_told(model, token, rows, tensors)
    if not known:
        return untold(model, token, rows, ids, tensors)
    return [_row(model, token, row, own) for row, own in zip(rows, known, strict=True)]


def _row(model: Model, token: int, row: Sequence[int], sizes: Sequence[Size]) -> list[Layout]:
    """The pictures of one row."""
    places = [at for at, one in enumerate(row) if one == token]
    plans = [plans_of(model).of(model, token, size) for size in sizes]
    if sum(plan.n for plan in plans) != len(places):
        plans = joint_plans(model, token, sizes, len(places)) if sizes else []
        if not plans:
            raise _unaccounted(model, len(places), sizes)
    layouts: list[Layout] = []
    start = 0
    for plan, size in zip(plans, sizes, strict=True):
        layouts.append(plan.at(places[start : start + plan.n], size))
        start += plan.n
    return layouts


def _unaccounted(model: Model, n: int, sizes: Sequence[Size]) -> DataError:
    shown = ", ".join(f"{wide}x{high}" for wide, high in sizes)
    return DataError(
        f"{n} picture tokens of {model.name} are not those of pictures of {shown or 'no size'}",
        allowed="as many as its processor writes for pictures of these sizes",
        remedy="encode the samples anew, with the model that reads them",
    )
