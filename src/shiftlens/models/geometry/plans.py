"""``Plan``: how the tokens of a picture of some size cover it, wherever they stand in a prompt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from shiftlens.models.geometry.composing import compose
from shiftlens.models.geometry.evidence import Evidence
from shiftlens.models.geometry.layout import Grid, Layout
from shiftlens.models.geometry.probing import Pixels, Sight, look
from shiftlens.models.geometry.rules import RULES
from shiftlens.models.model import Model

Size = tuple[int, int]
_UNKNOWN = "how this family lays out its picture tokens is not known"
# Tokens before a picture's first among which its first tile may be named.
_LEAD = 12


@dataclass(frozen=True)
class Plan:
    """A layout whose columns are numbers of the picture's own tokens.

    Attributes:
        n: how many tokens the picture has.
        grid, overview, reason: as in ``Layout``.
        pieces: how many pieces the tokens come in, where that is known.
        tile: height and width of the pixels of one, where they are not flattened.
    """

    n: int
    grid: Grid | None = None
    overview: Grid | None = None
    reason: str = ""
    pieces: int = 1
    tile: tuple[int, int] | None = None

    def at(self, columns: Sequence[int], size: Size | None) -> Layout:
        """The layout of a picture whose tokens stand in some columns of a prompt."""
        grids = [
            None if one is None else replace(one, columns=tuple(columns[at] for at in one.columns))
            for one in (self.grid, self.overview)
        ]
        return Layout(tuple(columns), size, grids[0], grids[1], self.reason)


class Plans:
    """Plans of one module and its processor, each worked out when a size is first seen."""

    def __init__(self) -> None:
        self._known: dict[tuple[Size, str], Plan] = {}

    def of(self, model: Model, token: int, size: Size) -> Plan:
        """The plan of a picture that is the only one of its prompt.

        Raises:
            DataError: the processor cannot prepare pictures of that size.
        """
        key = size, _settings(model)
        if key not in self._known:
            sight = look(model, [size])
            span, n = lead_up(sight.ids, token)
            self._known[key] = (
                judge(model, span, token, sight.facts, sight.pixels, size)
                if n
                else Plan(0, reason="its tokens do not stand in the prompt")
            )
        return self._known[key]


def _settings(model: Model) -> str:
    """What the processor does with pictures: users may change it while it is loaded."""
    return repr(getattr(model.processor, "image_processor", None))


def plans_of(model: Model) -> Plans:
    """What has been worked out for a model so far; models that share a module share it."""
    return model.tenancy.remembered(Plans)


def joint_plans(model: Model, token: int, sizes: Sequence[Size], n: int) -> list[Plan]:
    """Plans of the pictures of one prompt, where company changes what they are given.

    Args:
        model: who sees them.
        token: its picture token.
        sizes: of the pictures.
        n: how many tokens they have together.

    Returns:
        a plan for each, of equally many tokens; none where they are not equally many.

    Raises:
        DataError: the processor cannot prepare such pictures.
    """
    sight = look(model, sizes)
    k = len(sizes)
    if sight.ids.count(token) != n or n % k:
        return []
    span = (token,) * (n // k)
    parts: list[Sight] = [sight.of(number, size, k) for number, size in enumerate(sizes)]
    return [
        judge(model, span, token, part.facts, part.pixels, size)
        for part, size in zip(parts, sizes, strict=True)
    ]


def lead_up(ids: Sequence[int], token: int) -> tuple[tuple[int, ...], int]:
    """Tokens up to the last picture token, from some before the first; and how many there are."""
    places = [at for at, one in enumerate(ids) if one == token]
    if not places:
        return (), 0
    return tuple(ids[max(0, places[0] - _LEAD) : places[-1] + 1]), len(places)


def judge(
    model: Model,
    span: tuple[int, ...],
    token: int,
    facts: Mapping[str, Tensor],
    pixels: Mapping[str, Pixels],
    size: Size | None,
) -> Plan:
    """Ask the rules; the first that speaks is believed.

    Args:
        model: who sees the picture.
        span: tokens up to its last one.
        token: the picture token.
        facts: what the processor tells about the picture.
        pixels: its tensors of pictures.
        size: of the picture, where known.
    """
    evidence = Evidence(model, span, token, facts, pixels)
    main = evidence.main
    tile = None if main is None or main.flat else (main.shape[-2], main.shape[-1])
    plan = Plan(evidence.n, reason=_UNKNOWN, tile=tile)
    found = next((said for rule in RULES if (said := rule(evidence)) is not None), None)
    if found is None:
        return plan
    if isinstance(found, str):
        return replace(plan, reason=found)
    joined = compose(found, size)
    if isinstance(joined, str):
        return replace(plan, reason=joined, pieces=len(found))
    return replace(plan, grid=joined[0], overview=joined[1], reason="", pieces=len(found))
