"""``Site``: after which block, and at which token of each sample."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from shiftlens.activations.selections.mean import Mean
from shiftlens.activations.selections.prompt import ImageTokens
from shiftlens.activations.selections.reading import selection_from
from shiftlens.activations.selections.response import LastPrompt
from shiftlens.activations.selections.selection import Selection
from shiftlens.core.errors import SiteError
from shiftlens.core.scopes import TOWERS

if TYPE_CHECKING:
    from shiftlens.models.model import Model


@dataclass(frozen=True)
class Site:
    """A place in the residual stream.

    Attributes:
        layer: index of a block, or several; the state is that block's output, before the final
            norm. Negative ones count from the end.
        tokens: which positions; the last prompt position by default.
        normed: take what the model's final norm makes of the last block's output, which is what
            published figures are about. Only behind the last block. Such states are no longer the
            residual stream: the unembedding reads them as they are, and nothing can be steered
            with them.
        tower: ``language``; or ``vision`` for a block of the vision tower, or ``projector``, with
            ``tokens.mean_image()``: the state is the mean over a sample's patches there.
    """

    layer: int | tuple[int, ...] = -1
    tokens: Selection = field(default_factory=LastPrompt)
    normed: bool = False
    tower: str = "language"

    def __post_init__(self) -> None:
        if isinstance(self.layer, tuple) and not self.layer:
            raise SiteError("a site needs at least one layer")
        if not isinstance(self.tokens, Selection):
            raise SiteError(
                f"{self.tokens!r} selects no tokens",
                allowed='shiftlens.tokens.word("dog"), tokens.last_prompt(), ...',
            )
        if self.tower not in TOWERS:
            raise SiteError(f"unknown tower {self.tower!r}", allowed=", ".join(TOWERS))
        if self.tower != "language" and (self.normed or self.tokens != Mean(ImageTokens())):
            raise SiteError(
                f"the tower {self.tower!r} has no {self.tokens.kind} positions",
                allowed='Site(layer, tokens.mean_image(), tower="vision"), or tower="projector"',
            )
        if self.normed and len(self.layers) > 1:
            raise SiteError(
                f"layers {self.layers} are not all followed by the final norm",
                allowed="normed=True with the last block alone",
            )

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers, also when there is only one."""
        return self.layer if isinstance(self.layer, tuple) else (self.layer,)

    def resolve(self, model: "Model") -> "Site":
        """The same site with layers counted from 0.

        Raises:
            SiteError: a layer that the model does not have, or one named twice; or a normed site
                that no final norm follows.
        """
        from shiftlens.models.towers import layer_of

        tower: Any = self.tower
        found = tuple(layer_of(model, tower, layer) for layer in self.layers)
        if len(set(found)) < len(found):
            raise SiteError(f"layers {self.layers} name a block twice")
        if self.normed:
            _require_norm(model, found[0])
        return replace(self, layer=found if isinstance(self.layer, tuple) else found[0])

    def at(self, layer: int) -> "Site":
        """The same tokens at one layer."""
        return replace(self, layer=layer)

    def describe(self) -> dict[str, Any]:
        """The site as JSON."""
        layer = list(self.layer) if isinstance(self.layer, tuple) else self.layer
        # Named only where it is true: every earlier store keeps its identity.
        normed = {"normed": True} if self.normed else {}
        tower = {} if self.tower == "language" else {"tower": self.tower}
        return {"layer": layer, "tokens": self.tokens.describe(), **normed, **tower}


def _require_norm(model: "Model", layer: int) -> None:
    last = model.address.n_layers - 1
    if layer != last:
        raise SiteError(
            f"layer {layer} of {model.name} is not followed by the final norm",
            allowed=f"normed=True with the last block alone: {last}, or -1",
        )
    if model.address.norm_path is None:
        raise SiteError(
            f"{model.name} has no final norm",
            remedy="leave normed out: the last block's output is what its unembedding reads",
        )


def site_from(description: Mapping[str, Any]) -> Site:
    """The site that ``describe`` wrote down."""
    layer = description["layer"]
    return Site(
        layer=tuple(layer) if isinstance(layer, list) else layer,
        tokens=selection_from(description["tokens"]),
        normed=description.get("normed", False),
        tower=description.get("tower", "language"),
    )
