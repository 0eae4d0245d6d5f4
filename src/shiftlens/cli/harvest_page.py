"""What ``harvest`` would cost, and what it kept, in eighty columns."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shiftlens.activations.info import states_bytes
from shiftlens.cli.steering_options import layer_numbers
from shiftlens.cli.terminal import console, print_json, table

if TYPE_CHECKING:
    from shiftlens.activations.manifest import Manifest
    from shiftlens.activations.selections.selection import Selection


def cost(
    model: str,
    samples: int,
    chosen: "Selection | None",
    layers: str,
    *,
    models: int,
    generates: bool,
    max_new_tokens: int,
    batch_size: int,
    dtype: str | None,
) -> dict[str, Any]:
    """What a harvest would do, from the model's settings alone.

    Returns:
        ``samples``; ``answers`` that are generated; ``passes`` through the model at most; ``rows``
        and ``bytes`` of states at most, ``None`` where each sample gives as many as it has tokens.

    Raises:
        DataError: there is no such model.
        SiteError: a layer that it does not have.
    """
    from shiftlens.activations.selections.prompt import ImageTokens, TextTokens
    from shiftlens.activations.selections.response import ResponseTokens
    from shiftlens.models.inspecting.looking import inspect

    found = inspect(model)
    patches = found.patches.tokens if found.patches is not None else None
    each: int | None = 1
    if isinstance(chosen, ImageTokens):
        each = patches
    elif isinstance(chosen, ResponseTokens):
        each = max_new_tokens
    elif isinstance(chosen, TextTokens) or getattr(chosen, "every", False):
        each = None
    address = found.address
    blocks: Sequence[int] | None = None
    if address is not None:
        named = layer_numbers(layers)
        blocks = (
            range(address.n_layers)
            if named is None
            else [address.layer(one, model) for one in named]
        )
    rows = None if each is None else models * samples * each
    known = rows is not None and address is not None and blocks is not None
    batches = -(-samples // batch_size)
    return {
        "samples": samples,
        "answers": models * samples if generates else 0,
        "passes": models * batches * (max_new_tokens + 1 if generates else 1),
        "rows": rows,
        "layers": None if blocks is None else len(blocks),
        "bytes": states_bytes(rows, len(blocks), address.d, dtype) if known else None,  # pyright: ignore
    }


def print_cost(found: dict[str, Any], *, as_json: bool) -> None:
    """Print what ``cost`` found."""
    if as_json:
        print_json(found)
        return
    rows = "as many rows as there are tokens" if found["rows"] is None else None
    size = "" if found["bytes"] is None else f", {size_text(found['bytes'])}"
    console().print(
        f"{found['samples']} samples, {found['answers']} answers to generate\n"
        f"at most {found['passes']} forward passes\n"
        f"{rows or 'at most ' + str(found['rows']) + ' rows of states'}{size}",
        markup=False,
    )


def described(store: "Manifest") -> dict[str, Any]:
    """What a store holds, as JSON."""
    return {
        "store": str(store.place),
        "complete": store.complete,
        "parts": [len(store.parts), store.n_parts],
        "model": store.about.get("model"),
        "adapter": store.about.get("adapter"),
        "site": store.identity["site"],
        "rows": _rows(store),
        "samples": store.counts,
        "not_finite": store.not_finite,
        "quarantine": store.quarantine,
        "bytes": store.size(),
        "fingerprint": store.fingerprint if store.complete else None,
    }


def _rows(store: "Manifest") -> int:
    return sum(int(part["n"]) for part in store.ordered())


def print_unfinished(stores: "Sequence[Manifest]", part: str, samples: int) -> None:
    """Print what one share of a run has added, and what is left to the others.

    Args:
        stores: that it writes.
        part: the share, such as ``2/8``.
        samples: of the whole run.
    """
    out = console()
    number, shares = (int(one) for one in part.split("/"))
    if number > stores[0].n_parts:
        size = max(1, samples // shares)
        out.print(
            f"share {part} had nothing to do: {samples} samples are {stores[0].n_parts} part(s) of "
            f"{stores[0].identity['options']['part_size']}\n"
            f"  --part-size {size}, in all shares and a new directory, gives each of them some",
            markup=False, soft_wrap=True,
        )  # fmt: skip
    for store in stores:
        done = f"{len(store.parts)} of {store.n_parts} parts, {_rows(store)} states so far"
        out.print(f"share {part} is done: {store.place} has {done}", markup=False, soft_wrap=True)
    out.print("  next   run the other shares, anywhere; the last one to end finishes the store")


def print_stores(stores: "Sequence[Manifest]", *, model: str | None) -> None:
    """Print counts, where the states are, and the command that comes next.

    Args:
        stores: one, or base and tuned.
        model: as the user called it, where ``learn`` can be given it as it is.
    """
    from shiftlens.activations.site import site_from

    out, found = console(), [described(store) for store in stores]
    site = site_from(stores[0].identity["site"])
    lines = [
        (
            Path(one["store"]).name,
            str(one["rows"]),
            *(str(one["samples"][name]) for name in ("matched", "missed", "failed")),
            size_text(one["bytes"]),
        )
        for one in found
    ]
    columns = ("store", "states", "matched", "missed", "failed", "on disk")
    out.print(table("", columns, lines))
    words = getattr(site.tokens, "words", ())
    where = " or ".join(f"“{word}”" for word in words) or site.tokens.kind.replace("_", " ")
    blocks = ", ".join(map(str, site.layers))
    plural = "s" if len(site.layers) > 1 else ""
    out.print(f"states at {where}, after block{plural} {blocks}", markup=False)
    for one in found:
        _print_not_finite(one)
        _print_quarantine(one["quarantine"])
    out.print()
    for one in found:
        out.print(f"  store  {one['store']}", markup=False, soft_wrap=True)
    out.print(f"  next   {_next(stores[0], site.layers, model)}", markup=False, soft_wrap=True)


def _print_not_finite(found: dict[str, Any]) -> None:
    if found["not_finite"]:
        text = f"NaN or infinity in {found['not_finite']} of {found['rows']} states of"
        console().print(f"{text} {found['store']}", markup=False, soft_wrap=True)


def _print_quarantine(quarantine: Sequence[dict[str, str]]) -> None:
    if not quarantine:
        return
    first = quarantine[0]
    others = f" and {len(quarantine) - 1} others" if len(quarantine) > 1 else ""
    text = f"could not be read: {first['id']}{others}: {first['reason']}"
    console().print(text, markup=False, soft_wrap=True)


def _counts(rows: int) -> str:
    """Numbers of concepts that so many states can be asked for: half of them learn, half judge."""
    return ",".join(str(k) for k in (5, 10, 20, 40) if 2 * k <= rows) or "2"


def _next(store: "Manifest", layers: Sequence[int], model: str | None) -> str:
    words = ["shiftlens", "learn", str(store.place), "--k", _counts(_rows(store))]
    if len(layers) > 1:
        words += ["--layer", str(layers[-1])]
    return shlex.join([*words, *(["--model", model] if model else [])])


def size_text(size: int) -> str:
    """``185 B``, ``312 kB``, ``4.1 MB`` or ``12.0 GB``."""
    if size < 1000:
        return f"{size} B"
    for unit, scale in (("GB", 1e9), ("MB", 1e6)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size / 1e3:.0f} kB"
