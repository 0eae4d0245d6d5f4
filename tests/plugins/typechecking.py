"""How shapes and types are checked while tests run: the same as jaxtyping does, for less.

jaxtyping's import hook decorates every function of the package so that shapes agree over all of its
arguments. That costs two made-up functions a function, and again whenever a function inside another
is made anew; most functions have no shapes. They are checked by beartype alone, and what it makes
of a function inside another is made once.
"""

import functools
import inspect
from collections.abc import Callable
from dataclasses import is_dataclass
from types import CellType, FunctionType
from typing import Any, ForwardRef, get_args, get_type_hints

import jaxtyping
from beartype import BeartypeConf, beartype

Function = Callable[..., Any]

# A whole number may stand for a float.
_CONF = BeartypeConf(is_pep484_tower=True, violation_type=jaxtyping.TypeCheckError)
_MARK = "_checked_by_beartype"

checked = beartype(conf=_CONF)
"""What jaxtyping checks with, where a function has shapes."""


class Checking:
    """Takes the place of ``jaxtyping.jaxtyped``, which the import hook looks up by that name.

    Args:
        whole: the original, for what has shapes, and for all that is not a plain function.
    """

    def __init__(self, whole: Function) -> None:
        self._whole = whole
        self._made: dict[Any, tuple[dict[str, Any], FunctionType]] = {}

    def __call__(self, fn: Any = None, *, typechecker: Any) -> Any:
        """Decorate a function or class; without one, give the decorator."""
        if fn is None:
            return functools.partial(self, typechecker=typechecker)
        if inspect.isclass(fn) and is_dataclass(fn):
            return self._class(fn, typechecker)
        if not isinstance(fn, FunctionType) or _goes_on(fn) or _has_shapes(fn):
            return self._whole(fn, typechecker=typechecker)
        return self._nested(fn) if fn.__code__.co_freevars else _plain(fn)

    def _class(self, cls: Any, typechecker: Any) -> Any:
        """A dataclass: what makes its instances is checked, once however many inherit it."""
        init = cls.__init__
        if not isinstance(init, FunctionType) or hasattr(init, _MARK):
            return cls
        if _has_shapes(init):
            return self._whole(cls, typechecker=typechecker)
        cls.__init__ = _plain(init)
        setattr(cls.__init__, _MARK, True)
        return cls

    def _nested(self, fn: FunctionType) -> Function:
        """A function that closes over another's names: a copy of what was made of the first one."""
        hints, made = self._made.get(fn.__code__, ({}, None))
        if made is None or hints != fn.__annotations__:
            made = _plain(_without_closure(fn))
            self._made[fn.__code__] = (dict(fn.__annotations__), made)
        if made.__kwdefaults__ is None or "__beartype_func" not in made.__kwdefaults__:
            return fn  # nothing to check
        copy = FunctionType(made.__code__, made.__globals__, made.__name__)
        copy.__kwdefaults__ = {**made.__kwdefaults__, "__beartype_func": fn}
        return functools.wraps(fn)(copy)


def _plain(fn: FunctionType) -> Any:
    """A function checked by beartype; annotations that nobody can resolve are not checked."""
    shown = fn.__annotations__
    fn.__annotations__ = {
        name: _resolved(one, fn.__globals__) if _is_text(one) else one
        for name, one in shown.items()
    }
    try:
        made = checked(fn)
    finally:
        fn.__annotations__ = shown
    if made is not fn:
        made.__annotations__ = shown
    return made


def _without_closure(fn: FunctionType) -> FunctionType:
    """A twin that is never called, and keeps nothing alive that the function closes over."""
    cells = tuple(CellType() for _ in fn.__code__.co_freevars)
    twin = FunctionType(fn.__code__, fn.__globals__, fn.__name__, fn.__defaults__, cells)
    twin.__kwdefaults__ = fn.__kwdefaults__
    return functools.wraps(fn, updated=())(twin)


def _goes_on(fn: FunctionType) -> bool:
    """Whether a call gives something that runs later: its annotation is not of what it returns."""
    return inspect.isgeneratorfunction(fn) or inspect.iscoroutinefunction(fn)


def _has_shapes(fn: FunctionType) -> bool:
    resolved = (
        _resolved(one, fn.__globals__) if _is_text(one) else one
        for one in fn.__annotations__.values()
    )
    return any(map(_is_shape, resolved))


def _is_shape(hint: Any) -> bool:
    if inspect.isclass(hint) and issubclass(hint, jaxtyping.AbstractArray):
        return True
    inner = hint if isinstance(hint, list | tuple) else get_args(hint)
    return any(map(_is_shape, inner))


def _is_text(hint: Any) -> bool:
    """Whether a hint is a name yet to be looked up, or holds one."""
    if isinstance(hint, str | ForwardRef):
        return True
    inner = hint if isinstance(hint, list | tuple) else get_args(hint)
    return any(map(_is_text, inner))


def _resolved(hint: Any, names: dict[str, Any]) -> Any:
    """What a hint means; anything, where its names are there for type checkers alone."""

    def stand_in() -> None: ...

    stand_in.__annotations__ = {"value": hint}
    try:
        return get_type_hints(stand_in, names, include_extras=True)["value"]
    except Exception:
        return Any


jaxtyping.jaxtyped = Checking(jaxtyping.jaxtyped)
