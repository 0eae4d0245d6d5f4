"""What ``doctor`` says: one line for each thing that was looked for, and a verdict."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from shiftlens.cli.terminal import console
from shiftlens.models.inspecting.inspection import (
    AdapterSettings,
    Inspection,
    Logits,
    Patches,
    TokenRoles,
)
from shiftlens.models.inspecting.sweeping import Architecture

_UNITS = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))
_KINDS = {
    "fixed": "one grid for every picture",
    "dynamic": "a grid of each picture's own",
    "tiles": "tiles, as many as the picture calls for",
    "resampled": "none has a place in the picture",
}


def print_inspection(found: Inspection) -> None:
    """Print what was found about one model, in at most eighty columns."""
    out = console()
    out.print(Text.assemble((found.name, "bold"), "  ", (_what(found), "dim")))
    rows = list(_rows(found))
    if rows:
        out.print()
        out.print(_grid(rows))
    out.print()
    if found.usable:
        out.print("[green]usable[/green]: every block fired once in a forward pass without weights")
    else:
        out.print("[red]cannot be used[/red]")
        _bullets(found.reasons)
    if found.limits:
        out.print("[yellow]with limits[/yellow]" if found.usable else "[yellow]besides[/yellow]")
        _bullets(found.limits)


def print_sweep(found: Sequence[Architecture]) -> None:
    """Print the addresses of all architectures, by path, and why some have none."""
    out = console()
    addressed = [one for one in found if one.addressed]
    out.print(
        f"[bold]{len(addressed)} of {len(found)}[/bold] architectures are addressed, each proven "
        "by a forward pass\n"
    )
    by_path = sorted(addressed, key=lambda one: one.path)
    groups = {path: [one.name for one in some] for path, some in groupby(by_path, lambda a: a.path)}
    for path, names in sorted(groups.items(), key=lambda pair: -len(pair[1])):
        out.print(Text.assemble(path, (f"  {len(names)}", "dim")))
        out.print(Padding(Text(", ".join(names), style="dim"), (0, 0, 0, 2)))
    refused = [(one.name, one.reason) for one in found if not one.addressed]
    if refused:
        out.print("\n[bold]not addressed[/bold]\n")
        out.print(_grid(refused))


def _what(found: Inspection) -> str:
    parts = [found.kind or found.family]
    if found.parameters:
        parts.append(f"{_count(found.parameters)} parameters")
    parts.append(f"packed by {found.quantised}" if found.quantised else found.dtype)
    return ", ".join(part for part in parts if part)


def _count(n: int) -> str:
    for size, unit in _UNITS:
        if n >= size:
            return f"{n / size:.3g} {unit}"
    return str(n)


def _rows(found: Inspection) -> Iterator[tuple[str, str]]:
    address = found.address
    if found.adapter is not None:
        yield "adapter", _adapter(found.adapter)
    if address is not None:
        stream = f"{address.blocks_path}: {address.n_layers} blocks, width {address.d}"
        yield "residual stream", stream
        yield "final norm", address.norm_path or "none"
        yield "unembedding", address.head_path + (_logits(found.logits) if found.logits else "")
        blocks = "" if found.vision_blocks is None else f": {found.vision_blocks} blocks"
        yield "vision tower", f"{address.vision_path}{blocks}" if address.vision_path else "none"
        yield "projector", address.projector_path or "none"
    if found.tokens is not None:
        yield "picture token", _picture(found.tokens)
    if found.patches is not None:
        yield "patches", _patches(found.patches)
    if found.tokens is not None:
        yield "prompts", _prompts(found.tokens)
    for one in found.additions:
        yield "beside the blocks", one


def _adapter(settings: AdapterSettings) -> str:
    rank = "" if settings.rank is None else f" of rank {settings.rank}"
    where = f"{', '.join(settings.targets)}" or "the modules that PEFT chooses"
    n = "" if settings.modules is None else f" ({settings.modules} modules)"
    saved = f"; replaces {', '.join(settings.saved)}" if settings.saved else ""
    return f"{settings.kind}{rank} of {settings.base}, in {where}{n}{saved}"


def _logits(logits: Logits) -> str:
    tied = ", tied to the embedding" if logits.tied else ""
    numbers = "".join(f", {name} {value:g}" for name, value in logits.numbers.items())
    masked = "; the logits of some tokens are overwritten" if logits.masked else ""
    return f"{tied}{numbers}{masked}"


def _picture(tokens: TokenRoles) -> str:
    if tokens.picture is None:
        return "none"
    before = f", after {tokens.begin}" if tokens.begin else ""
    return f"{tokens.picture}{before}{f', before {tokens.end}' if tokens.end else ''}"


def _patches(patches: Patches) -> str:
    wide, high = patches.size
    grid = "" if patches.grid is None else f", {patches.grid[0]} x {patches.grid[1]} patches"
    kind = _KINDS.get(patches.kind, "not known how they lie")
    reason = f": {patches.reason}" if patches.reason else ""
    return f"{kind}{reason}; {wide} x {high} pixels give {patches.tokens} tokens{grid}"


def _prompts(tokens: TokenRoles) -> str:
    template = "chat template" if tokens.template else "no chat template"
    system = "system prompts" if tokens.system else "no system prompts"
    thinking = f", thinks between {' '.join(tokens.reasoning)}" if tokens.reasoning else ""
    return f"{template}, {system}{thinking}"


def _grid(rows: Sequence[tuple[str, str]]) -> Table:
    """Two columns, the left one dim; names of models are never markup."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in rows:
        grid.add_row(Text(f"  {name}"), Text(value))
    return grid


def _bullets(lines: Sequence[str]) -> None:
    console().print(_grid([("-", line) for line in lines]))
