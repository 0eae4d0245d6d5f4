"""Learners by name, and their options from the command line, typed by the learner's own fields."""

import pkgutil
from collections.abc import Mapping
from dataclasses import Field, fields
from importlib import import_module
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from shiftlens.concepts.learners.learner import ConceptLearner
    from shiftlens.core.registry import Registry

_ELSEWHERE = ("k", "seed")  # have options of their own
_NAMED = ("space", "n_starts", "penalty")  # may be set by an option of their own, too


def known_learners() -> "Registry[type[ConceptLearner]]":
    """Every learner by its name: those of the package are imported, which registers them."""
    from shiftlens.concepts import learners as package
    from shiftlens.concepts.learners.learner import learners

    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        import_module(module.name)
    return learners


def learner_with(name: str, k: int, seed: int, settings: Mapping[str, Any]) -> "ConceptLearner":
    """The learner of that name with these options.

    Args:
        name: as it is registered ("kmeans").
        k: number of concepts.
        seed: of the learner.
        settings: options by name, as JSON.

    Raises:
        BadParameter: no such learner or option, or a value of another type.
        LearnError: a value that the learner refuses.
    """
    registry = known_learners()
    if name not in registry.names():
        raise typer.BadParameter(
            f"there is no learner {name!r}; there are {', '.join(sorted(registry.names()))}",
            param_hint="--learner",
        )
    kind = registry.get(name)
    options = {one.name: one for one in fields(kind) if one.name not in _ELSEWHERE}  # pyright: ignore
    unknown = [key for key in settings if key not in options]
    if unknown:
        raise typer.BadParameter(
            f"{name} has no option {unknown[0]!r}; it has {', '.join(options)}",
            param_hint=f"--{unknown[0].replace('_', '-')}" if unknown[0] in _NAMED else "--set",
        )
    typed = {key: _typed(name, options[key], value) for key, value in settings.items()}
    return kind(k=k, seed=seed, **typed)  # pyright: ignore[reportCallIssue]


def _typed(learner: str, option: "Field[Any]", value: Any) -> Any:
    """The value in the type of the option's default; a whole number is a number."""
    wanted: type = type(option.default)
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not wanted:
        names: dict[type, str] = {
            int: "a whole number",
            float: "a number",
            bool: "true or false",
            str: "a word",
        }
        raise typer.BadParameter(
            f"{option.name} of {learner} is {names.get(wanted, wanted.__name__)}, not {value!r}",
            param_hint=f"--set {option.name}={option.default}",
        )
    return value
