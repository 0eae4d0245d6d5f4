"""Which setting of an architecture gives a linear layer a bias: asked of the architecture itself.

No table of families: every setting that speaks of a bias is switched on, one at a time, the model
is built again without memory (meta device), and what changed is compared.
"""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import nn

from shiftlens.models.model import Model


@dataclass(frozen=True)
class Flag:
    """A setting that gives linear layers biases and changes nothing else.

    Attributes:
        path: of keys in the configuration ("text_config", "mlp_bias").
        layers: paths of all linear layers that it gives one, in every block.
    """

    path: tuple[str, ...]
    layers: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join(self.path)


class Flags:
    """The settings of a model that give linear layers biases, asked of its architecture once.

    Args:
        model: whose architecture is asked, when the first layer is.
    """

    def __init__(self, model: Model) -> None:
        self._model = model

    def of(self, layer: str) -> Flag | None:
        """The setting that gives a linear layer a bias, the one with the fewest others at its side.

        Args:
            layer: path of the linear layer, which has no bias.

        Returns:
            ``None`` where the architecture knows no such setting.
        """
        found = [flag for flag in self._found if layer in flag.layers]
        return min(found, key=lambda flag: len(flag.layers), default=None)

    @cached_property
    def _found(self) -> list[Flag]:
        model, config = self._model, self._model.hf.config
        plain = _built(model, config)
        found: list[Flag | None] = []
        for path in _settings(config, ()):
            other = deepcopy(config)
            setattr(_at(other, path[:-1]), path[-1], True)
            found.append(_compare(path, plain, _built(model, other)))
        return [flag for flag in found if flag is not None]


def _settings(config: Any, above: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Paths of settings that speak of a bias and are off, of a configuration and those in it."""
    for name, value in vars(config).items():
        if "bias" in name and (value is False or value is None):
            yield (*above, name)
        elif hasattr(value, "to_dict") and hasattr(value, "model_type"):
            yield from _settings(value, (*above, name))


def _at(config: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        config = getattr(config, name)
    return config


def _built(model: Model, config: Any) -> nn.Module | None:
    """The architecture without weights; ``None`` where it cannot be built with these settings."""
    try:
        with torch.device("meta"):
            return type(model.hf)(config)
    except (ValueError, TypeError, AttributeError, KeyError, RuntimeError):
        return None


def _compare(path: tuple[str, ...], plain: Any, other: Any) -> Flag | None:
    """The flag, if all that it does is to add biases of linear layers."""
    if plain is None or other is None:
        return None
    before, after = _shapes(plain), _shapes(other)
    added = [name for name in after if name not in before]
    if not added or any(after.get(name) != shape for name, shape in before.items()):
        return None
    owners = [name.removesuffix(".bias") for name in added]
    linear = all(isinstance(other.get_submodule(one), nn.Linear) for one in owners)
    biases = all(name.endswith(".bias") for name in added)
    return Flag(path, tuple(owners)) if biases and linear else None


def _shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(one.shape) for name, one in module.state_dict().items()}
