"""``Scope``: which columns of a forward pass are steered."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from jaxtyping import Bool
from torch import Tensor

from shiftlens.core.errors import SteeringError
from shiftlens.core.scopes import SCOPES
from shiftlens.steering.calls import Call


class Scope(ABC):
    """Selects columns of a call; the same ones with a key-value cache and without."""

    from_prompt: bool
    """Whether it may select positions before the last one of the prompt."""

    @abstractmethod
    def mask(self, call: Call) -> Bool[Tensor, "b t"]:
        """The columns that are selected in this call; never padding.

        Raises:
            SteeringError: the selection has no meaning for this model or these inputs.
        """

    @abstractmethod
    def __str__(self) -> str:
        """The scope as ``read_scope`` takes it."""

    def idles(self, call: Call) -> bool:  # noqa: ARG002
        """Whether nothing of this call can be selected, known without looking at tokens."""
        return False


@dataclass(frozen=True)
class Named(Scope):
    """One of the five scopes that every model has.

    ``response``: every position that emits a response token, which is the last prompt position and
    all generated ones. ``generated`` leaves the prompt alone and so cannot change the first token.
    """

    name: str

    def __post_init__(self) -> None:
        if self.name not in SCOPES:
            raise SteeringError(
                f"unknown scope {self.name!r}",
                allowed=f"{', '.join(SCOPES)}, image, image:0, patches:X0,Y0,X1,Y1, words:dog,cat",
            )

    @property
    def from_prompt(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether it may select positions before the last one of the prompt."""
        return self.name in ("all", "prompt")

    def mask(self, call: Call) -> Bool[Tensor, "b t"]:
        """The columns of the scope."""
        if self.name == "all":
            return call.real
        if self.name == "prompt":
            return call.real & ~call.generated
        if self.name == "last_prompt":
            return call.real & call.last_prompt
        if self.name == "generated":
            return call.real & call.generated
        return call.emits

    def idles(self, call: Call) -> bool:
        """The scopes of the prompt have nothing to do while decoding, ``generated`` before."""
        if self.name in ("prompt", "last_prompt"):
            return call.decodes
        return self.name == "generated" and call.starts

    def __str__(self) -> str:
        return self.name
