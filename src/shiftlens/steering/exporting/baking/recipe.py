"""Which parts of a steering are baked how, and what is refused; and the hooks that they replace."""

from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from torch import Tensor

from shiftlens.concepts.vectors import SteeringVector
from shiftlens.core.errors import ExportError
from shiftlens.models.model import Model
from shiftlens.models.prompts import Inputs
from shiftlens.models.towers import Tower
from shiftlens.steering.applying import open_steering
from shiftlens.steering.exporting.baking.ablating import ablated_everywhere, bake_ablation
from shiftlens.steering.exporting.baking.adding import bake_additions
from shiftlens.steering.exporting.baking.changes import Changes
from shiftlens.steering.exporting.baking.projecting import affine_of, bake_projector
from shiftlens.steering.exporting.refusing import HOOKS, require_all_positions, require_no_gate
from shiftlens.steering.intervening import Intervention
from shiftlens.steering.keeping.steering import Steering
from shiftlens.steering.operators import Ablate, Add
from shiftlens.steering.scopes import Image, read_scope

_NAME = "baked"


@dataclass(frozen=True)
class Recipe:
    """A steering, sorted by what is done to the weights for it.

    Attributes:
        additions: to what is added after a block: tower, layer, and (d,) vector.
        ablated: (d,) a direction that is taken out of the whole residual stream.
        projected: interventions at the projector.
        hooked: the interventions as hooks would carry them out, but for the ablation.
        halfway: the ablation as hooks after every block, which is less than what is baked.
    """

    additions: dict[tuple[Tower, int], Tensor]
    ablated: Tensor | None
    projected: tuple[Intervention, ...]
    hooked: tuple[Intervention, ...]
    halfway: Intervention | None

    @property
    def needs_pictures(self) -> bool:
        """Whether text alone would show nothing of it."""
        return bool(self.projected) or any(tower != "language" for tower, _ in self.additions)

    @contextmanager
    def hooks(self, model: Model) -> Generator[None]:
        """Steer a loaded model by hooks, to compare."""
        with ExitStack() as open_:
            if self.hooked:
                open_.enter_context(open_steering(model, self.hooked))
            if self.ablated is not None:
                open_.enter_context(ablated_everywhere(model, self.ablated.to(model.device)))
            yield

    def bake(self, model: Model, inputs: Sequence[Inputs]) -> Changes:
        """What is done to the weights.

        Raises:
            ExportError: this model's weights cannot carry it.
        """
        changes = bake_additions(model, self.additions, inputs) if self.additions else Changes()
        for one in self.projected:
            changes = changes.and_also(bake_projector(model, one, inputs))
        if self.ablated is not None:
            changes = changes.and_also(bake_ablation(model, self.ablated, inputs))
        return changes


def sort(steering: Steering, model: Model) -> Recipe:
    """Sort a steering, or refuse what weights cannot do.

    Raises:
        ExportError: a gate, a scope, or an operation that no weights can carry; it names what can.
        SiteError: a block that the model does not have.
    """
    additions: dict[tuple[Tower, int], Tensor] = {}
    projected: list[Intervention] = []
    hooked: list[Intervention] = []
    ablations: list[Intervention] = []
    for given in steering.interventions:
        require_no_gate(given, _NAME)
        one = _everywhere(given)
        if one.tower == "projector":
            affine_of(one)
            projected.append(one)
        elif isinstance(one.vector, SteeringVector) and isinstance(one.operator, Ablate):
            ablations.append(_require_whole(one, model))
            continue
        else:
            added = _addition(one)
            for layer in one.resolve_layers(model):
                at = (one.tower, layer)
                additions[at] = additions[at] + added if at in additions else added
        hooked.append(one)
    _require_one(ablations, additions)
    ablated = ablations[0] if ablations else None
    direction = None if ablated is None else _direction(ablated)
    return Recipe(additions, direction, tuple(projected), tuple(hooked), ablated)


def _everywhere(one: Intervention) -> Intervention:
    """The intervention, if it acts at every position, or on every patch of every picture."""
    if one.tower == "language":
        require_all_positions(one, _NAME)
        return one
    # A bare vector is exported with the scope "all": beside the language model, of pictures.
    scope = read_scope("image" if str(one.scope) == "all" else one.scope)
    if not isinstance(scope, Image) or scope.index is not None:
        raise ExportError(
            f"weights treat every patch of every picture alike, and {one.vector.name!r} has the "
            f"scope {str(scope)!r}",
            allowed="the scope image",
            remedy=HOOKS,
        )
    return replace(one, scope="image")


def _addition(one: Intervention) -> Tensor:
    """(d,) float64, strength and all.

    Raises:
        ExportError: it is another operation than adding.
    """
    vector = one.vector
    if isinstance(vector, SteeringVector) and isinstance(one.operator or Add(), Add):
        return vector.direction.double() * one.strength
    kind = vector.kind if not isinstance(vector, SteeringVector) else (one.operator or Add()).name
    raise ExportError(
        f"{vector.name!r} ({kind}) acts on states after a block, whose way past its layers holds "
        "no weight that could carry it",
        allowed="after a block: add; over all blocks: ablate; in the projector: every affine edit",
        remedy=HOOKS,
    )


def _require_whole(one: Intervention, model: Model) -> Intervention:
    """Refuse an ablation that is not the whole of the direction, in the whole model.

    Raises:
        ExportError: it is not.
    """
    n = model.address.n_layers
    if one.tower != "language" or set(one.resolve_layers(model)) != set(range(n)):
        raise ExportError(
            f"{one.vector.name!r} is ablated after some blocks of the {one.tower}: weights can "
            "take a direction out of the whole residual stream, and not out of a part of it",
            allowed=f"an ablation after all {n} blocks of the language model",
            remedy=f"give layers=range({n}), and measure it so; or {HOOKS}",
        )
    if one.strength != 1:
        raise ExportError(
            f"{one.vector.name!r} is ablated with strength {one.strength:g}: what several matrices "
            "write can be projected once, and not by a share that adds up",
            allowed="strength 1",
            remedy=HOOKS,
        )
    return one


def _require_one(
    ablations: Sequence[Intervention], additions: dict[tuple[Tower, int], Tensor]
) -> None:
    if len(ablations) > 1 or (ablations and any(tower == "language" for tower, _ in additions)):
        raise ExportError(
            "an ablation beside other vectors of the language model: their order decides, and "
            "weights know none",
            allowed="one ablation alone, or additions alone",
            remedy=f"export the ablation, load what it wrote and export the rest for that; or "
            f"{HOOKS}",
        )


def _direction(one: Intervention) -> Tensor:
    vector = one.vector
    assert isinstance(vector, SteeringVector)
    if vector.norm == 0:
        raise ExportError(f"{vector.name!r} has length 0, and no direction to ablate")
    return vector.direction.double()
