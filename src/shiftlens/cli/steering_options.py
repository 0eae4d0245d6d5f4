"""What several steering verbs read from the command line in one way: layers, settings, data."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from shiftlens.models.model import Model

ScopeOption = Annotated[
    str | None,
    typer.Option(
        help="Positions of bare vectors: response (unless given), all, prompt, image:0, ..."
    ),
]
OperatorOption = Annotated[
    str | None,
    typer.Option(
        help="Of bare vectors: add (unless given), add-keeping-norm, ablate, move-to:TARGET."
    ),
]
LayersOption = Annotated[
    str | None,
    typer.Option(help="Of bare vectors: blocks to steer after, 3,4 or all; the vector's own."),
]


def listed(text: str) -> list[str]:
    """Parts between commas, without blanks."""
    return [one.strip() for one in text.split(",") if one.strip()]


def layer_numbers(text: str) -> list[int] | None:
    """The layers that were named; ``None`` for all of them, or the vectors' own.

    Raises:
        BadParameter: something is no whole number.
    """
    if text.strip() in ("", "all"):
        return None
    try:
        return [int(one) for one in listed(text)]
    except ValueError as error:
        raise typer.BadParameter(
            f"{text!r} is no list of layers", param_hint="--layers 0,2,4 or --layers all"
        ) from error


def typed_layers(text: str | None) -> Sequence[int] | Literal["all"] | None:
    """The layers that were named, ``all``, or ``None`` where nobody named any.

    Raises:
        BadParameter: something is no whole number.
    """
    if text is None or not text.strip():
        return None
    return "all" if text.strip() == "all" else layer_numbers(text)


def layers_of(text: str, model: "Model") -> list[int]:
    """The layers that were named, counted from 0; none where none were.

    Raises:
        BadParameter: something is no whole number.
        SiteError: a layer that the model does not have.
    """
    if text.strip() == "all":
        return list(range(model.address.n_layers))
    return [model.address.layer(one, model.name) for one in layer_numbers(text) or ()]


def setting(text: str) -> tuple[str, Any]:
    """``key=value``, the value as JSON where it is JSON and as text where it is not.

    Raises:
        BadParameter: there is no key.
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise typer.BadParameter(f"{text!r} is no key=value", param_hint="--set")
    try:
        return key.strip(), json.loads(value)
    except json.JSONDecodeError:
        return key.strip(), value


def named_sources(sources: Sequence[str]) -> list[tuple[str, str]]:
    """Data with short names that differ: ``number`` of ``world:number``."""
    names = [Path(one.rpartition(":")[2]).stem or one for one in sources]
    return [
        (name if names.count(name) == 1 else f"{name}-{names[: at + 1].count(name)}", one)
        for at, (name, one) in enumerate(zip(names, sources, strict=True))
    ]
