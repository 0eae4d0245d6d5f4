"""Roles of a model's tokens and places of its patches, from its processor at work on a picture."""

from dataclasses import dataclass, field, replace

from torch import Tensor

from shiftlens.core.errors import DataError, ShiftLensError
from shiftlens.models.geometry.finding import layouts_from
from shiftlens.models.geometry.layout import Layout
from shiftlens.models.inspecting.firing import said
from shiftlens.models.inspecting.inspection import Patches, TokenRoles
from shiftlens.models.model import Model
from shiftlens.models.processing.placeholders import picture_token
from shiftlens.models.processing.processors import chat_template
from shiftlens.models.processing.reasoning import ReasoningMarks
from shiftlens.models.processing.templates import render
from shiftlens.models.prompts import Turn, process

# Two pictures of different sizes and shapes: what stays the same for both is fixed.
_SIZES = ((640, 480), (300, 900))
_ASKED = "what is this"


@dataclass
class Spoken:
    """What the processor made of pictures, and what it could not do.

    Attributes:
        tokens: roles of tokens.
        patches: how they lie in the first of two pictures.
        limits: what cannot be done, in sentences.
    """

    tokens: TokenRoles
    patches: Patches | None = None
    limits: list[str] = field(default_factory=list[str])


def listen(model: Model) -> Spoken:
    """Have the processor prepare two pictures, and read off what it wrote.

    Args:
        model: its weights are not touched; they may be on the meta device.
    """
    token = picture_token(model.hf, model.processor)
    picture = None if token is None else str(model.tokenizer.convert_ids_to_tokens(token))
    marks = ReasoningMarks.of(model.tokenizer)
    thinking = [*sorted(marks.opening), *sorted(marks.closing)]
    roles = TokenRoles(
        picture,
        template=chat_template(model.processor) is not None,
        system=_takes_system(model),
        reasoning=tuple(map(str, model.tokenizer.convert_ids_to_tokens(thinking))),
    )
    spoken = Spoken(roles)
    if token is None:
        spoken.limits.append("no token of its prompts stands for a picture: scopes image, patches")
    try:
        _try_pictures(model, token, spoken)
    except ShiftLensError as error:
        spoken.limits.append(error.given)
    except Exception as error:  # processors of transformers may fail in any way
        spoken.limits.append(f"its processor cannot prepare a picture ({said(error)})")
    return spoken


def _takes_system(model: Model) -> bool:
    try:
        render(model, _ASKED, 0, "be brief")
    except (DataError, ValueError):
        return False
    return True


def _try_pictures(model: Model, token: int | None, spoken: Spoken) -> None:
    tried = [_prepare(model, size) for size in _SIZES]
    if token is None:
        return
    rows = [one["input_ids"] for one in tried]
    begin, end = _marks(model, rows[0][0].tolist(), token)
    spoken.tokens = replace(spoken.tokens, begin=begin, end=end)
    layouts = [
        layouts_from(model, row, one, sizes=[[size]])[0][0]
        for row, one, size in zip(rows, tried, _SIZES, strict=True)
    ]
    spoken.patches = _patches(layouts[0], layouts[1])


def _prepare(model: Model, *sizes: tuple[int, int]) -> dict[str, Tensor]:
    from PIL import Image

    images = tuple(Image.new("RGB", size, "gray") for size in sizes)
    return process(model, [Turn(_ASKED, images)])


def _marks(model: Model, ids: list[int], token: int) -> tuple[str, str]:
    """The tokens of their own by which a picture's part of a prompt begins and ends.

    That part is what the same prompt without a picture does not have.
    """
    added = set(model.tokenizer.get_added_vocab().values())
    try:
        bare: list[int] = _prepare(model)["input_ids"][0].tolist()
    except Exception:  # a family may not take text alone, and say so in any way
        return "", ""
    start, stop = _shared(ids, bare), len(ids) - _shared(ids[::-1], bare[::-1])
    first, last = ids.index(token), len(ids) - 1 - ids[::-1].index(token)
    before = [one for one in ids[start:first] if one in added]
    after = [one for one in ids[last + 1 : stop] if one in added]
    text = model.tokenizer.convert_ids_to_tokens
    return str(text(before[0])) if before else "", str(text(after[-1])) if after else ""


def _shared(one: list[int], other: list[int]) -> int:
    """How many tokens two prompts have in common at their beginning."""
    pairs = zip(one, other, strict=False)
    return next((n for n, (x, y) in enumerate(pairs) if x != y), min(len(one), len(other)))


def _patches(first: Layout, second: Layout) -> Patches:
    """How patches lie, from the layouts of two pictures of different sizes."""
    size, n, grid = _SIZES[0], len(first.columns), first.grid
    if grid is None:
        return Patches("resampled", size, n, reason=first.reason)
    shape = (grid.rows, grid.cols)
    if first.overview is not None or second.overview is not None:
        return Patches("tiles", size, n, shape)
    other = second.grid
    same = other is not None and shape == (other.rows, other.cols)
    return Patches("fixed" if same else "dynamic", size, n, shape)
