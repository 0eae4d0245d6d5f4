"""What ``store info``, ``store verify`` and ``store cache`` say, in eighty columns."""

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from shiftlens.cli.harvest_page import size_text
from shiftlens.cli.terminal import console

if TYPE_CHECKING:
    from shiftlens.activations.info import StoreInfo
    from shiftlens.activations.verifying import Verification
    from shiftlens.core.copies import Copies

_DIGEST = re.compile(r"([0-9a-f]{16})[0-9a-f]{48}")  # the whole of it is for --json
_SHOWN = 20  # faults on the screen; --json gives all


def print_info(found: "Sequence[StoreInfo]") -> None:
    """Print what each store holds."""
    out = console()
    for number, one in enumerate(found):
        if number:
            out.print()
        out.print(Text(str(one.path), "bold"), soft_wrap=True)
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="dim")
        grid.add_column(overflow="fold")
        for name, value in _lines(one):
            grid.add_row(name, Text(value))
        out.print(grid)


def _lines(one: "StoreInfo") -> Iterator[tuple[str, str]]:
    blocks = ", ".join(map(str, one.layers))
    yield "rows", f"{one.rows:,} of {one.d or '?'} numbers, {one.dtype or 'none yet'}"
    yield "layers", blocks
    yield "site", _site(one.identity["site"]["tokens"])
    samples = ", ".join(f"{n:,} {name}" for name, n in one.samples.items())
    yield "samples", f"{samples}; {one.quarantined:,} set aside"
    if one.not_finite:
        yield "not finite", f"{one.not_finite:,} states hold NaN or infinity"
    yield "on disk", f"{size_text(one.bytes)}, {size_text(one.state_bytes)} of them states"
    whole = one.complete or one.bytes_in_the_end is None
    rest = "" if whole else f", {size_text(one.bytes_in_the_end or 0)} in the end at this rate"
    state = "finished" if one.complete else f"unfinished{rest}: run the same harvest again"
    yield "parts", f"{one.parts:,} of {one.n_parts:,}, {state}"
    yield from _origin(one)


def _site(tokens: dict[str, Any]) -> str:
    words = " or ".join(f"“{word}”" for word in tokens.get("words", ()))
    return words or str(tokens.get("kind", "")).replace("_", " ")


def _origin(one: "StoreInfo") -> Iterator[tuple[str, str]]:
    """Where the states are from: what a person knows it by, and what decides it."""
    for name, value in one.about.items():
        if value not in (None, "", {}, []):
            yield name.replace("_", " "), _short(value)
    yield "data", _short(one.identity["data"])
    text = one.identity["text"]
    yield "text", text if isinstance(text, str) else "another model's"
    for name, value in one.identity.get("options", {}).items():
        yield name.replace("_", " "), _short(value)
    if one.fingerprint:
        yield "fingerprint", _short(one.fingerprint)


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {inner}" for key, inner in value.items())
    return _DIGEST.sub(r"\1...", str(value))


def print_verification(found: "Sequence[Verification]") -> None:
    """Print every fault of each store, what is not finite, and a verdict."""
    out = console()
    for number, one in enumerate(found):
        if number:
            out.print()
        out.print(Text(str(one.path), "bold"), soft_wrap=True)
        for fault in one.faults[:_SHOWN]:
            out.print(Text.assemble((fault.kind, "red"), "  ", fault.text), soft_wrap=True)
        if len(one.faults) > _SHOWN:
            out.print(f"and {len(one.faults) - _SHOWN} other faults: --json tells all")
        for layer in one.layers:
            out.print(
                f"layer {layer.layer}: {layer.values:,} numbers, "
                f"NaN {layer.nan:.3%}, infinite {layer.inf:.3%}, in {layer.rows:,} states"
            )
        _print_unnamed(one)
        checked = f"{one.files:,} files, {size_text(one.bytes)}"
        if one.sound:
            out.print(f"[green]sound[/green]: {checked}")
        else:
            plural = "s" if len(one.faults) > 1 else ""
            out.print(f"[red]not sound[/red]: {len(one.faults)} fault{plural} in {checked}")


def _print_unnamed(one: "Verification") -> None:
    if one.unnamed:
        names = ", ".join(one.unnamed[:3]) + (", ..." if len(one.unnamed) > 3 else "")
        out, n = console(), len(one.unnamed)
        text = f"not in the manifest, and not looked at: {n} file{'s' if n > 1 else ''}: {names}"
        out.print(text, markup=False, soft_wrap=True)


def print_copies(left: "Copies", removed: "Copies | None") -> None:
    """Print what copies of stores from far away take, and what was given back."""
    out = console()
    if removed is not None:
        out.print(f"removed {removed.files} copies, {size_text(removed.bytes)}")
    what = f"{left.files} copies of stores from far away, {size_text(left.bytes)}, in {left.folder}"
    out.print(what, markup=False, soft_wrap=True)
