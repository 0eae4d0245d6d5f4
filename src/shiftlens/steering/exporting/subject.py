"""``Subject``: the model that an export is for, read no further than the target needs."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shiftlens.core.errors import SteeringError
from shiftlens.models.claims import Claim, claim
from shiftlens.models.towers import Tower, modules_of

if TYPE_CHECKING:
    from shiftlens.models.model import Model


@dataclass(frozen=True)
class Subject:
    """A model that was named, or one that is loaded already.

    Attributes:
        name: a directory, an id on the hub, or ``package:name``.
        adapter: a PEFT adapter, named in the same ways.
        loaded: the model itself, where the caller has it.
    """

    name: str
    adapter: str | None = None
    loaded: "Model | None" = None

    @staticmethod
    def of(model: "Model") -> "Subject":
        """The subject of a loaded model."""
        return Subject(model.name, model.adapter, model)

    @cached_property
    def claim(self) -> Claim:
        """Identity (fingerprint of the weights) and address, without loading a weight.

        Raises:
            DataError: there is no such model.
        """
        if self.loaded is not None:
            return Claim(self.loaded.identity, self.loaded.address)
        return claim(self.name, self.adapter)

    def count(self, tower: Tower) -> int:
        """How many blocks a tower has.

        Raises:
            SteeringError: it is not the language model, whose blocks alone are known unloaded.
        """
        if self.loaded is not None:
            return len(modules_of(self.loaded, tower))
        if tower == "language":
            return self.claim.address.n_layers
        raise SteeringError(
            f"how many layers the {tower} of {self.name} has is not known before it is loaded",
            allowed="layers by their numbers, counted from 0",
        )

    @cached_property
    def directory(self) -> Path:
        """Where the model's settings are; its weights too, unless they are on the hub only."""
        if self.loaded is not None:
            return self.loaded.origin.directory
        from shiftlens.models.files import locate

        return locate(self.name, None, settings_only=True)[0]

    @cached_property
    def config(self) -> Any:
        """The configuration of transformers."""
        if self.loaded is not None:
            return self.loaded.hf.config
        from transformers import AutoConfig

        return AutoConfig.from_pretrained(self.directory, local_files_only=True)

    def load(self) -> "Model":
        """The whole model, in the type of its files on a CPU as everywhere in shiftlens.

        Raises:
            DataError: it cannot be read.
        """
        if self.loaded is not None:
            return self.loaded
        from shiftlens.models.loading import load_model

        return load_model(self.name, adapter=self.adapter)
