"""Tasks by name, as the command line and experiment files choose them."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from importlib import import_module
from typing import Any, get_origin

from shiftlens.core.errors import SteeringError
from shiftlens.core.registry import Registry
from shiftlens.steering.tasks.task import Task, words_from

tasks: Registry[Callable[..., Task]] = Registry("task")
"""What makes a task of its settings; importing a task's module adds it."""


def make_task(name: str, settings: Mapping[str, Any]) -> Task:
    """A task by name.

    Args:
        name: as it is registered.
        settings: its fields.

    Raises:
        ShiftLensError: no task has that name.
        SteeringError: a setting that the task does not have, one that it needs and lacks, or one of
            the wrong kind.
    """
    import_module("shiftlens.steering.tasks")  # registers them all
    make = tasks.get(name)
    known = _settings(make)
    names = {one.name for one in known}
    needed = [
        one.name for one in known if one.default is MISSING and one.default_factory is MISSING
    ]
    unknown = [key for key in settings if known and key not in names]
    missing = [key for key in needed if key not in settings]
    if unknown or missing:
        problem = f"has no setting {unknown[0]!r}" if unknown else f"needs {', '.join(missing)}"
        raise SteeringError(
            f"the task {name!r} {problem}", allowed=f"settings: {', '.join(sorted(names))}"
        )
    return make(**{key: _of_its_kind(key, value, known) for key, value in settings.items()})


def _settings(make: Any) -> list[Field[Any]]:
    """The fields of a task that can be set; none where it is made by a plain function."""
    return [one for one in fields(make) if one.init] if is_dataclass(make) else []


def _of_its_kind(key: str, value: Any, known: Sequence[Field[Any]]) -> Any:
    """A setting as its field wants it: an answer such as 3 is a text, whatever it looks like.

    Raises:
        SteeringError: a number, words or a mapping is wanted, and something else is given.
    """
    kind = next((one.type for one in known if one.name == key), None)
    if kind is str and not isinstance(value, str):
        return json.dumps(value)
    if kind is int and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise SteeringError(f"{key} = {value!r}", allowed="a whole number from 1 up")
    origin = get_origin(kind)
    if origin is Sequence:
        return words_from(value, key)
    if origin is Mapping and not isinstance(value, Mapping):
        raise SteeringError(f"{key} = {value!r}", allowed='{"man": "person", ...}')
    return value
